//! A waterfall with a bounded number of lines.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::Line;
use crate::critical_path::Segment;
use crate::trace::Trace;

/// Returns at most `limit` of the `lines` of a trace, in their order. Spans on the critical path `path` come first,
/// then spans with an error or a rule, then all others, and in each class longer ones before shorter ones. A line is
/// returned only with the spans above it, so that the lines are a tree.
pub fn limited(trace: &Trace, lines: &[Line], path: &[Segment], limit: usize) -> Vec<Line> {
    let on_path: HashSet<usize> = path.iter().map(|segment| segment.span).collect();
    let parents = parents(trace, lines);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_cached_key(|&place| {
        let (is_on_path, is_marked, duration_ns) = match &lines[place] {
            Line::Span(index) => {
                let span = &trace.spans()[*index];
                (on_path.contains(index), span.is_marked(), span.duration_ns)
            }
            Line::Folded(folded) => (folded.waited_ns > 0, false, folded.longest_ns),
        };
        (
            Reverse(is_on_path),
            Reverse(is_marked),
            Reverse(duration_ns),
            place,
        )
    });
    let mut chosen = vec![false; lines.len()];
    let mut remaining = limit;
    for place in order {
        // The line and the lines above it that are not chosen yet. More than `remaining` cannot be chosen.
        let missing = std::iter::successors(Some(place), |&place| parents[place]);
        let missing: Vec<usize> = missing
            .take_while(|&place| !chosen[place])
            .take(remaining.saturating_add(1))
            .collect();
        if missing.len() <= remaining {
            remaining -= missing.len();
            for place in missing {
                chosen[place] = true;
            }
        }
        if remaining == 0 {
            break;
        }
    }
    let lines = lines.iter().zip(chosen).filter(|(_, is_chosen)| *is_chosen);
    lines.map(|(line, _)| line.clone()).collect()
}

/// Returns the place of the line above each line.
fn parents(trace: &Trace, lines: &[Line]) -> Vec<Option<usize>> {
    // The last span at each depth.
    let mut above: Vec<usize> = Vec::new();
    let parent = |(place, line): (usize, &Line)| {
        above.truncate(line.depth(trace));
        let parent = above.last().copied();
        if matches!(line, Line::Span(_)) {
            above.push(place);
        }
        parent
    };
    lines.iter().enumerate().map(parent).collect()
}
