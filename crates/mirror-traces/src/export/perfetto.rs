//! The Trace Event Format of Chrome, which Perfetto opens: complete events (`X`) of processes and threads, with flow
//! events from client to server spans.
//!
//! A node is a process. Events on one thread must be nested, so spans of one node that overlap are put on different
//! threads, called lanes here. Lanes are counted separately for each node that has roots, because the steps of one
//! validator follow one another and can share lanes. A server span that ends after the root of its trace has a lane to
//! itself.
//!
//! Times are in microseconds since the first span of the file, because a JSON number cannot hold nanoseconds since
//! 1970. Times of spans before that one are negative.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::json;

use super::attributes::attributes;
use super::{Export, Format, Items};
use crate::trace::{Span, Trace};

pub(super) const FORMAT: Format = Format {
    name: "perfetto",
    about: "the Trace Event Format, which Perfetto and Chrome open",
    new: || Box::new(Perfetto::default()),
};

/// Process and thread of an event.
type Track = (u64, u64);

#[derive(Default)]
struct Perfetto {
    /// Start of the first span of the file, in nanoseconds since 1970.
    origin: Option<i64>,
    items: Items,
    /// Process ids of nodes.
    processes: HashMap<String, u64>,
    /// Thread ids by process and lane.
    threads: HashMap<(u64, Lane), u64>,
    /// Number of threads so far.
    thread_count: u64,
    /// Number of flows so far.
    flows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    /// A lane for the traces whose first root belongs to a node, numbered from 0.
    Shared(String, usize),
    /// A lane for one span.
    Single,
}

impl Export for Perfetto {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")
    }

    fn trace(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
        let spans = trace.spans();
        if let Some((start, _)) = trace.extent() {
            self.origin.get_or_insert(start);
        }
        let mut tracks = Vec::with_capacity(spans.len());
        for (span, lane) in spans.iter().zip(lanes(trace)) {
            tracks.push(self.track(&span.row.node, lane, out)?);
        }
        for (span, track) in spans.iter().zip(&tracks) {
            self.complete_event(span, *track, out)?;
            let client = span
                .parent
                .filter(|parent| span.is_server() && spans[*parent].is_client());
            if let Some(client) = client {
                self.flow([(spans[client].start, tracks[client]), (span.start, *track)], out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n]}\n")
    }
}

impl Perfetto {
    fn microseconds(&self, time: i64) -> f64 {
        (time - self.origin.unwrap_or_default()) as f64 / 1e3
    }

    fn complete_event(
        &mut self,
        span: &Span,
        (process, thread): Track,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut arguments = attributes(span);
        arguments.insert("trace_id".to_owned(), span.row.trace_id.as_str().into());
        arguments.insert("span_id".to_owned(), span.row.span_id.as_str().into());
        if let Some(error) = &span.row.error {
            arguments.insert("error".to_owned(), error.as_str().into());
        }
        let event = json!({
            "ph": "X",
            "name": span.row.name,
            "cat": span.row.kind,
            "pid": process,
            "tid": thread,
            "ts": self.microseconds(span.start),
            "dur": span.duration as f64 / 1e3,
            "args": arguments,
        });
        self.items.write(&event, out)
    }

    /// Writes an arrow between the starts of a client span and of its server span.
    fn flow(&mut self, ends: [(i64, Track); 2], out: &mut dyn Write) -> io::Result<()> {
        self.flows += 1;
        for (kind, (time, (process, thread))) in ["s", "f"].into_iter().zip(ends) {
            let event = json!({
                "ph": kind,
                "bp": "e",
                "id": self.flows,
                "name": "call",
                "cat": "call",
                "pid": process,
                "tid": thread,
                "ts": self.microseconds(time),
            });
            self.items.write(&event, out)?;
        }
        Ok(())
    }

    /// Returns the process and the thread of a lane of a node, which are named when they first occur.
    fn track(&mut self, node: &str, lane: Lane, out: &mut dyn Write) -> io::Result<Track> {
        let process = if let Some(process) = self.processes.get(node) {
            *process
        } else {
            let process = self.processes.len() as u64 + 1;
            self.processes.insert(node.to_owned(), process);
            self.name("process_name", (process, 0), node, out)?;
            process
        };
        let name = match &lane {
            Lane::Shared(owner, number) if owner == node => format!("{node} {number}"),
            Lane::Shared(owner, number) => format!("for {owner} {number}"),
            Lane::Single => "after the step".to_owned(),
        };
        let key = (process, lane);
        if let Some(thread) = self.threads.get(&key) {
            return Ok((process, *thread));
        }
        self.thread_count += 1;
        let track = (process, self.thread_count);
        if key.1 != Lane::Single {
            self.threads.insert(key, self.thread_count);
        }
        self.name("thread_name", track, &name, out)?;
        Ok(track)
    }

    fn name(
        &mut self,
        kind: &str,
        (process, thread): Track,
        name: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let event =
            json!({ "ph": "M", "name": kind, "pid": process, "tid": thread, "args": { "name": name } });
        self.items.write(&event, out)
    }
}

/// Returns the lane of each span of a trace.
fn lanes(trace: &Trace) -> Vec<Lane> {
    let spans = trace.spans();
    let root = trace.roots().first().map(|root| &spans[*root]);
    let owner = root.map_or("", |root| &root.row.node);
    let last_end = root.map_or(i64::MAX, Span::end);
    let mut lanes = vec![Lane::Single; spans.len()];
    // The ends of the spans that contain the current one, on each lane of each node, the innermost last.
    let mut open: HashMap<&str, Vec<Vec<i64>>> = HashMap::new();
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| (spans[*index].start, Reverse(spans[*index].duration)));
    for index in order {
        let span = &spans[index];
        if span.end() > last_end {
            continue;
        }
        let of_node = open.entry(&span.row.node).or_default();
        for ends in of_node.iter_mut() {
            while ends.last().is_some_and(|end| *end <= span.start) {
                ends.pop();
            }
        }
        let parent_lane = span
            .parent
            .filter(|parent| spans[*parent].row.node == span.row.node)
            .and_then(|parent| match &lanes[parent] {
                Lane::Shared(_, number) => Some(*number),
                Lane::Single => None,
            });
        let is_nested = |lane: &usize| {
            let ends = of_node.get(*lane);
            ends.is_some_and(|ends| ends.last().is_none_or(|end| span.end() <= *end))
        };
        let number = parent_lane
            .filter(is_nested)
            .or_else(|| of_node.iter().position(Vec::is_empty))
            .unwrap_or(of_node.len());
        if number == of_node.len() {
            of_node.push(Vec::new());
        }
        of_node[number].push(span.end());
        lanes[index] = Lane::Shared(owner.to_owned(), number);
    }
    lanes
}
