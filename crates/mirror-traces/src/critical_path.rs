//! The critical path of a trace: the spans that its root waited for.
//!
//! The algorithm is that of CRISP (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
//! Architectures", USENIX ATC 2022) and of Jaeger's user interface: it walks backwards from the end of the root. At
//! each time the last child that ends before it is on the path, and gaps between children are the time of the span
//! itself. Children are first cut to the time of their parent, so the segments add up to the duration of the root
//! exactly.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::phase::Phase;
use crate::trace::{Span, Trace};

/// A time in which the root waited for one span itself, not for a span below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the span in [`Trace::spans`].
    pub span: usize,
    /// Start in nanoseconds since 1970.
    pub start_ns: i64,
    /// End in nanoseconds since 1970, after the start.
    pub end_ns: i64,
}

impl Segment {
    /// Returns the duration in nanoseconds.
    pub fn duration_ns(&self) -> i64 {
        self.end_ns - self.start_ns
    }
}

/// A walk within one span.
struct Frame {
    span: usize,
    /// The time down to which the path is known.
    until: i64,
    /// Children that have not been considered, the one with the latest end last.
    children: Vec<usize>,
}

/// Returns the critical path below the span `root`, in the order of time. The segments do not overlap, and their
/// durations add up to the duration of the span.
pub fn critical_path(trace: &Trace, root: usize) -> Vec<Segment> {
    let Some(top) = trace.spans().get(root) else {
        return Vec::new();
    };
    let windows = windows(trace, root, top);
    let window = |span: usize| windows[span - root];
    let frame = |span: usize| {
        let mut children = trace.spans()[span].children.clone();
        // Of children with the same end the longest is considered first.
        children.sort_by_key(|&child| {
            let (start, end) = window(child);
            (end, Reverse(start))
        });
        Frame {
            span,
            until: window(span).1,
            children,
        }
    };
    let mut segments = Vec::new();
    let mut add = |span, start_ns, end_ns| {
        if start_ns < end_ns {
            segments.push(Segment {
                span,
                start_ns,
                end_ns,
            });
        }
    };
    let mut frames = vec![frame(root)];
    while let Some(current) = frames.last_mut() {
        let Some(child) = current.children.pop() else {
            add(current.span, window(current.span).0, current.until);
            frames.pop();
            continue;
        };
        let (start, end) = window(child);
        if end > current.until || start >= end {
            continue;
        }
        add(current.span, end, current.until);
        current.until = start;
        frames.push(frame(child));
    }
    segments.reverse();
    segments
}

/// Returns the start and the end of each span from `root` on, cut to those of its parent.
fn windows(trace: &Trace, root: usize, top: &Span) -> Vec<(i64, i64)> {
    let below = &trace.spans()[root..root + top.tree_size];
    let mut windows: Vec<(i64, i64)> = Vec::with_capacity(below.len());
    for (place, span) in below.iter().enumerate() {
        let window = match span.parent {
            Some(parent) if place > 0 => {
                let (from, to) = windows[parent - root];
                (span.start_ns.clamp(from, to), span.end_ns().clamp(from, to))
            }
            _ => (span.start_ns, span.end_ns()),
        };
        windows.push(window);
    }
    windows
}

/// The largest uid that can exist. Greater numbers are no uids, so that a damaged file cannot fill the memory.
const MAX_UID: u32 = 65_535;

/// Returns the uid whose call each span belongs to, by index. Spans of the chain belong to none.
pub fn uids(trace: &Trace) -> Vec<Option<u32>> {
    let mut uids: Vec<Option<u32>> = Vec::with_capacity(trace.spans().len());
    for span in trace.spans() {
        let inherited = span.parent.and_then(|parent| uids[parent]);
        uids.push(match &*span.row.name {
            name if name.starts_with("dendrite.") || name.starts_with("axon.") => {
                span.row.uid.filter(|uid| *uid <= MAX_UID).or(inherited)
            }
            _ => inherited,
        });
    }
    uids
}

/// The time of the critical paths of some traces, by phase and by uid.
///
/// Its memory is bounded by the number of phases, uids and rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Breakdown {
    traces: u64,
    total_ns: i128,
    cells: BTreeMap<(Phase, Option<u32>), i128>,
    rules: BTreeMap<String, i128>,
    savings: BTreeMap<u32, i128>,
}

/// The time of one uid on critical paths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfUid {
    /// The uid of the called axon.
    pub uid: u32,
    /// Time on the critical path in nanoseconds.
    pub path_ns: i128,
    /// The phase with the most of this time.
    pub main_phase: Phase,
    /// Time in nanoseconds by which the forwards would be shorter if the calls of this uid that ended last had ended
    /// together with the last call of another uid.
    pub saved_ns: i128,
}

/// Largest number of different texts of rules that are distinguished, so that a damaged file cannot fill the memory.
const MAX_RULES: usize = 1_000;

