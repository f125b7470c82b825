//! The spans of a process: a layer of `tracing` that records them as OpenTelemetry spans.
//!
//! Span ids are functions of the random seed, so the traces of two runs can be laid over one another. The root of a
//! trace and every call that leaves the process state their ids. The id of any other span is a hash of its parent, its
//! name and its number among the spans of this name under this parent. `tracing-opentelemetry` cannot be used for this:
//! the builder of the OpenTelemetry SDK takes no ids.
//!
//! Fields of a span become its attributes, except these, of which those that begin with `otel.` are named as in
//! `tracing-opentelemetry`:
//!
//! | field | meaning |
//! |---|---|
//! | `trace` (`u128`) | The trace. Without it, the span belongs to the trace of its parent. |
//! | `parent` (`u64`) | The parent if it is a span of another process. 0 for none. |
//! | `span` (`u64`) | The id of the span. |
//! | `nth` (`u64`) | Distinguishes spans of one name under one parent that begin in any order. |
//! | `recorded` (`bool`) | `false` if the caller records no span. Then neither this span nor any span under it is. |
//! | `otel.name` | The name of the span, instead of its static name. |
//! | `otel.kind` | `client` or `server`. |
//! | `otel.status_description` | The error of a span that failed. |
//! | `link.trace` (`u128`), `link.span` (`u64`) | A span of another trace that belongs to the same work. |

mod attributes;
mod buffer;
mod wire;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use twox_hash::XxHash64;

use self::attributes::Fields;
pub use self::buffer::{Batch, Buffer};
use self::wire::Head;
use crate::{TraceContext, clock, current};

/// The target of the spans that are recorded. [`span!`](crate::span) sets it.
pub const TARGET: &str = "mirror::span";

/// Creates a span that is recorded: its name, and its fields as for the macros of `tracing`. `span!(parent: span, …)`
/// states a parent of this process.
#[macro_export]
macro_rules! span {
    (parent: $parent:expr, $name:expr $(, $($fields:tt)*)?) => {
        $crate::tracing::debug_span!(target: $crate::spans::TARGET, parent: $parent, $name $(, $($fields)*)?)
    };
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::tracing::debug_span!(target: $crate::spans::TARGET, $name $(, $($fields)*)?)
    };
}

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

/// The layer that records spans. See the [module](self) for the meaning of their fields.
pub struct SpanLayer {
    buffer: Arc<Buffer>,
    sampler: Sampler,
    /// The trace of spans that are caused by no step and no call.
    own_trace: u128,
}

/// A span that has not ended.
struct Open {
    trace: u128,
    id: u64,
    parent: u64,
    started_at: SystemTime,
    started: Instant,
    /// `None` if the span is not recorded.
    fields: Option<Box<Fields>>,
    /// The names of the spans under this one, with their numbers.
    children: Vec<(&'static str, u64)>,
}

impl Open {
    fn context(&self) -> TraceContext {
        TraceContext::new(self.trace.to_be_bytes(), self.id.to_be_bytes())
    }

    /// Returns the number of the next span named `name` under this one, from 0.
    fn count(&mut self, name: &'static str) -> u64 {
        if let Some((_, count)) = self.children.iter_mut().find(|(known, _)| *known == name) {
            *count += 1;
            return *count;
        }
        self.children.push((name, 0));
        0
    }

    /// Puts the span, which has ended, into `buffer`.
    fn end(self, name: &str, buffer: &Buffer) {
        let Some(fields) = self.fields else {
            return;
        };
        let start = self.started_at.duration_since(SystemTime::UNIX_EPOCH);
        let start = start.unwrap_or_default().as_nanos() as u64;
        let head = Head {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            name: fields.name.as_deref().unwrap_or(name),
            kind: fields.kind as u64,
            start,
            end: start.saturating_add(self.started.elapsed().as_nanos() as u64),
            dropped_attributes: fields.dropped,
            link: fields.link,
            error: fields.error.as_deref(),
        };
        buffer.push(&head, &fields.attributes);
    }
}

impl SpanLayer {
    /// Creates the layer. Finished spans are put into `buffer`.
    pub fn new(buffer: Arc<Buffer>, sampler: Sampler, own_trace: u128) -> Self {
        Self {
            buffer,
            sampler,
            own_trace,
        }
    }

    /// Returns the filter of this layer, which admits only the spans of [`span!`](crate::span).
    pub fn filter() -> FilterFn {
        fn is_recorded(metadata: &Metadata<'_>) -> bool {
            metadata.is_span() && metadata.target() == TARGET
        }
        FilterFn::new(is_recorded as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::DEBUG)
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        let name = attributes.metadata().name();
        let ids = attributes::Ids::of(attributes);
        // A span of another process is the parent if the trace is stated.
        let mut is_recorded = ids.is_recorded.unwrap_or(true);
        let (trace, parent, nth) = match (ids.trace, span.parent()) {
            (Some(trace), _) => (trace, ids.parent.unwrap_or_default(), ids.nth),
            (None, Some(parent)) => match parent.extensions_mut().get_mut::<Open>() {
                Some(open) => {
                    is_recorded &= open.fields.is_some();
                    let nth = ids.nth.or_else(|| ids.id.is_none().then(|| open.count(name)));
                    (open.trace, open.id, nth)
                }
                None => (self.own_trace, 0, ids.nth),
            },
            (None, None) => (self.own_trace, 0, ids.nth),
        };
        let id = ids.id.unwrap_or_else(|| {
            let is_own_root = parent == 0 && trace == self.own_trace;
            let nth = nth.unwrap_or_else(|| if is_own_root { self.buffer.next_root() } else { 0 });
            derived(trace, parent, name, nth)
        });
        let fields = (is_recorded && self.sampler.records(trace)).then(|| {
            let mut fields = Box::new(Fields::default());
            attributes.record(&mut *fields);
            fields
        });
        span.extensions_mut().insert(Open {
            trace,
            id,
            parent,
            started_at: clock::now(),
            started: Instant::now(),
            fields,
            children: Vec::new(),
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
            && let Some(fields) = &mut open.fields
        {
            values.record(&mut **fields);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let entered = context
            .span(id)
            .and_then(|span| span.extensions().get::<Open>().map(Open::context));
        if let Some(entered) = entered {
            current::enter(entered);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let exited = context
            .span(id)
            .and_then(|span| span.extensions().get::<Open>().map(Open::context));
        if let Some(exited) = exited {
            current::exit(exited);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(open) = open {
            open.end(span.name(), &self.buffer);
        }
    }
}

/// Returns the id of a span: a hash of its parent, its name and its number. It is never 0.
pub fn derived(trace: u128, parent: u64, name: &str, nth: u64) -> u64 {
    let seed = parent ^ (trace as u64) ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    XxHash64::oneshot(seed, name.as_bytes()).max(1)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Returns the number of spans that are recorded while `work` runs.
    fn recorded(work: impl FnOnce()) -> u64 {
        let buffer = Arc::new(Buffer::default());
        let layer = SpanLayer::new(buffer.clone(), Sampler::ALL, 1);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, work);
        buffer.take().iter().map(|batch| batch.count).sum()
    }

    #[test]
    fn nothing_is_recorded_below_a_caller_that_records_nothing() {
        let served = |is_recorded| {
            let server = span!("server", trace = 7_u128, parent = 3_u64, recorded = is_recorded);
            server.in_scope(|| span!("work").in_scope(|| drop(span!("part"))));
        };
        assert_eq!(recorded(|| served(true)), 3);
        assert_eq!(recorded(|| served(false)), 0);
    }
}
