//! The spans of a process, by OpenTelemetry's data model.
//!
//! Span ids are functions of the random seed, so the traces of two runs can be laid over one another. The root of a
//! trace and every call that leaves the process state their ids. The id of any other span is a hash of its parent, its
//! name and its number among the spans of this name under this parent. The SDK of OpenTelemetry cannot be used for
//! this, because its builder of spans takes no ids. Neither are these the spans of `tracing`: each of their operations
//! looks the span up in a registry, and one of `tracing-opentelemetry` takes almost three times as long as one of
//! these, without its encoding (`cargo xtask bench telemetry`).

mod attributes;
mod buffer;
mod entered;
mod wire;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use twox_hash::XxHash64;

use self::attributes::Attributes;
pub use self::attributes::{Attribute, Value};
pub use self::buffer::{Batch, Buffer};
pub use self::entered::{Entered, Instrument, Instrumented};
use self::wire::Head;
use crate::{TraceContext, clock};

/// Maximum number of stages of a span.
pub const MAX_STAGES: usize = 16;

/// The attribute of an event that is a stage, with its duration in nanoseconds.
pub const STAGE_DURATION: &str = "mirror.duration_ns";

/// Records the spans of this process. Without it, all spans are empty.
static RECORDER: OnceLock<Arc<Recorder>> = OnceLock::new();

/// The share of traces that are recorded, decided by the trace id, so that all processes decide alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Traces whose number is below it are recorded. The number is the last 63 bits of the trace id.
    bound: u64,
}

impl Sampler {
    /// Records every trace.
    pub const ALL: Self = Self { bound: 1 << 63 };

    /// Creates a sampler of this share of traces, 0 to 1. It decides as OpenTelemetry's `TraceIdRatioBased` does.
    pub fn of_share(share: f64) -> Self {
        let bound = share.clamp(0.0, 1.0) * (1_u64 << 63) as f64;
        Self { bound: bound as u64 }
    }

    /// Returns whether a trace is recorded.
    pub fn records(self, trace: u128) -> bool {
        (trace as u64) >> 1 < self.bound
    }
}

/// Records spans.
#[derive(Debug)]
pub struct Recorder {
    buffer: Arc<Buffer>,
    sampler: Sampler,
    /// The trace of spans that are caused by no step and no call.
    own_trace: u128,
}

impl Recorder {
    /// Creates a recorder, which puts finished spans into `buffer`.
    pub fn new(buffer: Arc<Buffer>, sampler: Sampler, own_trace: u128) -> Arc<Self> {
        Arc::new(Self {
            buffer,
            sampler,
            own_trace,
        })
    }

    /// Begins to describe a root of a trace.
    pub fn root(self: &Arc<Self>, name: impl Into<Cow<'static, str>>) -> Builder {
        Builder {
            recorder: Some(self.clone()),
            ..Builder::unplaced(name.into())
        }
    }

    /// Makes this the recorder of the process, unless it has one.
    pub(crate) fn set_global(self: Arc<Self>) {
        // The error would be that there is one. The log of a process, which is initialised first, refuses a second one.
        let _ = RECORDER.set(self);
    }
}

/// The relation of a span to another process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// None.
    #[default]
    Internal,
    /// It calls one.
    Client,
    /// It is called by one.
    Server,
}

/// A span. It ends when the last of its clones is dropped.
///
/// Without a recorder in the process, it is empty: nothing that is done with it has an effect.
#[derive(Debug, Clone)]
pub struct Span(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    recorder: Arc<Recorder>,
    name: Cow<'static, str>,
    kind: Kind,
    trace: u128,
    id: u64,
    /// 0 for none.
    parent: u64,
    is_recorded: bool,
    started_at: SystemTime,
    started: Instant,
    state: Mutex<State>,
}

/// The part of a span that changes.
#[derive(Debug, Default)]
struct State {
    attributes: Attributes,
    stages: Vec<Finished>,
    error: Option<String>,
    link: Option<(u128, u64)>,
    /// Hashes of the names of the spans under this one, with the number of the last span of each.
    children: Vec<(u64, u64)>,
}

