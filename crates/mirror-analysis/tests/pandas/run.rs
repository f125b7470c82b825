//! A made-up run in which every statistic has something to measure.

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{
    AxonCall, EpochFindings, EpochNeuron, Outcome, ParameterState, Purpose, Record,
};
use std::path::Path;

use mirror_runs::telemetry::Summary as Counts;
use mirror_runs::{Neuron, NeuronKind, Run};

use crate::made_up::spans::{recorded_with_spans_in, slowed_step, step};
use crate::made_up::{event, failure, recorded_in, success, weights, with_calls};

/// Number of steps. Each has two forwards of each validator.
pub(crate) const STEPS: u64 = 300;

/// Number of miners, from uid 0. The two validators follow.
pub(crate) const MINERS: u32 = 12;

/// Number of scores of the gating model, which are more than there are uids.
const SCORES: u32 = 17;

/// The uid that joins after 120 steps.
const LATE: u32 = 10;

/// The uid that leaves after 150 steps.
const EARLY: u32 = 11;

/// A generator of numbers that look random.
struct Noise(u64);

impl Noise {
    /// Returns a number in 0..1.
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Returns a number from 0 to `below` − 1.
    fn below(&mut self, below: u32) -> u32 {
        (self.next() * below as f32) as u32
    }
}

/// Returns the miners with three labels, and two validators with a label each.
pub(crate) fn neurons() -> Vec<Neuron> {
    let neuron = |uid: u32| {
        let (kind, label) = match uid {
            0..4 => (NeuronKind::Miner, "honest"),
            4..8 => (NeuronKind::Miner, "copier"),
            8..MINERS => (NeuronKind::Miner, "slow"),
            MINERS => (NeuronKind::Validator, "validator"),
            _ => (NeuronKind::Validator, "lazy"),
        };
        Neuron {
            uid,
            kind,
            role: label.to_owned(),
            label: label.to_owned(),
            control: None,
            node: None,
        }
    };
    (0..MINERS + 2).map(neuron).collect()
}

/// Records a made-up run with its neurons.
pub(crate) fn record(folder: &Path, seed: u64) -> Run {
    let run = recorded_in(folder, &records(seed));
    mirror_runs::neurons::save(&neurons(), run.layout()).unwrap();
    run
}

/// Records a made-up run with its neurons and with spans of some steps, in every fifth of which a link is slow.
pub(crate) fn record_with_spans(folder: &Path, seed: u64) -> Run {
    let mut noise = Noise(seed);
    let spans = (0..40).flat_map(|number| {
        // Each uid has another time.
        let times: Vec<u64> = (0..6)
            .map(|uid| 10 + u64::from(noise.below(50) * 10 + uid))
            .collect();
        if number % 5 > 0 {
            return step(number, &times);
        }
        let slowed = noise.below(6);
        let mut times = times;
        times[slowed as usize] += 300;
        slowed_step(number, &times, slowed)
    });
    let run = recorded_with_spans_in(
        folder,
        &records(seed),
        &spans.collect::<Vec<_>>(),
        &Counts::default(),
    );
    mirror_runs::neurons::save(&neurons(), run.layout()).unwrap();
    run
}

/// Returns the records of a run of two validators that train. Calls fail, some rewards and scores are not numbers, one
/// uid joins late and one leaves early, one score is constant, and some forwards have no start.
pub(crate) fn records(seed: u64) -> Vec<Record> {
    let mut noise = Noise(seed);
    let mut records = Vec::new();
    for step in 0..STEPS {
        for forward_index in 0..2 {
            for validator in 0..2 {
                records.push(forward(&mut noise, step, forward_index, validator));
            }
        }
        if step % 20 == 19 {
            records.extend(end_of_tempo(&mut noise, step));
        }
    }
    let mut manual = event(STEPS, 0);
    manual.purpose = Purpose::Manual.into();
    records.push(with_calls(manual, vec![success(0, 9.0, 0.1)]));
    records
}

