//! Sample records as nodes report them, and runs that contain them.

#![allow(dead_code, reason = "each test file uses only some of the functions")]

use std::path::{Path, PathBuf};

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{
    AxonCall, BarrierRetirement, ClosedTransaction, ClosedTransactions, DispatchError, EpochFindings,
    EpochNeuron, FaultChange, ForwardEvent, IncidentKind, NodeIncident, Outcome, ParameterState, Purpose,
    Record, WeightsSet,
};
use mirror_runs::tables::Row;
use mirror_runs::{Ended, NewRun, Recorder, Run, RunDirectory};

/// Substrate's development key //Alice.
pub(crate) const ALICE: [u8; 32] = [
    0xd4, 0x35, 0x93, 0xc7, 0x15, 0xfd, 0xd3, 0x1c, 0x61, 0x14, 0x1a, 0xbd, 0x04, 0xa9, 0x9f, 0xd6, 0x82,
    0x2c, 0x85, 0x58, 0x85, 0x4c, 0xcd, 0xe3, 0x9a, 0x56, 0x84, 0xe7, 0xa5, 0x6d, 0xa2, 0x7d,
];

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

/// Records a run with `records`, which has ended, and opens it.
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

/// Returns a forward of `validator` to the uids 0, 1 and 2. The first answers, the second does not, and the third gives
/// a better answer.
pub(crate) fn forward(validator: &str, step: u64, forward_index: u32) -> ForwardEvent {
    let call = |uid: u32, outcome: Outcome, completion: &str, reward: Option<f32>| AxonCall {
        uid,
        outcome: outcome.into(),
        completion: completion.to_owned(),
        size: completion.len() as u64,
        reward,
        latency: 0.25,
        return_code: 1,
        return_message: "said the axon".to_owned(),
        backward_code: reward.map(|_| 0),
        faults: Vec::new(),
        ..AxonCall::default()
    };
    ForwardEvent {
        validator: validator.to_owned(),
        purpose: Purpose::Query.into(),
        step,
        forward_index,
        block: step,
        metagraph_version: 3,
        method: "train".to_owned(),
        is_question: forward_index == 0,
        message: format!("{validator} asks in step {step}, forward {forward_index}"),
        scores: vec![0.5, -0.25, f32::MIN_POSITIVE],
        calls: vec![
            call(0, Outcome::Success, "a fair answer", Some(0.1)),
            call(1, Outcome::Empty, "", None),
            call(2, Outcome::Success, "the better answer", Some(0.9)),
        ],
        best: Some(2),
        gating_loss: (forward_index == 1).then_some(0.125),
        started_at: 1_795_000_000.5,
        call_time: 0.75,
        trace_id: vec![0xab; 16],
        truncated_texts: 0,
        unjudged: 0,
        parameters: (forward_index == 1)
            .then(|| ParameterState {
                name: "linear.bias".to_owned(),
                gradient_norm: 0.5,
                minimum: -1.0,
                maximum: 1.0,
                histogram: vec![1, 0, 2],
            })
            .into_iter()
            .collect(),
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
        refusal: None,
    }))
}

pub(crate) fn incident(node: &str, what: IncidentKind) -> Record {
    kind(Kind::Incident(NodeIncident {
        node: node.to_owned(),
        what: what.into(),
        detail: "signal 9".to_owned(),
        at: 1_795_000_001.0,
        incarnation: 2,
        last_log: "the last line".to_owned(),
    }))
}

/// Returns a change of the fault `id`, which is planned to last from `step` to the next step.
pub(crate) fn fault(id: &str, step: u64, lifted: bool) -> FaultChange {
    FaultChange {
        id: id.to_owned(),
        occurrence: 0,
        kind: "link".to_owned(),
        who: "validator-0 to uid 1".to_owned(),
        lifted,
        planned: if lifted {
            String::new()
        } else {
            format!("step {step}")
        },
        planned_end: (!lifted).then(|| format!("step {}", step + 1)),
        at: 1_795_000_000.0 + step as f64,
        step: Some(step),
        block: Some(step),
        manual: false,
        detail: String::new(),
        fault: if lifted {
            String::new()
        } else {
            r#"{"link":{"to":"uid 1"},"drop":0.5}"#.to_owned()
        },
    }
}

pub(crate) fn changed(change: FaultChange) -> Record {
    kind(Kind::Fault(change))
}

pub(crate) fn barrier(validator: &str, block: u64) -> Record {
    kind(Kind::Barrier(BarrierRetirement {
        validator: validator.to_owned(),
        block,
        reason: "exited".to_owned(),
    }))
}

/// Returns a closed block of transactions with the given names and arguments of calls. The last one was refused.
pub(crate) fn closed(block: u64, asked: &[(&str, &str)]) -> Record {
    let transactions = asked.iter().enumerate().map(|(place, (call, arguments))| {
        let last = place + 1 == asked.len();
        ClosedTransaction {
            signer: ALICE.to_vec(),
            nonce: place as u64,
            call: (*call).to_owned(),
            arguments: (*arguments).to_owned(),
            refusal: last.then(|| DispatchError::SettingWeightsTooFast.into()),
        }
    });
    kind(Kind::Transactions(ClosedTransactions {
        block,
        first: 0,
        transactions: transactions.collect(),
    }))
}

/// Returns the record of an epoch of a miner and of the next validator, which has a bond in the miner.
pub(crate) fn epoch(epoch: u64, block: u64, first_uid: u32) -> Record {
    let neuron = |incentive, dividends| EpochNeuron {
        hotkey: ALICE.to_vec(),
        coldkey: vec![1, 2, 3],
        stake: 1_000,
        incentive,
        dividends,
        emission: 500,
        server_emission: u64::from(incentive) / 131,
        validator_emission: u64::from(dividends) / 131,
        validator_permit: dividends > 0,
        active: true,
        ..EpochNeuron::default()
    };
    let validator = EpochNeuron {
        bonded: vec![first_uid],
        bonds: vec![65_535],
        ..neuron(0, 65_535)
    };
    kind(Kind::Epoch(EpochFindings {
        epoch,
        block,
        first_uid,
        neurons: vec![neuron(13_107, 0), validator],
    }))
}

fn kind(kind: Kind) -> Record {
    Record { kind: Some(kind) }
}