/// A stage that has ended.
#[derive(Debug)]
struct Finished {
    name: &'static str,
    started: Instant,
    ended: Instant,
}

/// A part of a span's work, such as the check of a request, which ends when this is dropped.
///
/// A stage costs a fraction of a span, and is sent as an event of its span. The coordinator turns it into a span under
/// that one, with the id of a span of its name. Nothing can be under it, and log lines name the span around it.
#[derive(Debug)]
#[must_use = "the stage lasts until this is dropped"]
pub struct Stage {
    span: Span,
    name: &'static str,
    started: Instant,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(span) = self.span.0.as_deref().filter(|span| span.is_recorded) {
            let stages = &mut span.state().stages;
            if stages.len() < MAX_STAGES {
                stages.push(Finished {
                    name: self.name,
                    started: self.started,
                    ended: Instant::now(),
                });
            }
        }
    }
}

impl State {
    /// Returns the number of the next span named `name` under this one, from 0.
    fn count(&mut self, name: &str) -> u64 {
        let name = XxHash64::oneshot(0, name.as_bytes());
        if let Some((_, count)) = self.children.iter_mut().find(|(known, _)| *known == name) {
            *count += 1;
            return *count;
        }
        self.children.push((name, 0));
        0
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn context(&self) -> TraceContext {
        TraceContext {
            is_recorded: self.is_recorded,
            ..TraceContext::new(self.trace.to_be_bytes(), self.id.to_be_bytes())
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.is_recorded {
            return;
        }
        let start = self.started_at.duration_since(SystemTime::UNIX_EPOCH);
        let start = start.unwrap_or_default().as_nanos() as u64;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let kind = match self.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Client => SpanKind::Client,
            Kind::Server => SpanKind::Server,
        };
        let head = Head {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            name: &self.name,
            kind: kind as u64,
            start,
            end: start.saturating_add(self.started.elapsed().as_nanos() as u64),
            dropped_attributes: state.attributes.dropped,
            link: state.link,
            error: state.error.as_deref(),
        };
        let encoded = &mut state.attributes.encoded;
        for stage in &state.stages {
            let offset = stage.started.saturating_duration_since(self.started);
            let duration = stage.ended.saturating_duration_since(stage.started);
            wire::stage(
                encoded,
                stage.name,
                start.saturating_add(offset.as_nanos() as u64),
                duration.as_nanos() as u64,
            );
        }
        let spans = 1 + state.stages.len() as u64;
        self.recorder.buffer.push(&head, encoded, spans);
    }
}

/// Begins to describe a span under the one in which this thread works.
pub fn span(name: impl Into<Cow<'static, str>>) -> Builder {
    Builder {
        recorder: RECORDER.get().cloned(),
        ..Builder::unplaced(name.into())
    }
    .under(&Span::current())
}

impl Span {
    /// Returns a span that is not recorded and belongs to no trace.
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns the span in which this thread works, which is empty outside all spans.
    pub fn current() -> Self {
        Self(entered::innermost())
    }

    /// Returns whether what is recorded in this span is kept.
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(|span| span.is_recorded)
    }

    /// Adds an attribute. `None` adds nothing.
    pub fn record(&self, key: &'static str, value: impl Attribute) {
        if let Some(span) = self.0.as_deref().filter(|span| span.is_recorded)
            && let Some(value) = value.value()
        {
            span.state().attributes.add(key, value);
        }
    }

    /// Marks the span as failed, with this message.
    pub fn fail(&self, message: &str) {
        if let Some(span) = self.0.as_deref().filter(|span| span.is_recorded) {
            span.state().error = Some(attributes::cut(message).to_owned());
        }
    }

    /// Links the span to one of another trace that belongs to the same work.
    pub fn link(&self, trace: u128, span: u64) {
        if let Some(this) = self.0.as_deref().filter(|span| span.is_recorded) {
            this.state().link = Some((trace, span));
        }
    }

    /// Begins a stage of the span's work. The stages of a span have different names.
    pub fn stage(&self, name: &'static str) -> Stage {
        Stage {
            span: self.clone(),
            name,
            started: Instant::now(),
        }
    }