fn forward(noise: &mut Noise, step: u64, forward_index: u32, validator: u32) -> Record {
    let mut event = event(step, forward_index);
    event.validator = format!("validator-{validator}");
    event.message = format!("Question {}?", noise.below(50));
    event.started_at += step as f64 * 1.7 + f64::from(forward_index) * 0.8 + f64::from(validator) * 0.1;
    if noise.below(20) == 0 {
        event.started_at = if validator == 0 { f64::NAN } else { 0.0 };
    }
    event.call_time = if noise.below(20) == 0 {
        f64::NAN
    } else {
        f64::from(noise.next())
    };
    event.scores = (0..SCORES)
        .map(|uid| match uid {
            3 => 0.25,
            2 if noise.below(3) == 0 => 0.25,
            7 if noise.below(5) == 0 => f32::NAN,
            _ => noise.next() - uid as f32 / 10.0 * step as f32 / STEPS as f32,
        })
        .collect();
    event.gating_loss = (noise.below(10) > 0).then(|| 2.0 / (1.0 + step as f32) + noise.next());
    if step.is_multiple_of(10) {
        let parameter = |name: &str| ParameterState {
            name: name.to_owned(),
            gradient_norm: noise.next(),
            ..ParameterState::default()
        };
        event.parameters = ["linear.weight", "linear.bias"].map(parameter).to_vec();
    }
    let in_subnet = |uid: &u32| (*uid != LATE || step >= 120) && (*uid != EARLY || step < 150);
    let (first, stride) = (noise.below(MINERS), [1, 5, 7][noise.below(3) as usize]);
    let mut calls: Vec<AxonCall> = (0..6)
        .map(|place| (first + place * stride) % MINERS)
        .filter(in_subnet)
        .map(|uid| call(noise, uid, step))
        .collect();
    if noise.below(40) == 0 {
        // A forward in which all calls fail.
        for call in &mut calls {
            *call = failure(call.uid, Outcome::Timeout, 4.0);
        }
    }
    with_calls(event, calls)
}

fn call(noise: &mut Noise, uid: u32, step: u64) -> AxonCall {
    // A few different latencies, so that some calls are equally fast.
    let latency = 0.01 + noise.below(8) as f32 * if uid < 8 { 0.01 } else { 0.02 };
    match noise.below(20) {
        0..2 => return failure(uid, Outcome::Timeout, 4.0),
        2 => return failure(uid, Outcome::Unreachable, f32::NAN),
        3 => return failure(uid, Outcome::TooShort, latency),
        _ => {}
    }
    let quality = 1.0 - uid as f32 / 20.0 * step as f32 / STEPS as f32;
    let mut call = success(uid, quality + noise.next(), latency);
    if noise.below(30) == 0 {
        call.reward = Some(f32::NAN);
    }
    if noise.below(2) == 0 {
        call.completion = format!("This is the answer of uid {uid} alone.");
        call.size = call.completion.len() as u64;
        return call;
    }
    // Miners of the same third have other completions in common, of which early numbers are more frequent.
    let number = noise.below(4 + uid) * noise.below(4) / 2;
    let long = " and so on".repeat(uid as usize / 4 * number as usize);
    call.completion = format!("Third {} answers with number {number}{long}.", uid / 4);
    call.size = call.completion.len() as u64;
    call
}

fn end_of_tempo(noise: &mut Noise, step: u64) -> Vec<Record> {
    let shares: Vec<f32> = (0..MINERS)
        .map(|uid| noise.next() + 1.0 / (1.0 + uid as f32))
        .collect();
    let sum: f32 = shares.iter().sum();
    let set: Vec<(u32, f32)> = (0..).zip(shares.iter().map(|share| share / sum)).collect();
    let miner = |(uid, share): &(u32, f32)| EpochNeuron {
        incentive: (share * 65_535.0) as u32,
        consensus: (share * 40_000.0) as u32,
        server_emission: if *uid == EARLY && step >= 150 {
            0
        } else {
            (f64::from(*share) * 1e9) as u64
        },
        trust: (noise.next() * 65_535.0) as u32,
        ..EpochNeuron::default()
    };
    let mut neurons: Vec<EpochNeuron> = set.iter().map(miner).collect();
    for part in [0.7, 0.3] {
        let dividends = part + 0.1 * f64::from(noise.next());
        neurons.push(EpochNeuron {
            dividends: (dividends * 60_000.0) as u32,
            validator_emission: (dividends * 1e9) as u64,
            validator_trust: (noise.next() * 65_535.0) as u32,
            stake: 5_000_000_000,
            ..EpochNeuron::default()
        });
    }
    let epoch = EpochFindings {
        epoch: 1 + step / 20,
        block: step,
        first_uid: 0,
        neurons,
    };
    vec![
        weights("validator-0", step, &set, None),
        weights("validator-1", step, &set[2..], None),
        Record {
            kind: Some(Kind::Epoch(epoch)),
        },
    ]
}
