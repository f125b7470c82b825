//! Corrects the times of nodes whose clocks disagree.
//!
//! A server span must be within its client span. Where it is not, the node of the server is shifted as Jaeger's clock
//! skew adjuster does it (`clockskew.go` in Jaeger's sources): half of the time by which the client span is longer than
//! the server span is put on either side. The shift of a node is the median over all its server spans that one other
//! node called, and shifts propagate from the node of the root outwards.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Display};

use serde::Serialize;

use crate::duration::duration_text;
use crate::trace::Span;

/// Limit of an offset in nanoseconds, 36 years.
const OFFSET_LIMIT: i64 = 1 << 60;

/// The offset of a node's clock in one trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClockOffset {
    /// Name of the node.
    pub node: String,
    /// Time in nanoseconds by which the clock of the node is ahead of that of the root's node. Negative if it is
    /// behind.
    pub ahead_ns: i64,
}

impl Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ahead_ns > 0 { "ahead" } else { "behind" };
        let offset = duration_text(self.ahead_ns.saturating_abs());
        let node = &self.node;
        write!(
            f,
            "the clock of {node} is {offset} {word}; its spans are shown corrected"
        )
    }
}

/// Indices of the client and server spans of calls, by the node of the server.
type CallsByServer<'node> = BTreeMap<&'node str, Vec<(usize, usize)>>;

/// Shifts the spans of nodes whose clocks disagree with that of the first root's node, and returns the offsets, sorted
/// by node. Nodes that no chain of calls connects with a root are not shifted.
pub(crate) fn correct(spans: &mut [Span], roots: &[usize]) -> Vec<ClockOffset> {
    let shifts = shifts(spans, roots);
    for span in spans.iter_mut() {
        span.start += shifts.get(&span.row.node).copied().unwrap_or_default();
    }
    let shifted = shifts.into_iter().filter(|(_, shift)| *shift != 0);
    shifted
        .map(|(node, shift)| ClockOffset {
            node,
            ahead_ns: -shift,
        })
        .collect()
}

/// Returns the time that is added to the spans of each node.
fn shifts(spans: &[Span], roots: &[usize]) -> BTreeMap<String, i64> {
    let mut calls: HashMap<&str, CallsByServer<'_>> = HashMap::new();
    for (server, span) in spans.iter().enumerate() {
        let Some(client) = span
            .parent
            .filter(|client| span.is_server() && spans[*client].is_client())
        else {
            continue;
        };
        let (from, to) = (spans[client].row.node.as_str(), span.row.node.as_str());
        if from != to {
            let pairs = calls.entry(from).or_default().entry(to).or_default();
            pairs.push((client, server));
        }
    }
    let mut shifts = BTreeMap::new();
    for root in roots {
        let node = spans[*root].row.node.as_str();
        if shifts.contains_key(node) {
            continue;
        }
        shifts.insert(node.to_owned(), 0);
        let mut reached = VecDeque::from([node]);
        while let Some(from) = reached.pop_front() {
            let shift = shifts[from];
            for (to, pairs) in calls.get(from).into_iter().flatten() {
                if shifts.contains_key(*to) {
                    continue;
                }
                let skews = pairs
                    .iter()
                    .map(|(client, server)| skew(&spans[*client], &spans[*server], shift));
                let median = median(skews.collect());
                shifts.insert((*to).to_owned(), median.clamp(-OFFSET_LIMIT, OFFSET_LIMIT));
                reached.push_back(to);
            }
        }
    }
    shifts
}

/// Returns the time that must be added to the server span so that it is within the client span, to which
/// `client_shift` is added.
fn skew(client: &Span, server: &Span, client_shift: i64) -> i64 {
    let start = client.start + client_shift;
    let remaining = client.duration - server.duration;
    // A client that gave up does not wait for the end of the server span.
    if remaining < 0 || client.row.error.is_some() {
        return (start - server.start).max(0);
    }
    if server.start >= start && server.end() <= start + client.duration {
        return 0;
    }
    start + remaining / 2 - server.start
}

/// Returns the median, the lower one of two.
fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or_default()
}
