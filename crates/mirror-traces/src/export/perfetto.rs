//! Chrome's JSON trace events, which Perfetto opens: a process for each node, and arrows from clients to servers.
//!
//! Perfetto distinguishes threads by their number alone and takes the number 0 for an idle processor, so the threads of
//! all processes have different numbers from 1 on. As in Linux, that of the first thread is that of the process.
//!
//! On one thread, events must be inside each other or apart, or Perfetto drops them. So spans of a node at the same
//! time are on different threads, unless one is above the other in the tree. The times at which each thread is busy are
//! kept, 16 bytes for each tree of spans that follow each other on a thread.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Exporter, attributes, element};
use crate::neurons::Neurons;
use crate::trace::{CLIENT, SERVER, Span, Trace};

/// Largest number of threads of a node. Spans that would need more are on the last one, where Perfetto may drop them.
const MAX_THREADS: usize = 1_024;

const START: &str = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";

pub(super) struct Perfetto {
    is_first: bool,
    /// Threads by node.
    nodes: HashMap<String, Node>,
    flows: u64,
}

struct Node {
    /// Number of the process, from 1.
    process: usize,
    threads: Vec<Busy>,
}

/// The times at which a thread is busy: end by start in microseconds, none of which overlap.
#[derive(Default)]
struct Busy(BTreeMap<i64, i64>);

impl Busy {
    fn is_free(&self, start: i64, end: i64) -> bool {
        let before = self.0.range(..=start).next_back();
        let after = self.0.range(start..).next();
        before.is_none_or(|(_, &before_end)| before_end <= start)
            && after.is_none_or(|(&next, _)| end <= next && next > start)
    }

    /// Adds a time, together with one that ends when it starts.
    fn add(&mut self, start: i64, end: i64) {
        match self.0.range_mut(..start).next_back() {
            Some((_, before_end)) if *before_end == start => *before_end = end,
            _ => {
                let known = self.0.entry(start).or_insert(end);
                *known = end.max(*known);
            }
        }
    }
}

impl Default for Perfetto {
    fn default() -> Self {
        Self {
            is_first: true,
            nodes: HashMap::new(),
            flows: 0,
        }
    }
}

/// The place of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    /// Number of the process, from 1.
    process: usize,
    /// Index of the thread in its node.
    thread: usize,
}

impl Place {
    /// Returns the number of the process in the file.
    fn pid(self) -> usize {
        self.process * MAX_THREADS
    }

    /// Returns the number of the thread in the file.
    fn tid(self) -> usize {
        self.pid() + self.thread
    }
}

/// Returns the start and the end of a span in microseconds since 1970. Both are rounded down, so that spans inside
/// others stay there.
fn micros(span: &Span) -> (i64, i64) {
    (span.start_ns.div_euclid(1_000), span.end_ns().div_euclid(1_000))
}

/// The spans of a trace that are open at each place, by index, the innermost last.
type Open = HashMap<Place, Vec<usize>>;

impl Perfetto {
    fn event(&mut self, out: &mut dyn Write, event: &Value) -> io::Result<()> {
        element(out, &mut self.is_first, START, event)
    }