    /// Makes this the span in which this thread works, until the result is dropped.
    pub fn enter(&self) -> Entered<'_> {
        Entered::new(self.0.as_ref())
    }

    /// Does `work` in this span.
    pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        work()
    }
}

/// Returns the trace and the span in which this thread works. `None` outside all spans.
pub fn current() -> Option<TraceContext> {
    entered::innermost().map(|span| span.context())
}

/// The description of a span that has not begun.
#[derive(Debug)]
#[must_use = "a span begins with `start`"]
pub struct Builder {
    recorder: Option<Arc<Recorder>>,
    name: Cow<'static, str>,
    kind: Kind,
    /// The parent in this process, unless the trace is stated.
    parent: Option<Arc<Inner>>,
    /// The trace, with the parent in another process.
    trace: Option<(u128, u64)>,
    id: Option<u64>,
    nth: Option<u64>,
    is_recorded: bool,
    attributes: Attributes,
}

impl Builder {
    fn unplaced(name: Cow<'static, str>) -> Self {
        Self {
            recorder: None,
            name,
            kind: Kind::Internal,
            parent: None,
            trace: None,
            id: None,
            nth: None,
            is_recorded: true,
            attributes: Attributes::default(),
        }
    }

    /// Sets the parent. An empty span is none.
    pub fn under(mut self, parent: &Span) -> Self {
        self.parent.clone_from(&parent.0);
        self
    }

    /// Sets the trace, and the parent if it is a span of another process, or 0 for none.
    pub fn in_trace(mut self, trace: u128, parent: u64) -> Self {
        self.trace = Some((trace, parent));
        self
    }

    /// Sets the id.
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Distinguishes spans of one name under one parent that begin in any order.
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Sets the relation to another process.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets whether the caller records its span. If it does not, neither this span nor any span under it is recorded.
    pub fn called_by_recorded(mut self, is_recorded: bool) -> Self {
        self.is_recorded = is_recorded;
        self
    }

    /// Adds an attribute, after the parent or the trace is set. `None` adds nothing.
    pub fn with(mut self, key: &'static str, value: impl Attribute) -> Self {
        if self.will_be_recorded()
            && let Some(value) = value.value()
        {
            self.attributes.add(key, value);
        }
        self
    }

    /// Returns the recorder: that of the parent, or that of the process.
    fn recorder(&self) -> Option<&Arc<Recorder>> {
        let of_parent = self.parent.as_ref().map(|parent| &parent.recorder);
        of_parent.or(self.recorder.as_ref())
    }

    fn will_be_recorded(&self) -> bool {
        let Some(recorder) = self.recorder() else {
            return false;
        };
        let is_in_trace = match (self.trace, &self.parent) {
            (Some((trace, _)), _) => recorder.sampler.records(trace),
            (None, Some(parent)) => parent.is_recorded,
            (None, None) => recorder.sampler.records(recorder.own_trace),
        };
        self.is_recorded && is_in_trace
    }

    /// Begins the span.
    pub fn start(self) -> Span {
        let Some(recorder) = self.recorder().cloned() else {
            return Span(None);
        };
        let (trace, parent, nth) = match (self.trace, &self.parent) {
            (Some((trace, parent)), _) => (trace, parent, self.nth),
            (None, Some(parent)) => {
                let count = || parent.state().count(&self.name);
                let nth = self.nth.or_else(|| self.id.is_none().then(count));
                (parent.trace, parent.id, nth)
            }
            (None, None) => (recorder.own_trace, 0, self.nth),
        };
        let id = self.id.unwrap_or_else(|| {
            let is_own_root = parent == 0 && trace == recorder.own_trace;
            let nth = nth.unwrap_or_else(|| {
                if is_own_root {
                    recorder.buffer.next_root()
                } else {
                    0
                }
            });
            derived(trace, parent, &self.name, nth)
        });
        let inner = Inner {
            is_recorded: self.will_be_recorded(),
            recorder,
            name: self.name,
            kind: self.kind,
            trace,
            id,
            parent,
            started_at: clock::now(),
            started: Instant::now(),
            state: Mutex::new(State {
                attributes: self.attributes,
                ..State::default()
            }),
        };
        Span(Some(Arc::new(inner)))
    }
}

