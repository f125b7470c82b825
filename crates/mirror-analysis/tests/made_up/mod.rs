//! Made-up runs, recorded as a coordinator records real ones.

#![allow(dead_code, reason = "each test file uses only some of the functions")]

pub(crate) mod spans;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{
    AxonCall, BarrierRetirement, DispatchError, EpochFindings, EpochNeuron, FaultChange, ForwardEvent,
    IncidentKind, NodeIncident, Outcome, Purpose, Record, WeightsSet,
};
use mirror_runs::{Ended, NewRun, Recorder, Run, RunDirectory};
use tempfile::TempDir;

/// A run that has ended, in a directory that is removed when this is dropped.
pub(crate) struct Recorded {
    pub(crate) run: Run,
    _folder: TempDir,
}

pub(crate) fn recorded(records: &[Record]) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let run = recorded_in(folder.path(), records);
    Recorded { run, _folder: folder }
}

pub(crate) fn recorded_in(folder: &Path, records: &[Record]) -> Run {
    let recorder = in_progress(folder, records, Recorder::SEGMENT_BYTES);
    let path = recorder.layout().root().to_owned();
    recorder.finish(Ended::Done).unwrap();
    Run::open(path).unwrap()
}

/// Records a run that has not ended. Segments of its journal are full at `segment_bytes`.
pub(crate) fn in_progress(folder: &Path, records: &[Record], segment_bytes: u64) -> Recorder {
    let new = NewRun {
        experiment: "quick start".to_owned(),
        experiment_yml: "seed: 7\nmodel:\n  id: quick start\n".to_owned(),
        resolved_yml: "seed: 7\n".to_owned(),
        seed: 7,
        job_type: "default".to_owned(),
        group: None,
        tags: vec!["model".to_owned(), "query".to_owned()],
        notes: None,
        versions: [("mirror".to_owned(), "0.1.0".to_owned())].into(),
    };
    let directory = RunDirectory::create(folder, &new).unwrap();
    let mut recorder = Recorder::start(directory, segment_bytes).unwrap();
    for batch in records.chunks(256) {
        recorder.append(batch).unwrap();
    }
    recorder.sync().unwrap();
    recorder
}

/// Returns the plots that are embedded in a page.
pub(crate) fn embedded_figures(html: &str) -> Vec<serde_json::Value> {
    let (_, after) = html
        .split_once("id=\"figures\">")
        .expect("the figures are embedded");
    let (packed, _) = after.split_once("</script>").expect("the figures end");
    let gzip = STANDARD.decode(packed).expect("the figures are in base64");
    serde_json::from_reader(GzDecoder::new(gzip.as_slice())).expect("the figures are JSON")
}

/// Returns an event of `validator-0` without calls.
pub(crate) fn event(step: u64, forward_index: u32) -> ForwardEvent {
    ForwardEvent {
        validator: "validator-0".to_owned(),
        purpose: Purpose::Query.into(),
        step,
        forward_index,
        block: step,
        metagraph_version: 1,
        method: "train".to_owned(),
        is_question: forward_index == 0,
        message: "Which metal is liquid at room temperature?".to_owned(),
        scores: Vec::new(),
        calls: Vec::new(),
        best: None,
        gating_loss: None,
        parameters: Vec::new(),
        started_at: 1_800_000_000.0 + step as f64,
        call_time: 0.5,
        trace_id: vec![1; 16],
        truncated_texts: 0,
        unjudged: 0,
    }
}

pub(crate) fn success(uid: u32, reward: f32, latency: f32) -> AxonCall {
    let completion = format!("It is mercury, says uid {uid} for {reward}.");
    AxonCall {
        size: completion.len() as u64,
        completion,
        reward: Some(reward),
        return_code: 1,
        return_message: "Success".to_owned(),
        ..failure(uid, Outcome::Success, latency)
    }
}

pub(crate) fn failure(uid: u32, outcome: Outcome, latency: f32) -> AxonCall {
    AxonCall {
        uid,
        outcome: outcome.into(),
        grpc_code: 0,
        return_code: 0,
        return_message: String::new(),
        latency,
        size: 0,
        completion: String::new(),
        reward: None,
        timing_dependent: false,
        drawn_delay: None,
        backward_code: None,
        faults: Vec::new(),
    }
}

/// Returns the event with these calls. The best call is the successful one with the highest reward.
pub(crate) fn with_calls(mut event: ForwardEvent, calls: Vec<AxonCall>) -> Record {
    let rewarded = calls.iter().enumerate().filter(|(_, call)| call.reward.is_some());
    event.best = rewarded
        .max_by(|(_, one), (_, other)| {
            one.reward
                .partial_cmp(&other.reward)
                .unwrap_or(std::cmp::Ordering::Less)
        })
        .map(|(position, _)| position as u32);
    event.calls = calls;
    Record {
        kind: Some(Kind::Event(event)),
    }
}

pub(crate) fn weights(
    validator: &str,
    step: u64,
    weights: &[(u32, f32)],
    refusal: Option<DispatchError>,
) -> Record {
    Record {
        kind: Some(Kind::Weights(WeightsSet {
            validator: validator.to_owned(),
            step,
            block: step,
            uids: weights.iter().map(|(uid, _)| *uid).collect(),
            weights: weights.iter().map(|(_, weight)| *weight).collect(),
            refusal: refusal.map(i32::from),
        })),
    }
}