    /// Writes the name of the process or the thread at `place`.
    fn name(&mut self, out: &mut dyn Write, what: &str, place: Place, name: &str) -> io::Result<()> {
        let (pid, tid) = (place.pid(), place.tid());
        self.event(
            out,
            &json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } }),
        )
    }

    /// Returns the places of the spans of a trace, and writes the names of new processes and threads.
    fn places(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<Vec<Place>> {
        let spans = trace.spans();
        let mut order: Vec<usize> = (0..spans.len()).collect();
        // A parent precedes its children: of the same start the longer is first, and of the same time the parent.
        order.sort_by_key(|&index| {
            let (start, end) = micros(&spans[index]);
            (start, -end, index)
        });
        let mut places: Vec<Option<Place>> = vec![None; spans.len()];
        let mut open = Open::new();
        for index in order {
            let span = &spans[index];
            let node = &span.row.node;
            let processes = self.nodes.len();
            if !self.nodes.contains_key(node) {
                let process = processes + 1;
                let threads = Vec::new();
                self.nodes.insert(node.clone(), Node { process, threads });
                self.name(out, "process_name", Place { process, thread: 0 }, node)?;
            }
            let parent = span.parent.and_then(|parent| places[parent]);
            let known = self.nodes.get_mut(node).expect("the node was added");
            let process = known.process;
            let preferred = parent.filter(|parent| parent.process == process);
            let preferred = preferred.map(|parent| parent.thread);
            let mut threads = preferred.into_iter().chain(0..known.threads.len());
            let free = threads.find(|&thread| {
                let place = Place { process, thread };
                take(trace, index, place, &mut known.threads[thread], &mut open)
            });
            let thread = match free {
                Some(thread) => thread,
                None if known.threads.len() == MAX_THREADS => MAX_THREADS - 1,
                None => {
                    let thread = known.threads.len();
                    let mut busy = Busy::default();
                    let place = Place { process, thread };
                    take(trace, index, place, &mut busy, &mut open);
                    known.threads.push(busy);
                    self.name(out, "thread_name", place, &format!("{node} {}", thread + 1))?;
                    thread
                }
            };
            places[index] = Some(Place { process, thread });
        }
        Ok(places.into_iter().flatten().collect())
    }
}

/// Puts a span on a thread. Returns whether it fits: inside a span above it in the tree, or where the thread is free.
fn take(trace: &Trace, index: usize, place: Place, busy: &mut Busy, open: &mut Open) -> bool {
    let spans = trace.spans();
    let (start, end) = micros(&spans[index]);
    let open = open.entry(place).or_default();
    while open.last().is_some_and(|&last| micros(&spans[last]).1 <= start) {
        open.pop();
    }
    let fits = match open.last() {
        Some(&last) => {
            let is_above = (last..last + spans[last].tree_size).contains(&index);
            is_above && end <= micros(&spans[last]).1
        }
        None => busy.is_free(start, end),
    };
    if fits {
        if open.is_empty() {
            busy.add(start, end);
        }
        open.push(index);
    }
    fits
}

impl Exporter for Perfetto {
    fn trace(&mut self, trace: &Trace, neurons: &Neurons, out: &mut dyn Write) -> io::Result<()> {
        let places = self.places(trace, out)?;
        for (span, place) in trace.spans().iter().zip(&places) {
            let row = &span.row;
            let (start, end) = micros(span);
            let mut arguments: serde_json::Map<String, Value> =
                attributes::of_span(row, neurons).into_iter().collect();
            arguments.insert("trace_id".to_owned(), Value::from(&*row.trace_id));
            arguments.insert("span_id".to_owned(), Value::from(&*row.span_id));
            if let Some(error) = &row.error {
                arguments.insert("error".to_owned(), Value::from(&**error));
            }
            self.event(
                out,
                &json!({
                    "ph": "X", "name": row.name, "cat": row.kind, "ts": start, "dur": end - start,
                    "pid": place.pid(), "tid": place.tid(), "args": arguments,
                }),
            )?;
            let Some(parent) = span.parent.filter(|_| row.kind == SERVER) else {
                continue;
            };
            let client = &trace.spans()[parent];
            if client.row.kind != CLIENT {
                continue;
            }
            self.flows += 1;
            let id = self.flows;
            let from = places[parent];
            let flow = json!({
                "ph": "s", "id": id, "name": "call", "cat": "call", "ts": micros(client).0,
                "pid": from.pid(), "tid": from.tid(),
            });
            self.event(out, &flow)?;
            let flow = json!({
                "ph": "f", "bp": "e", "id": id, "name": "call", "cat": "call", "ts": start,
                "pid": place.pid(), "tid": place.tid(),
            });
            self.event(out, &flow)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let start = if self.is_first { START } else { "" };
        writeln!(out, "{start}\n]}}")
    }
}
