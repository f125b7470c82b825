//! Corrects the clocks of nodes that disagree, within one trace.
//!
//! All spans of a node are on the clock of the node. A server works while its client waits, so a server span that is
//! outside its client span shows that the two clocks disagree. The correction follows the clock skew adjuster of Jaeger
//! (`internal/uimodel/adjuster/clockskew.go`): it puts the server span into the middle of the client span, as if the
//! request and the answer took the same time.

use std::collections::{BTreeMap, VecDeque};

use mirror_statistics::Quantiles;

use crate::duration;
use crate::trace::{CLIENT, MAX_NS, SERVER, Span, families};

/// The correction of the clock of one node in one trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockOffset {
    /// Name of the node.
    pub node: String,
    /// The time in nanoseconds by which its clock is ahead of the clock of the main root. Negative if it is behind.
    pub ahead_ns: i64,
}

impl std::fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = if self.ahead_ns < 0 { "behind" } else { "ahead" };
        write!(
            f,
            "the clock of {} is {} {side}; its spans are shown corrected",
            self.node,
            duration::text(self.ahead_ns.saturating_abs())
        )
    }
}

/// A server span and its client span, by index.
#[derive(Debug, Clone, Copy)]
struct Call {
    client: usize,
    server: usize,
}

/// Corrects the starts of all spans, and returns the offsets that were not zero, by name of the node.
///
/// The offset of a node is the median over its calls from the first node, seen from the main root, that calls it.
pub(crate) fn correct(spans: &mut [Span]) -> Vec<ClockOffset> {
    let calls = calls(spans);
    if calls.is_empty() {
        return Vec::new();
    }
    let mut offsets: BTreeMap<String, i64> = BTreeMap::new();
    // Breadth first from the main root. Nodes that it does not reach keep their clock and call others in turn.
    let (roots, _) = families(spans);
    for root in roots {
        let node = &spans[root].row.node;
        if offsets.contains_key(node) {
            continue;
        }
        offsets.insert(node.clone(), 0);
        let mut waiting = VecDeque::from([node.as_str()]);
        while let Some(client) = waiting.pop_front() {
            let client_ahead = offsets[client];
            for (server, calls) in calls.get(client).into_iter().flatten() {
                if offsets.contains_key(*server) {
                    continue;
                }
                offsets.insert((*server).to_owned(), offset(spans, calls, client_ahead));
                waiting.push_back(server);
            }
        }
    }
    offsets.retain(|_, ahead_ns| *ahead_ns != 0);
    for span in spans.iter_mut() {
        if let Some(ahead_ns) = offsets.get(&span.row.node) {
            span.start_ns = span.start_ns.saturating_sub(*ahead_ns).clamp(-MAX_NS, MAX_NS);
        }
    }
    offsets
        .into_iter()
        .map(|(node, ahead_ns)| ClockOffset { node, ahead_ns })
        .collect()
}

/// Returns the calls by the node of the client and the node of the server.
fn calls(spans: &[Span]) -> BTreeMap<&str, BTreeMap<&str, Vec<Call>>> {
    let mut calls: BTreeMap<&str, BTreeMap<&str, Vec<Call>>> = BTreeMap::new();
    for (server, span) in spans.iter().enumerate() {
        let Some(client) = span.parent else { continue };
        let (client_row, row) = (&spans[client].row, &span.row);
        if row.kind == SERVER && client_row.kind == CLIENT && row.node != client_row.node {
            let of_client = calls.entry(&client_row.node).or_default();
            of_client
                .entry(&row.node)
                .or_default()
                .push(Call { client, server });
        }
    }
    calls
}

/// Returns the time by which the clock of a server is ahead, if the clock of its client is ahead by `client_ahead`.
/// It is 0 if all server spans are inside their client spans without a correction.
fn offset(spans: &[Span], calls: &[Call], client_ahead: i64) -> i64 {
    let mut are_inside = true;
    let mut offsets = Vec::with_capacity(calls.len());
    for call in calls {
        let (client, server) = (&spans[call.client], &spans[call.server]);
        let client_start = client.start_ns.saturating_sub(client_ahead);
        let client_end = client_start.saturating_add(client.duration_ns);
        let remaining = client.duration_ns - server.duration_ns;
        // A client that gave up does not wait for the end of the server's work.
        let may_outlive = remaining < 0 || client.has_error();
        are_inside &= server.start_ns >= client_start
            && if may_outlive {
                server.start_ns <= client_end
            } else {
                server.end_ns() <= client_end
            };
        let start = client_start.saturating_add(remaining.max(0) / 2);
        offsets.push(server.start_ns.saturating_sub(start).clamp(-MAX_NS, MAX_NS));
    }
    if are_inside {
        return 0;
    }
    median(offsets)
}

/// Returns the median. Differences from the least value are exact as floating-point numbers up to 104 days, which times
/// since 1970 are not.
fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    let Some(&least) = values.first() else { return 0 };
    let differences: Vec<f64> = values
        .iter()
        .map(|value| value.saturating_sub(least) as f64)
        .collect();
    let median = Quantiles::of(&differences).and_then(|sorted| sorted.at(0.5));
    least.saturating_add(median.unwrap_or_default() as i64)
}