/// Returns an epoch with miners, from uid 0, and their incentives as shares of 65,535, followed by a validator that
/// receives all dividends. One rao is paid for each 65,535th.
pub(crate) fn epoch(epoch: u64, incentives: &[u32]) -> Record {
    let miner = |&incentive: &u32| EpochNeuron {
        incentive,
        server_emission: incentive.into(),
        trust: incentive,
        ..EpochNeuron::default()
    };
    let validator = EpochNeuron {
        dividends: 65_535,
        validator_emission: 65_535,
        validator_trust: 65_535,
        ..EpochNeuron::default()
    };
    Record {
        kind: Some(Kind::Epoch(EpochFindings {
            epoch,
            block: 10 * epoch,
            first_uid: 0,
            neurons: incentives.iter().map(miner).chain([validator]).collect(),
        })),
    }
}

pub(crate) fn incident(
    node: &str,
    what: IncidentKind,
    detail: &str,
    incarnation: u32,
    last_log: &str,
) -> Record {
    Record {
        kind: Some(Kind::Incident(NodeIncident {
            node: node.to_owned(),
            what: what.into(),
            detail: detail.to_owned(),
            at: 1_800_000_012.0,
            incarnation,
            last_log: last_log.to_owned(),
        })),
    }
}

/// Returns the record of a fault that is applied before `step`, or lifted before it. A step takes a second.
pub(crate) fn fault(
    id: &str,
    occurrence: u64,
    kind: &str,
    who: &str,
    step: u64,
    lifted: bool,
) -> FaultChange {
    FaultChange {
        id: id.to_owned(),
        occurrence,
        kind: kind.to_owned(),
        who: who.to_owned(),
        lifted,
        planned: if lifted {
            String::new()
        } else {
            format!("step {step}")
        },
        planned_end: None,
        at: 1_800_000_000.0 + step as f64,
        step: Some(step),
        block: Some(step),
        manual: false,
        detail: String::new(),
        fault: String::new(),
    }
}

pub(crate) fn changed(change: FaultChange) -> Record {
    Record {
        kind: Some(Kind::Fault(change)),
    }
}

pub(crate) fn retired(validator: &str, block: u64) -> Record {
    Record {
        kind: Some(Kind::Barrier(BarrierRetirement {
            validator: validator.to_owned(),
            block,
            reason: "its process exited".to_owned(),
        })),
    }
}

/// Returns a deterministic number in 0..1 that looks random.
fn noise(one: u64, other: u64) -> f32 {
    let wave = ((one * 7_919 + other * 104_729) as f32 * 0.129_898).sin() * 4_375.853;
    wave.abs().fract()
}

/// Returns a training run of two validators: `steps` steps of two events each, and ten of the `uids` called in each
/// event. Later uids answer worse, and one in eight fails often. Weights are set and an epoch occurs every 20 steps.
/// One miner exits and is not restarted.
pub(crate) fn training(steps: u64, uids: u32) -> Vec<Record> {
    let mut records = Vec::new();
    for step in 0..steps {
        for half in 0..2 {
            for validator in 0..2_u64 {
                records.push(training_event(step, half, validator, uids));
            }
        }
        if step % 20 == 19 {
            let share = |uid: u32| f32::powi(0.9, uid as i32) * (1.0 + 0.2 * noise(step, uid.into()));
            let sum: f32 = (0..uids).map(share).sum();
            let set: Vec<_> = (0..uids).map(|uid| (uid, share(uid) / sum)).collect();
            records.push(weights("validator-0", step, &set, None));
            records.push(weights("validator-1", step, &set, None));
            let incentives: Vec<u32> = set.iter().map(|(_, share)| (share * 65_535.0) as u32).collect();
            records.push(epoch(1 + step / 20, &incentives));
        }
    }
    let log = "INFO axon listening\nERROR out of memory\n";
    records.push(incident(
        "miner-5",
        IncidentKind::Exited,
        "killed by signal 9",
        0,
        log,
    ));
    records.push(incident(
        "miner-5",
        IncidentKind::Left,
        "miners are left dead by the experiment's policy",
        0,
        "",
    ));
    records.push(retired("validator-1", steps));
    records
}

fn training_event(step: u64, half: u32, validator: u64, uids: u32) -> Record {
    let draw = step * 4 + u64::from(half) * 2 + validator;
    let asked = uids.min(10);
    let first = (noise(draw, 3) * uids as f32) as u32;
    let calls = (0..asked).map(|place| {
        let uid = (first + place * 3) % uids;
        let chance = noise(draw, u64::from(uid) + 11);
        let latency = 0.004 + 0.01 * noise(draw, u64::from(uid) + 400);
        let fails = if uid % 8 == 5 { 0.6 } else { 0.1 };
        if chance < fails {
            let kinds = [
                Outcome::Timeout,
                Outcome::Empty,
                Outcome::Unreachable,
                Outcome::TooShort,
            ];
            return failure(uid, kinds[draw as usize % kinds.len()], latency * 3.0);
        }
        let fitness = 1.0 - uid as f32 / uids as f32;
        success(uid, fitness * (0.5 + 0.5 * chance), latency)
    });
    let slowest = 0.012 + 0.02 * f64::from(noise(draw, 77));
    let mut event = event(step, half);
    event.validator = format!("validator-{validator}");
    event.started_at = 1_800_000_000.0 + step as f64 * 0.03;
    event.call_time = slowest;
    with_calls(event, calls.collect())
}
