//! The critical path of a trace: the spans that its duration consists of.
//!
//! The walk begins at the end of the root. At each point, the last child to end before that point is on the path, and
//! the walk continues at the start of that child. Gaps are the parent's own time. This is the algorithm of CRISP
//! ("CRISP: Critical Path Analysis of Large-Scale Microservice Architectures", Zhang et al., USENIX ATC 2022) and of
//! Jaeger's user interface.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::trace::Trace;

/// Part of the work of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The gating model, and the choice of uids.
    Planning,
    /// The delay that a link between validator and axon caused.
    Link,
    /// The time in the queue of an axon.
    Queue,
    /// The checks of an axon.
    Check,
    /// The behaviour of a miner.
    Behaviour,
    /// The answer of an axon.
    Answer,
    /// The reward models.
    Reward,
    /// The training of the gating model.
    Training,
    /// Calls of the chain, and the work of the chain.
    Chain,
    /// The wait at the block barrier.
    Barrier,
    /// The event, and the journal of the coordinator.
    Recording,
    /// The part of a call outside the axon and the link.
    Network,
    /// All other time.
    Other,
}

/// The critical path of one trace.
#[derive(Debug, Clone)]
pub struct CriticalPath {
    /// Segments in the order of time. They do not overlap, and their durations sum to that of the root.
    pub segments: Vec<Segment>,
}

/// A piece of a critical path in which one span itself was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the span.
    pub span: usize,
    /// The uid of the call that the span belongs to.
    pub uid: Option<u32>,
    /// Corrected start in nanoseconds since 1970.
    pub start: i64,
    /// Corrected end in nanoseconds since 1970.
    pub end: i64,
}

/// Sums over the critical paths of several traces, in nanoseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PathTotals {
    /// Number of traces.
    pub traces: u64,
    /// Total duration of the traces.
    pub total_ns: u64,
    /// Time on the critical path by phase.
    pub by_phase: BTreeMap<Phase, u64>,
    /// Time on the critical path by the uid of a call.
    pub by_uid: BTreeMap<u32, UidTotals>,
    /// Time on the critical path in spans that a fault affected, by the effect, such as `slow/latency`.
    pub by_rule: BTreeMap<String, u64>,
}

/// Sums for one uid, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UidTotals {
    /// Time on the critical path.
    pub on_path_ns: u64,
    /// Number of fan-outs in which the call of this uid was the last to end.
    pub times_last: u64,
    /// Time by which the fan-outs would have been shorter if the last call, where it was of this uid, had ended with
    /// the second last.
    pub could_save_ns: u64,
}

impl Phase {
    /// Returns the phase to which the own time of a span with this name counts.
    pub fn of(name: &str) -> Self {
        match name {
            "gating.forward" | "choose" => Self::Planning,
            "link" => Self::Link,
            "axon.queue" => Self::Queue,
            "axon.signature" | "axon.check" => Self::Check,
            "axon.behaviour" => Self::Behaviour,
            "axon.answer" => Self::Answer,
            "reward" => Self::Reward,
            "gating.backward" => Self::Training,
            "resync" | "weights" | "block" | "epoch" => Self::Chain,
            "barrier.wait" => Self::Barrier,
            "event.write" | "journal.write" => Self::Recording,
            _ if name.starts_with("subtensor.") => Self::Chain,
            _ if name.starts_with("dendrite.") => Self::Network,
            _ => Self::Other,
        }
    }

    /// Returns the name of the phase.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Link => "link",
            Self::Queue => "queue",
            Self::Check => "check",
            Self::Behaviour => "behaviour",
            Self::Answer => "answer",
            Self::Reward => "reward",
            Self::Training => "training",
            Self::Chain => "chain",
            Self::Barrier => "barrier",
            Self::Recording => "recording",
            Self::Network => "network",
            Self::Other => "other",
        }
    }
}

/// A span on the path whose children are not all visited.
struct Visit {
    span: usize,
    uid: Option<u32>,
    start: i64,
    /// End of the part that is not attributed yet.
    end: i64,
    /// End and start within the span, and index, of each child, by ascending ends.
    children: Vec<(i64, i64, usize)>,
}