/// Returns the id of a span: a hash of its parent, its name and its number. It is never 0.
pub fn derived(trace: u128, parent: u64, name: &str, nth: u64) -> u64 {
    let seed = parent ^ (trace as u64) ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    XxHash64::oneshot(seed, name.as_bytes()).max(1)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
    use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use prost::Message;

    use super::*;

    const TRACE: u128 = 7;

    /// Returns the spans that `work` records, in the order of their ends, with a recorder of a share of all traces.
    fn recorded(share: f64, work: impl FnOnce(&Arc<Recorder>)) -> Vec<WireSpan> {
        let buffer = Arc::new(Buffer::default());
        work(&Recorder::new(buffer.clone(), Sampler::of_share(share), 1));
        let batches = buffer.take();
        let spans: Vec<WireSpan> = batches
            .iter()
            .flat_map(|batch| ScopeSpans::decode(&*batch.encoded).expect("valid protobuf").spans)
            .collect();
        let counted: u64 = batches.iter().map(|batch| batch.count).sum();
        let stages: usize = spans.iter().map(|span| span.events.len()).sum();
        assert_eq!(counted, (spans.len() + stages) as u64);
        spans
    }

    /// Records a span with two parts, one of which has a part itself.
    fn tree(recorder: &Arc<Recorder>) {
        let step = recorder.root("step").in_trace(TRACE, 0).start();
        step.in_scope(|| {
            span("part").start().in_scope(|| drop(span("small").start()));
            drop(span("part").start());
        });
    }

    #[test]
    fn spans_are_under_the_one_in_which_they_begin() {
        let spans = recorded(1.0, tree);
        let [small, first, second, step] = &spans[..] else {
            panic!("four spans, not {}", spans.len())
        };
        assert_eq!(small.parent_span_id, first.span_id);
        assert_eq!(first.parent_span_id, step.span_id);
        assert_eq!(second.parent_span_id, step.span_id);
        assert!(step.parent_span_id.is_empty());
        assert_ne!(
            first.span_id, second.span_id,
            "they have the same name and the same parent"
        );
        assert!(spans.iter().all(|span| span.trace_id == TRACE.to_be_bytes()));
        assert!(
            spans
                .iter()
                .all(|span| span.end_time_unix_nano >= span.start_time_unix_nano)
        );
    }

    #[test]
    fn the_same_work_has_the_same_ids() {
        let ids = || {
            let spans = recorded(1.0, tree);
            spans.into_iter().map(|span| span.span_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(), ids());
    }

    #[test]
    fn nothing_is_recorded_of_a_trace_that_sampling_drops() {
        assert!(recorded(0.0, tree).is_empty());
    }

    #[test]
    fn nothing_is_recorded_below_a_caller_that_records_nothing() {
        let served = |is_recorded| {
            move |recorder: &Arc<Recorder>| {
                let server = recorder
                    .root("server")
                    .in_trace(TRACE, 3)
                    .called_by_recorded(is_recorded)
                    .start();
                server.in_scope(|| span("work").start().in_scope(|| drop(span("part").start())));
            }
        };
        assert_eq!(recorded(1.0, served(true)).len(), 3);
        assert!(recorded(1.0, served(false)).is_empty());
    }

    #[test]
    fn the_context_in_a_span_is_that_of_the_span_also_if_it_is_not_recorded() {
        for share in [0.0, 1.0] {
            recorded(share, |recorder| {
                let span = recorder.root("step").in_trace(TRACE, 0).id(9).start();
                let context = span.in_scope(current).expect("in a span");
                let expected = TraceContext::new(TRACE.to_be_bytes(), 9_u64.to_be_bytes());
                let expected = if share == 0.0 {
                    expected.unrecorded()
                } else {
                    expected
                };
                assert_eq!(context, expected);
                assert_eq!(current(), None, "outside of it");
            });
        }
    }

    #[test]
    fn a_span_ends_once_with_everything_that_was_recorded_in_it() {
        let spans = recorded(1.0, |recorder| {
            let call = recorder
                .root("call")
                .in_trace(TRACE, 3)
                .kind(Kind::Client)
                .with("mirror.uid", 5_u32);
            let call = call.with("absent", None::<u32>).start();
            let clone = call.clone();
            clone.record("mirror.code", "timeout");
            clone.fail("no answer");
            clone.link(8, 9);
            drop(call);
            clone.record("late", true);
        });
        let [call] = &spans[..] else {
            panic!("one span, not {}", spans.len())
        };
        let keys: Vec<&str> = call.attributes.iter().map(|attribute| &*attribute.key).collect();
        assert_eq!(keys, ["mirror.uid", "mirror.code", "late"]);
        assert_eq!(call.status.as_ref().expect("a status").message, "no answer");
        assert_eq!(call.links[0].span_id, 9_u64.to_be_bytes());
        assert_eq!(call.kind(), SpanKind::Client);
    }

    #[test]
    fn attributes_are_kept_where_the_span_is_recorded() {
        for (share, expected) in [(0.0, 0), (1.0, 1)] {
            recorded(share, |recorder| {
                let root = recorder.root("step").in_trace(TRACE, 0).start();
                root.in_scope(|| {
                    let part = span("part").with("number", 1_u32);
                    assert_eq!(part.attributes.encoded.is_empty(), expected == 0);
                });
            });
        }
    }

    #[test]
    fn a_future_is_polled_and_dropped_in_its_span() {
        struct Noting<'a>(&'a Mutex<Vec<Option<TraceContext>>>);
        impl Drop for Noting<'_> {
            fn drop(&mut self) {
                self.0.lock().expect("no panic").push(current());
            }
        }
        let seen = Mutex::new(Vec::new());
        recorded(1.0, |recorder| {
            let span = recorder.root("step").in_trace(TRACE, 0).id(9).start();
            let noting = Noting(&seen);
            let work = async move {
                noting.0.lock().expect("no panic").push(current());
                std::future::pending::<()>().await;
                drop(noting);
            };
            let mut work = Box::pin(work.instrument(span));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(work.as_mut().poll(&mut context).is_pending());
            drop(work);
        });
        let context = Some(TraceContext::new(TRACE.to_be_bytes(), 9_u64.to_be_bytes()));
        assert_eq!(*seen.lock().expect("no panic"), [context, context]);
    }

    #[test]
    fn stages_are_events_within_their_span() {
        let spans = recorded(1.0, |recorder| {
            let span = recorder.root("call").in_trace(TRACE, 0).start();
            drop(span.stage("check"));
            let queue = span.stage("queue");
            drop(span.stage("inner"));
            drop(queue);
        });
        let [call] = &spans[..] else {
            panic!("one span, not {}", spans.len())
        };
        let duration = |event: &Event| match event.attributes[0]
            .value
            .as_ref()
            .and_then(|value| value.value.clone())
        {
            Some(any_value::Value::IntValue(duration)) => u64::try_from(duration).expect("a duration"),
            other => panic!("{other:?}"),
        };
        let names: Vec<&str> = call.events.iter().map(|event| &*event.name).collect();
        assert_eq!(names, ["check", "inner", "queue"], "in the order of their ends");
        for event in &call.events {
            assert_eq!(event.attributes[0].key, STAGE_DURATION);
            assert!(event.time_unix_nano >= call.start_time_unix_nano);
            assert!(event.time_unix_nano + duration(event) <= call.end_time_unix_nano);
        }
        assert!(
            duration(&call.events[2]) >= duration(&call.events[1]),
            "{:?}",
            call.events
        );
    }

    #[test]
    fn attributes_and_texts_beyond_the_limits_are_dropped_and_counted() {
        let spans = recorded(1.0, |recorder| {
            let span = recorder.root("step").in_trace(TRACE, 0).start();
            for number in 0..200_u32 {
                span.record("number", number);
            }
            span.fail(&"é".repeat(4_000));
        });
        assert_eq!(spans[0].attributes.len(), 128);
        assert_eq!(spans[0].dropped_attributes_count, 72);
        assert_eq!(spans[0].status.as_ref().expect("a status").message.len(), 4_096);
    }
}
