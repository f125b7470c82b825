//! Records as nodes report them, and runs to put them in.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{
    AxonCall, BarrierChange, ForwardEvent, NodeIncident, Outcome, Purpose, Record, WeightsSet,
};
use mirror_runs::tables::Row;
use mirror_runs::{Ended, NewRun, Recorder, Run, RunDirectory};

pub(crate) fn new_run() -> NewRun {
    NewRun {
        experiment: "Dummy".to_owned(),
        experiment_yml: "seed: 7\n".to_owned(),
        resolved_yml: "seed: 7\ndevice: cpu\n".to_owned(),
        seed: 7,
        job_type: "default".to_owned(),
        ..NewRun::default()
    }
}

pub(crate) fn start(runs_dir: &Path, segment_bytes: u64) -> (Recorder, PathBuf) {
    let run = RunDirectory::create(runs_dir, &new_run()).expect("a new run");
    let path = run.layout().root().to_owned();
    (Recorder::start(run, segment_bytes).expect("a recorder"), path)
}

/// A run that has ended and holds `records`.
pub(crate) fn run_of(runs_dir: &Path, records: &[Record]) -> Run {
    let (mut recorder, path) = start(runs_dir, Recorder::SEGMENT_BYTES);
    recorder.append(records).expect("appending");
    recorder.finish(Ended::Done).expect("finishing");
    Run::open(path).expect("a run that has ended opens")
}

pub(crate) fn rows<R: Row>(run: &Run) -> Vec<R> {
    let rows = run.rows().expect("the table opens");
    rows.collect::<Result<_, _>>().expect("all rows are read")
}

/// A forward of `validator` that asked the uids 0, 1 and 2: the first answered, the second was silent, the third answered
/// better.
pub(crate) fn forward(validator: &str, step: u64, step_sub: u32) -> ForwardEvent {
    let call = |uid: u32, outcome: Outcome, completion: &str, reward: Option<f32>| AxonCall {
        uid,
        outcome: outcome.into(),
        completion: completion.to_owned(),
        size: completion.len() as u64,
        reward,
        latency: 0.25,
        return_code: 1,
        return_message: "said the axon".to_owned(),
        ..AxonCall::default()
    };
    ForwardEvent {
        validator: validator.to_owned(),
        purpose: Purpose::Query.into(),
        step,
        step_sub,
        block: step,
        metagraph_version: 3,
        method: "train".to_owned(),
        is_question: step_sub == 0,
        message: format!("{validator} asks in step {step}, part {step_sub}"),
        scores: vec![0.5, -0.25, f32::MIN_POSITIVE],
        calls: vec![
            call(0, Outcome::Success, "a fair answer", Some(0.1)),
            call(1, Outcome::Empty, "", None),
            call(2, Outcome::Success, "the better answer", Some(0.9)),
        ],
        best: Some(2),
        gating_loss: (step_sub == 1).then_some(0.125),
        started_at: 1_795_000_000.5,
        call_time: 0.75,
        trace_id: vec![0xab; 16],
    }
}

pub(crate) fn event(forward: ForwardEvent) -> Record {
    kind(Kind::Event(forward))
}

pub(crate) fn weights(validator: &str, step: u64, weights: &[f32]) -> Record {
    kind(Kind::Weights(WeightsSet {
        validator: validator.to_owned(),
        step,
        block: step,
        uids: (0..).take(weights.len()).collect(),
        weights: weights.to_vec(),
        refusal: String::new(),
    }))
}

pub(crate) fn incident(node: &str, what: &str) -> Record {
    kind(Kind::Incident(NodeIncident {
        node: node.to_owned(),
        what: what.to_owned(),
        detail: "signal 9".to_owned(),
        at: 1_795_000_001.0,
        incarnation: 2,
        last_log: "the last line".to_owned(),
    }))
}

pub(crate) fn barrier(validator: &str, block: u64, what: &str) -> Record {
    kind(Kind::Barrier(BarrierChange {
        validator: validator.to_owned(),
        block,
        what: what.to_owned(),
        reason: "exited".to_owned(),
    }))
}

fn kind(kind: Kind) -> Record {
    Record { kind: Some(kind) }
}