impl Visit {
    fn of(trace: &Trace, span: usize, (start, end): (i64, i64), caller_uid: Option<u32>) -> Self {
        let spans = trace.spans();
        let within = |child: &usize| {
            let (from, to) = (spans[*child].start.max(start), spans[*child].end().min(end));
            (from < to).then_some((to, from, *child))
        };
        let mut children: Vec<_> = spans[span].children.iter().filter_map(within).collect();
        // Of two children that end together, the longer one is visited first.
        children.sort_unstable_by_key(|(to, from, child)| (*to, Reverse(*from), *child));
        let belongs_to_call = spans[span].is_call() || spans[span].row.name.starts_with("axon.");
        Self {
            span,
            uid: spans[span].row.uid.filter(|_| belongs_to_call).or(caller_uid),
            start,
            end,
            children,
        }
    }
}

impl CriticalPath {
    /// Returns the critical path below a root of the trace, an index of [`Trace::spans`].
    pub fn of(trace: &Trace, root: usize) -> Self {
        let span = &trace.spans()[root];
        let mut segments = Vec::new();
        let mut stack = vec![Visit::of(trace, root, (span.start, span.end()), None)];
        while let Some(visit) = stack.last_mut() {
            let (next, until) = match visit.children.pop() {
                // The child overlaps a later one, which is on the path.
                Some((to, _, _)) if to > visit.end => continue,
                Some((to, from, child)) => (Some((from, child)), to),
                None => (None, visit.start),
            };
            if until < visit.end {
                segments.push(Segment {
                    span: visit.span,
                    uid: visit.uid,
                    start: until,
                    end: visit.end,
                });
            }
            if let Some((from, child)) = next {
                visit.end = from;
                let uid = visit.uid;
                stack.push(Visit::of(trace, child, (from, until), uid));
            } else {
                stack.pop();
            }
        }
        segments.reverse();
        Self { segments }
    }
}

impl PathTotals {
    /// Adds the critical path below a root of the trace, an index of [`Trace::spans`].
    pub fn add(&mut self, trace: &Trace, root: usize) {
        let spans = trace.spans();
        self.traces += 1;
        self.total_ns = self.total_ns.saturating_add(spans[root].duration.unsigned_abs());
        for segment in CriticalPath::of(trace, root).segments {
            let time = (segment.end - segment.start).unsigned_abs();
            let span = &spans[segment.span];
            let add = |sum: &mut u64| *sum = sum.saturating_add(time);
            add(self.by_phase.entry(Phase::of(&span.row.name)).or_default());
            if let Some(uid) = segment.uid {
                add(&mut self.by_uid.entry(uid).or_default().on_path_ns);
            }
            for rule in span.rules() {
                add(self.by_rule.entry(rule.to_owned()).or_default());
            }
        }
        for (index, span) in spans.iter().enumerate() {
            // A repeated request is below the first one and does not belong to a fan-out.
            if !span.is_call() {
                self.add_fan_outs(trace, index);
            }
        }
    }

    /// Adds the times that could be saved in the calls below one span, for each kind of call.
    fn add_fan_outs(&mut self, trace: &Trace, parent: usize) {
        let spans = trace.spans();
        let limit = spans[parent].end();
        let mut by_name: BTreeMap<&str, Vec<(i64, Option<u32>)>> = BTreeMap::new();
        let calls = spans[parent].children.iter().map(|child| &spans[*child]);
        for call in calls.filter(|child| child.is_call()) {
            let ends = by_name.entry(&call.row.name).or_default();
            ends.push((call.end().min(limit), call.row.uid));
        }
        for mut ends in by_name.into_values() {
            ends.sort_unstable();
            let [.., (second, _), (last, Some(uid))] = ends[..] else {
                continue;
            };
            let totals = self.by_uid.entry(uid).or_default();
            totals.times_last += 1;
            totals.could_save_ns = totals
                .could_save_ns
                .saturating_add((last - second).unsigned_abs());
        }
    }
}
