//! One trace: the tree of its spans, with corrected clocks.

use std::collections::HashMap;

use mirror_runs::tables::SpanRow;

use crate::clock::{self, ClockOffset};
use crate::incidents::Incidents;

/// The greatest time and duration in nanoseconds, 73 years. Rows with greater ones are read as if they had this one,
/// so that no sum of times overflows.
pub(crate) const MAX_NS: i64 = i64::MAX / 4;

/// The span as a client of another node.
pub const CLIENT: &str = "client";

/// The span of a node that serves a client.
pub const SERVER: &str = "server";

/// A trace: all its spans in the order of a walk through the tree. A parent precedes its children, and children with
/// the same parent are in the order of their corrected start. The spans below a span follow it directly.
#[derive(Debug, Clone)]
pub struct Trace {
    id: String,
    spans: Vec<Span>,
    clock_offsets: Vec<ClockOffset>,
    repeated_rows: usize,
}

/// One span and its place in the tree.
#[derive(Debug, Clone)]
pub struct Span {
    /// The row as it was recorded.
    pub row: SpanRow,
    /// Corrected start in nanoseconds since 1970.
    pub start_ns: i64,
    /// Duration in nanoseconds, at least 0.
    pub duration_ns: i64,
    /// Index of the parent in [`Trace::spans`]. `None` for a root.
    pub parent: Option<usize>,
    /// Indices of the children, in the order of their corrected start.
    pub children: Vec<usize>,
    /// Number of spans above this one.
    pub depth: usize,
    /// Number of spans in the tree below this one, itself included.
    pub tree_size: usize,
    /// The reason why a span that names a parent is a root. `None` for every other span.
    pub detached: Option<Detached>,
    /// Whether an earlier span of the trace has the same id, so that children of this id belong to that one.
    pub repeats_id: bool,
}

/// The reason why a span that names a parent is a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detached {
    /// The trace has no span with the id of the parent.
    MissingParent,
    /// The trace has no span with the id of the parent, and the node to which it belonged ended before its time.
    KilledNode {
        /// Name of the node.
        node: String,
    },
    /// The parents of the span form a cycle.
    Cycle,
}

impl Span {
    /// Returns the corrected end in nanoseconds since 1970.
    pub fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// Returns whether the span failed.
    pub fn has_error(&self) -> bool {
        self.row.error.is_some()
    }

    /// Returns whether the span failed or a rule affected it.
    pub fn is_marked(&self) -> bool {
        self.has_error() || self.row.rules.is_some()
    }
}

impl Trace {
    /// Builds the tree of the rows of one trace, which may be in any order. No row is lost, except rows that are equal
    /// to an earlier one in every column.
    pub fn new(rows: Vec<SpanRow>, incidents: &Incidents) -> Self {
        let id = rows.first().map(|row| row.trace_id.clone()).unwrap_or_default();
        let Linked {
            mut spans,
            repeated_rows,
        } = link(rows);
        mark_missing_parents(&mut spans, incidents);
        cut_cycles(&mut spans);
        let clock_offsets = clock::correct(&mut spans);
        Self {
            id,
            spans: in_order(spans),
            clock_offsets,
            repeated_rows,
        }
    }

    /// Returns the id, 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns all spans. A parent precedes its children.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the clocks that were corrected, by name of the node.
    pub fn clock_offsets(&self) -> &[ClockOffset] {
        &self.clock_offsets
    }

    /// Returns the number of rows that were equal to another one and are not among the spans.
    pub fn repeated_rows(&self) -> usize {
        self.repeated_rows
    }

    /// Returns the indices of the spans without a parent. The first is the main root.
    pub fn roots(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let root = next;
            next += self.spans.get(root)?.tree_size;
            Some(root)
        })
    }

    /// Returns the span that began the trace, or the first detached one if it is missing. `None` for an empty trace.
    pub fn main_root(&self) -> Option<&Span> {
        self.spans.first()
    }

    /// Returns the step of the main root. `None` if it has none.
    pub fn step(&self) -> Option<u64> {
        self.main_root()?.row.step
    }

    /// Returns the earliest start and the latest end in nanoseconds since 1970. `None` for an empty trace.
    pub fn extent_ns(&self) -> Option<(i64, i64)> {
        let start = self.spans.iter().map(|span| span.start_ns).min()?;
        let end = self.spans.iter().map(Span::end_ns).max()?;
        Some((start, end))
    }
}

struct Linked {
    spans: Vec<Span>,
    repeated_rows: usize,
}