impl Breakdown {
    /// Adds the critical path of the main root of a trace. A trace without spans adds nothing.
    pub fn add(&mut self, trace: &Trace) {
        let Some(root) = trace.main_root() else {
            return;
        };
        self.traces += 1;
        self.total_ns += i128::from(root.duration_ns);
        let uids = uids(trace);
        for segment in critical_path(trace, 0) {
            let row = &trace.spans()[segment.span].row;
            let ns = i128::from(segment.duration_ns());
            let cell = (Phase::of(&row.name), uids[segment.span]);
            *self.cells.entry(cell).or_default() += ns;
            if cell.0 == Phase::Link
                && let Some(rules) = &row.rules
                && (self.rules.len() < MAX_RULES || self.rules.contains_key(rules))
            {
                *self.rules.entry(rules.clone()).or_default() += ns;
            }
        }
        for span in &trace.spans()[..root.tree_size] {
            if let Some((uid, ns)) = saving(trace, span) {
                *self.savings.entry(uid).or_default() += i128::from(ns);
            }
        }
    }

    /// Returns the number of traces.
    pub fn traces(&self) -> u64 {
        self.traces
    }

    /// Returns the sum of the durations of the roots in nanoseconds, which is the sum over all phases.
    pub fn total_ns(&self) -> i128 {
        self.total_ns
    }

    /// Returns a time as a share of the time of all traces, from 0 to 1.
    pub fn share(&self, ns: i128) -> f64 {
        if self.total_ns == 0 {
            return 0.0;
        }
        ns as f64 / self.total_ns as f64
    }

    /// Returns the phases and their times in nanoseconds, the longest first.
    pub fn phases(&self) -> Vec<(Phase, i128)> {
        let mut phases: BTreeMap<Phase, i128> = BTreeMap::new();
        for ((phase, _), ns) in &self.cells {
            *phases.entry(*phase).or_default() += ns;
        }
        longest_first(phases)
    }

    /// Returns the rules that delayed links and their times on critical paths in nanoseconds, the longest first.
    pub fn rules(&self) -> Vec<(String, i128)> {
        longest_first(self.rules.clone())
    }

    /// Returns the uids on critical paths, the one with the longest time first.
    pub fn uids(&self) -> Vec<OfUid> {
        let mut uids: BTreeMap<u32, (i128, (i128, Phase))> = BTreeMap::new();
        for ((phase, uid), &ns) in &self.cells {
            let Some(uid) = uid else { continue };
            let (path_ns, main) = uids.entry(*uid).or_insert((0, (0, *phase)));
            *path_ns += ns;
            if ns > main.0 {
                *main = (ns, *phase);
            }
        }
        let mut uids: Vec<OfUid> = uids
            .into_iter()
            .map(|(uid, (path_ns, (_, main_phase)))| OfUid {
                uid,
                path_ns,
                main_phase,
                saved_ns: self.savings.get(&uid).copied().unwrap_or_default(),
            })
            .collect();
        uids.sort_by_key(|of_uid| (Reverse(of_uid.path_ns), of_uid.uid));
        uids
    }
}

/// The times in seconds, and as shares of the time of all traces, the longest first.
impl Serialize for Breakdown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |key: &str, value: Value, ns: i128| json!({ key: value, "seconds": seconds(ns), "share": self.share(ns) });
        let phases: Vec<Value> = (self.phases().into_iter())
            .map(|(phase, ns)| of("phase", phase.name().into(), ns))
            .collect();
        let rules: Vec<Value> = (self.rules().into_iter())
            .map(|(rules, ns)| of("rules", rules.into(), ns))
            .collect();
        let uids: Vec<Value> = (self.uids().into_iter())
            .map(|of_uid| {
                let mut value = of("uid", of_uid.uid.into(), of_uid.path_ns);
                value["main_phase"] = of_uid.main_phase.name().into();
                value["saved_seconds"] = seconds(of_uid.saved_ns).into();
                value["saved_share"] = self.share(of_uid.saved_ns).into();
                value
            })
            .collect();
        let whole = json!({
            "traces": self.traces,
            "seconds": seconds(self.total_ns),
            "phases": phases,
            "uids": uids,
            "rules": rules,
        });
        whole.serialize(serializer)
    }
}

fn seconds(ns: i128) -> f64 {
    ns as f64 / 1e9
}

fn longest_first<K: Ord>(times: BTreeMap<K, i128>) -> Vec<(K, i128)> {
    let mut times: Vec<(K, i128)> = times.into_iter().collect();
    // The sort is stable, so equal times stay in the order of their keys.
    times.sort_by_key(|(_, ns)| Reverse(*ns));
    times
}

/// Returns the uid whose call ended last among the calls of the forward `span`, and the time in nanoseconds between
/// this end and that of the last call of another uid. `None` if fewer than two uids were called.
fn saving(trace: &Trace, span: &Span) -> Option<(u32, i64)> {
    if span.row.name != "forward" {
        return None;
    }
    let mut ends: Vec<(i64, u32)> = Vec::new();
    for &child in &span.children {
        let call = &trace.spans()[child];
        if call.row.name == "dendrite.forward"
            && let Some(uid) = call.row.uid.filter(|uid| *uid <= MAX_UID)
        {
            ends.push((call.end_ns().min(span.end_ns()), uid));
        }
    }
    let &(last, uid) = ends.iter().max()?;
    let others = ends.iter().filter(|(_, other)| *other != uid);
    let second = others.map(|(end, _)| *end).max()?;
    (last > second).then(|| (uid, last - second.max(span.start_ns)))
}
