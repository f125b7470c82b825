//! A trace as lines in the order of time: which spans a person sees, and the lines as text.

mod limited;
pub mod text;
mod words;

use std::collections::BTreeMap;

use crate::critical_path::critical_path;
use crate::trace::Trace;

pub use limited::limited;
pub use words::{remark, title};

/// Siblings of one name that are all shown.
const ALL_SHOWN: usize = 8;

/// Number of the slowest siblings that are shown if there are more than [`ALL_SHOWN`].
const SLOWEST_SHOWN: usize = 5;

/// Largest number of siblings on the critical path that are shown in addition: those that the trace waited for longest.
const WAITED_SHOWN: usize = 10;

/// Largest number of siblings with an error or a rule that are shown in addition.
const MARKED_SHOWN: usize = 10;

/// Selects the spans that a waterfall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Of many siblings with the same name, only the slowest, those on the critical path, and those with errors or
    /// rules.
    Similar,
    /// No span is left out.
    None,
}

/// One line of a waterfall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A span, by its index in [`Trace::spans`].
    Span(usize),
    /// Siblings of the same name that have no line, with all spans below them.
    Folded(Folded),
}

impl Line {
    /// Returns the number of spans above the spans of the line.
    pub fn depth(&self, trace: &Trace) -> usize {
        match self {
            Self::Span(index) => trace.spans()[*index].depth,
            Self::Folded(folded) => folded.depth,
        }
    }
}

/// Siblings of the same name that a waterfall leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Name of the spans.
    pub name: String,
    /// Number of spans above each of them.
    pub depth: usize,
    /// Number of the siblings, 1 or more.
    pub count: usize,
    /// Number of those with an error or a rule.
    pub marked: usize,
    /// The least duration in nanoseconds.
    pub shortest_ns: i64,
    /// The greatest duration in nanoseconds.
    pub longest_ns: i64,
    /// Time in nanoseconds in which the main root waited for one of them, with the spans below them.
    pub waited_ns: i64,
    /// The earliest start in nanoseconds since 1970.
    pub start_ns: i64,
    /// The latest end in nanoseconds since 1970.
    pub end_ns: i64,
}

/// Lines that are still to be written: a span with all lines below it, or one line.
enum Next {
    Tree(usize),
    Folded(Folded),
}

/// Returns the lines of a trace.
pub fn lines(trace: &Trace, folding: Folding) -> Vec<Line> {
    if folding == Folding::None {
        return (0..trace.spans().len()).map(Line::Span).collect();
    }
    let waits = waits(trace);
    let mut lines = Vec::new();
    let roots: Vec<usize> = trace.roots().collect();
    let arrange = |siblings: &[usize], next: &mut Vec<Next>| {
        let (shown, folded) = fold(trace, &waits, siblings);
        next.extend(folded.into_iter().rev().map(Next::Folded));
        next.extend(shown.into_iter().rev().map(Next::Tree));
    };
    let mut next = Vec::new();
    arrange(&roots, &mut next);
    while let Some(line) = next.pop() {
        match line {
            Next::Tree(span) => {
                lines.push(Line::Span(span));
                arrange(&trace.spans()[span].children, &mut next);
            }
            Next::Folded(folded) => lines.push(Line::Folded(folded)),
        }
    }
    lines
}

/// Returns the time in nanoseconds in which the main root waited for each span or for spans below it, by index.
fn waits(trace: &Trace) -> Vec<i64> {
    let mut waits = vec![0; trace.spans().len()];
    for segment in critical_path(trace, 0) {
        waits[segment.span] += segment.duration_ns();
    }
    // Parents precede their children.
    for (index, span) in trace.spans().iter().enumerate().rev() {
        if let Some(parent) = span.parent {
            waits[parent] += waits[index];
        }
    }
    waits
}

/// Splits siblings into those that are shown, in their order, and those that are folded, by name.
fn fold(trace: &Trace, waits: &[i64], siblings: &[usize]) -> (Vec<usize>, Vec<Folded>) {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &sibling in siblings {
        let name = &*trace.spans()[sibling].row.name;
        by_name.entry(name).or_default().push(sibling);
    }
    let mut shown = Vec::new();
    let mut all_folded = Vec::new();
    for (name, mut similar) in by_name {
        if similar.len() <= ALL_SHOWN {
            shown.extend(similar);
            continue;
        }
        let span = |index: usize| &trace.spans()[index];
        similar.sort_by_key(|&index| std::cmp::Reverse(span(index).duration_ns));
        let mut waited: Vec<usize> = similar
            .iter()
            .copied()
            .filter(|&index| waits[index] > 0)
            .collect();
        waited.sort_by_key(|&index| std::cmp::Reverse(waits[index]));
        waited.truncate(WAITED_SHOWN);
        let mut marked_shown = 0;
        let mut folded: Option<Folded> = None;
        for (place, index) in similar.into_iter().enumerate() {
            let marked = span(index).is_marked();
            let comes_first = place < SLOWEST_SHOWN || waited.contains(&index);
            if comes_first || marked && marked_shown < MARKED_SHOWN {
                marked_shown += usize::from(marked && !comes_first);
                shown.push(index);
                continue;
            }
            let waited_ns = waits[index];
            let span = span(index);
            let folded = folded.get_or_insert_with(|| Folded {
                name: name.to_owned(),
                depth: span.depth,
                count: 0,
                marked: 0,
                shortest_ns: span.duration_ns,
                longest_ns: span.duration_ns,
                waited_ns: 0,
                start_ns: span.start_ns,
                end_ns: span.end_ns(),
            });
            folded.count += 1;
            folded.marked += usize::from(marked);
            folded.waited_ns += waited_ns;
            folded.shortest_ns = folded.shortest_ns.min(span.duration_ns);
            folded.longest_ns = folded.longest_ns.max(span.duration_ns);
            folded.start_ns = folded.start_ns.min(span.start_ns);
            folded.end_ns = folded.end_ns.max(span.end_ns());
        }
        all_folded.extend(folded);
    }
    shown.sort_unstable();
    (shown, all_folded)
}
