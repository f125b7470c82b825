//! Made-up traces, and runs that contain them.

#![allow(dead_code, reason = "each test file uses only some of the functions")]

use std::path::Path;

use mirror_runs::tables::SpanRow;
use mirror_runs::telemetry::Parts;
use mirror_runs::{Ended, NewRun, Recorder, Run, RunDirectory};
use mirror_traces::{Incidents, Trace};

/// 2026-11-19 in nanoseconds since 1970.
pub(crate) const EPOCH_NS: u64 = 1_795_000_000_000_000_000;

/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// Returns the id of the span with this number.
pub(crate) fn id(number: u64) -> String {
    format!("{number:016x}")
}

/// Returns an internal span of `validator-0` in trace 1, from `start` to `end` in nanoseconds. The root has the number
/// 0 and is its own parent here, and no parent in the row.
pub(crate) fn span(number: u64, parent: u64, name: &str, start: u64, end: u64) -> SpanRow {
    SpanRow {
        trace_id: format!("{:032x}", 1),
        span_id: id(number),
        parent_id: (number != parent).then(|| id(parent)),
        name: name.to_owned(),
        kind: "internal".to_owned(),
        node: "validator-0".to_owned(),
        incarnation: 0,
        started_ns: EPOCH_NS + start,
        duration_ns: end - start,
        ..SpanRow::default()
    }
}

/// Returns a client span of `validator-0` to the axon of `uid`.
pub(crate) fn client(number: u64, parent: u64, uid: u32, start: u64, end: u64) -> SpanRow {
    SpanRow {
        kind: "client".to_owned(),
        uid: Some(uid),
        ..span(number, parent, "dendrite.forward", start, end)
    }
}

/// Returns a server span of the miner with this uid.
pub(crate) fn server(number: u64, parent: u64, uid: u32, start: u64, end: u64) -> SpanRow {
    SpanRow {
        kind: "server".to_owned(),
        uid: Some(uid),
        node: format!("miner-{uid}"),
        ..span(number, parent, "axon.forward", start, end)
    }
}

pub(crate) fn trace(rows: Vec<SpanRow>) -> Trace {
    Trace::new(rows, &Incidents::default())
}

/// Returns the spans of a step with one forward to `latencies.len()` axons, one of each latency in nanoseconds.
/// Planning takes 1 ms at the beginning and the reward 2 ms at the end. Each axon works for all but 1 ms of its call.
pub(crate) fn fan_out(trace: u128, step: u64, latencies: &[u64]) -> Vec<SpanRow> {
    let longest = latencies.iter().max().copied().unwrap_or_default();
    let end = MS + longest + 2 * MS;
    let mut rows = vec![
        SpanRow {
            step: Some(step),
            ..span(0, 0, "step", 0, end)
        },
        span(1, 0, "forward", 0, end),
        span(2, 1, "choose", 0, MS),
        span(3, 1, "reward", end - 2 * MS, end),
    ];
    for (uid, latency) in latencies.iter().enumerate() {
        let number = 10 + 2 * uid as u64;
        let uid = uid as u32;
        let ends = MS + latency;
        rows.push(client(number, 1, uid, MS, ends));
        rows.push(server(number + 1, number, uid, MS + MS / 2, ends - MS / 2));
    }
    for row in &mut rows {
        row.trace_id = format!("{trace:032x}");
    }
    rows
}

/// Records a run with these spans, which has ended, and opens it.
pub(crate) fn run_of(runs_dir: &Path, seed: u64, rows: impl IntoIterator<Item = SpanRow>) -> Run {
    let rows: Vec<SpanRow> = rows.into_iter().collect();
    let new = NewRun {
        experiment: "Traces".to_owned(),
        experiment_yml: "seed: 7\n".to_owned(),
        resolved_yml: "seed: 7\n".to_owned(),
        seed,
        job_type: "default".to_owned(),
        ..NewRun::default()
    };
    let directory = RunDirectory::create(runs_dir, &new).expect("a new run");
    let layout = directory.layout().clone();
    let mut parts = Parts::create(&layout, &directory.manifest().id).expect("a folder for spans");
    let recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).expect("a recorder");
    if !rows.is_empty() {
        parts.write(&rows).expect("a file of spans");
    }
    recorder.finish(Ended::Done).expect("a run that ends");
    Run::open(layout.root()).expect("a run that has ended opens")
}
