//! Sample spans and runs.

#![allow(dead_code, reason = "each test file uses only some of the functions")]

use std::path::Path;

use mirror_runs::tables::SpanRow;
use mirror_runs::telemetry::Parts;
use mirror_runs::{Ended, NewRun, Recorder, Run, RunDirectory};
use mirror_traces::{EndedNodes, Trace};

/// Start of all sample traces in nanoseconds since 1970.
pub(crate) const START: u64 = 1_700_000_000_000_000_000;

pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Returns an internal span of `validator-0`, which starts `from` milliseconds after the start and ends at `to`.
pub(crate) fn span(id: u64, parent: Option<u64>, name: &str, (from, to): (u64, u64)) -> SpanRow {
    SpanRow {
        trace_id: format!("{:032x}", 0xabcd),
        span_id: format!("{id:016x}"),
        parent_id: parent.map(|parent| format!("{parent:016x}")),
        name: name.to_owned(),
        kind: "internal".to_owned(),
        node: "validator-0".to_owned(),
        incarnation: 0,
        started_ns: START + from * MILLISECOND,
        duration_ns: (to - from) * MILLISECOND,
        step: None,
        forward_index: None,
        uid: None,
        block: None,
        code: None,
        error: None,
        rules: None,
        links: None,
        attributes: None,
        dropped_attributes: 0,
    }
}

/// Returns the client span of a call of an axon.
pub(crate) fn call(id: u64, parent: u64, uid: u32, times: (u64, u64)) -> SpanRow {
    SpanRow {
        kind: "client".to_owned(),
        uid: Some(uid),
        ..span(id, Some(parent), "dendrite.forward", times)
    }
}

/// Returns the server span of a call of an axon.
pub(crate) fn answer(id: u64, parent: u64, uid: u32, times: (u64, u64)) -> SpanRow {
    SpanRow {
        kind: "server".to_owned(),
        node: format!("miner-{uid}"),
        uid: Some(uid),
        ..span(id, Some(parent), "axon.forward", times)
    }
}

pub(crate) fn trace(rows: Vec<SpanRow>) -> Trace {
    Trace::of(rows, &EndedNodes::default())
}

/// Returns a run with this seed and these spans, which has ended.
pub(crate) fn run_of(runs_dir: &Path, seed: u64, rows: Vec<SpanRow>) -> Run {
    let new = NewRun {
        experiment: "Traced".to_owned(),
        experiment_yml: String::new(),
        resolved_yml: String::new(),
        seed,
        job_type: "default".to_owned(),
        ..NewRun::default()
    };
    let run = RunDirectory::create(runs_dir, &new).expect("a new run");
    let path = run.layout().root().to_owned();
    let id = path.file_name().and_then(|name| name.to_str()).expect("an id");
    let mut parts = Parts::<SpanRow>::create(run.layout(), id).expect("a folder");
    parts.write(rows).expect("spans are written");
    let recorder = Recorder::start(run, Recorder::SEGMENT_BYTES).expect("a recorder");
    recorder.finish(Ended::Done).expect("finishing");
    Run::open(path).expect("a run that has ended opens")
}