/// Finds the parent of each span. The result may have cycles.
fn link(rows: Vec<SpanRow>) -> Linked {
    let mut spans: Vec<Span> = Vec::with_capacity(rows.len());
    let mut by_id: HashMap<String, Vec<usize>> = HashMap::with_capacity(rows.len());
    let mut repeated_rows = 0;
    for row in rows {
        let same_id = by_id.entry(row.span_id.clone()).or_default();
        // A file with many different spans of one id must not take quadratic time, so only the nearest are compared.
        if same_id
            .iter()
            .rev()
            .take(8)
            .any(|&earlier| spans[earlier].row == row)
        {
            repeated_rows += 1;
            continue;
        }
        let repeats_id = !same_id.is_empty();
        same_id.push(spans.len());
        spans.push(Span {
            start_ns: bounded(row.started_ns),
            duration_ns: bounded(row.duration_ns),
            row,
            parent: None,
            children: Vec::new(),
            depth: 0,
            tree_size: 1,
            detached: None,
            repeats_id,
        });
    }
    for span in &mut spans {
        let Some(parent) = &span.row.parent_id else {
            continue;
        };
        span.parent = by_id.get(parent).and_then(|same_id| same_id.first()).copied();
        if span.parent.is_none() {
            span.detached = Some(Detached::MissingParent);
        }
    }
    Linked { spans, repeated_rows }
}

fn bounded(ns: u64) -> i64 {
    i64::try_from(ns).map_or(MAX_NS, |ns| ns.min(MAX_NS))
}

/// Marks the spans whose missing parent belonged to a node that ended before its time.
fn mark_missing_parents(spans: &mut [Span], incidents: &Incidents) {
    if incidents.is_empty() {
        return;
    }
    let root = spans.iter().find(|span| span.row.parent_id.is_none());
    let client = || spans.iter().find(|span| span.row.kind == CLIENT);
    let caller = root.or_else(client).map(|span| span.row.node.clone());
    for span in spans {
        if span.detached != Some(Detached::MissingParent) {
            continue;
        }
        let row = &span.row;
        let killed = if row.kind == SERVER {
            // The parent is a span of the caller. Without any span of it in the trace, it is a validator that ended.
            match &caller {
                Some(caller) => incidents.of(caller),
                None => incidents.of_a_caller(&row.node),
            }
        } else {
            incidents.of_start(&row.node, row.incarnation)
        };
        if let Some(node) = killed {
            span.detached = Some(Detached::KilledNode {
                node: node.to_owned(),
            });
        }
    }
}

/// Makes one span of each cycle of parents a root.
fn cut_cycles(spans: &mut [Span]) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnWalk,
        Rooted,
    }
    let mut states = vec![State::New; spans.len()];
    let mut walk = Vec::new();
    for start in 0..spans.len() {
        let mut next = Some(start);
        while let Some(index) = next {
            match states[index] {
                State::New => {
                    states[index] = State::OnWalk;
                    walk.push(index);
                    next = spans[index].parent;
                }
                State::OnWalk => {
                    spans[index].parent = None;
                    spans[index].detached = Some(Detached::Cycle);
                    break;
                }
                State::Rooted => break,
            }
        }
        for index in walk.drain(..) {
            states[index] = State::Rooted;
        }
    }
}

/// Returns the children of each span, by index, in the order of their start, and the roots: the one that names no
/// parent before the detached ones.
pub(crate) fn families(spans: &[Span]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&index| (spans[index].start_ns, index));
    let mut roots = Vec::new();
    let mut children = vec![Vec::new(); spans.len()];
    for index in order {
        match spans[index].parent {
            Some(parent) => children[parent].push(index),
            None => roots.push(index),
        }
    }
    roots.sort_by_key(|&root| spans[root].detached.is_some());
    (roots, children)
}

/// Puts each span before its children.
fn in_order(spans: Vec<Span>) -> Vec<Span> {
    let (roots, children) = families(&spans);
    let mut places = vec![0; spans.len()];
    let mut order = Vec::with_capacity(spans.len());
    let mut waiting: Vec<(usize, usize)> = roots.iter().rev().map(|&root| (root, 0)).collect();
    while let Some((index, depth)) = waiting.pop() {
        places[index] = order.len();
        order.push((index, depth));
        waiting.extend(children[index].iter().rev().map(|&child| (child, depth + 1)));
    }
    let mut spans: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
    let mut ordered: Vec<Span> = Vec::with_capacity(order.len());
    for (index, depth) in order {
        let mut span = spans[index].take().expect("the walk visits each span once");
        span.depth = depth;
        span.parent = span.parent.map(|parent| places[parent]);
        span.children = children[index].iter().map(|&child| places[child]).collect();
        ordered.push(span);
    }
    for index in (0..ordered.len()).rev() {
        if let Some(parent) = ordered[index].parent {
            ordered[parent].tree_size += ordered[index].tree_size;
        }
    }
    ordered
}
