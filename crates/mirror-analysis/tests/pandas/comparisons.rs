//! The comparison of a group with its control is that of SciPy's paired t-test over the random seeds.

use mirror_analysis::comparison::{Verdict, compare};
use mirror_analysis::{RunData, Summary};
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{EpochFindings, EpochNeuron, Record};
use mirror_runs::{Neuron, NeuronKind, Run, State, neurons};
use mirror_test_support::Python;
use serde_json::{Value, json};

use crate::made_up::recorded_in;

/// Number of random seeds.
const SEEDS: u64 = 5;

/// Returns a run of four miners (0 and 1 are `good`, 2 and 3 `poor`, which is their control) and three validators (4
/// and 5 are `validator`, 6 is `copier`). The chain pays the first epoch by stake, because no weights have been set.
fn run(folder: &std::path::Path, seed: u64) -> Run {
    let amount =
        |epoch: u64, uid: u64, base: u64| base + (seed * 7_919 + epoch * 104_729 + uid * 1_299_709) % 400_000;
    let records: Vec<Record> = (1..=12)
        .map(|epoch| {
            let miner = |uid: u64| {
                let paid = if epoch == 1 {
                    0
                } else {
                    amount(epoch, uid, 1_000_000 - uid * 50_000)
                };
                EpochNeuron {
                    incentive: u32::from(epoch > 1) * 1_000,
                    server_emission: paid,
                    stake: 5,
                    ..EpochNeuron::default()
                }
            };
            let validator = |uid: u64| {
                let paid = amount(epoch, uid, 2_000_000);
                EpochNeuron {
                    dividends: u32::from(epoch > 1) * 20_000,
                    validator_emission: paid,
                    validator_trust: 60_000,
                    stake: 1_000_000_000 * (uid - 3) + paid,
                    ..EpochNeuron::default()
                }
            };
            Record {
                kind: Some(Kind::Epoch(EpochFindings {
                    epoch,
                    block: 10 * epoch,
                    first_uid: 0,
                    neurons: (0..4).map(miner).chain((4..7).map(validator)).collect(),
                })),
            }
        })
        .collect();
    let run = recorded_in(folder, &records);
    let neuron = |uid, kind, label: &str, control: Option<&str>| Neuron {
        uid,
        kind,
        role: label.to_owned(),
        label: label.to_owned(),
        control: control.map(str::to_owned),
        node: None,
    };
    let neurons = [
        neuron(0, NeuronKind::Miner, "good", Some("poor")),
        neuron(1, NeuronKind::Miner, "good", Some("poor")),
        neuron(2, NeuronKind::Miner, "poor", None),
        neuron(3, NeuronKind::Miner, "poor", None),
        neuron(4, NeuronKind::Validator, "validator", None),
        neuron(5, NeuronKind::Validator, "validator", None),
        neuron(6, NeuronKind::Validator, "copier", Some("validator")),
    ];
    neurons::save(&neurons, run.layout()).unwrap();
    run
}

fn read(run: &Run, seed: u64) -> (RunData, Summary) {
    let mut data = RunData::read(run).unwrap();
    data.manifest.seed = seed;
    let summary = Summary::of(&data);
    (data, summary)
}

const REFERENCE: &str = "
import numpy as np
import pandas as pd
from scipy import stats

own, control, yields, peers = [], [], [], []
for folder in data:
    epochs = pd.read_parquet(folder + '/epochs.parquet')
    paid = epochs.groupby('epoch')[['incentive', 'dividends']].sum().max(axis=1)
    epochs = epochs[epochs['epoch'].isin(paid[paid > 0].index)]
    tao = epochs.groupby('uid')['server_emission'].mean() / 1e9
    own.append(tao[[0, 1]].mean())
    control.append(tao[[2, 3]].mean())
    before = epochs['stake'] - epochs['server_emission'] - epochs['validator_emission']
    share = (epochs['validator_emission'] / before).groupby(epochs['uid']).mean()
    yields.append(share[6])
    peers.append(share[[4, 5]].mean())

def compared(one, other):
    one, other = np.array(one), np.array(other)
    interval = stats.ttest_rel(one, other).confidence_interval(0.95)
    n = len(one)
    pooled = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    g = (one.mean() - other.mean()) / pooled * (1 - 3 / (4 * (2 * n - 2) - 1))
    return {'own': one.mean(), 'control': other.mean(), 'low': interval.low, 'high': interval.high, 'effect': g}

result = {'good': compared(own, control), 'copier': compared(yields, peers)}
";

#[test]
fn a_group_is_compared_with_its_control_as_in_a_paired_test() {
    let Some(python) = Python::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let runs: Vec<Run> = (1..=SEEDS).map(|seed| run(folder.path(), seed)).collect();
    let folders: Vec<&std::path::Path> = runs.iter().map(|run| run.layout().root()).collect();
    let expected = python.run(REFERENCE, &json!(folders));

    let read: Vec<_> = (1..=SEEDS)
        .zip(&runs)
        .map(|(seed, run)| read(run, seed))
        .collect();
    let borrowed: Vec<_> = read.iter().map(|(data, summary)| (data, summary)).collect();
    let compared = compare(&borrowed);
    assert_eq!((compared.left_out, compared.incomplete), (0, 0));
    for label in ["good", "copier"] {
        let group = compared.groups.iter().find(|group| group.label == label).unwrap();
        let difference = group.difference.as_ref().unwrap();
        let near = |found: f64, key: &str| {
            let expected: &Value = &expected[label][key];
            let expected = expected.as_f64().unwrap();
            assert!(
                (found - expected).abs() <= 1e-9 * expected.abs().max(1e-12),
                "{label} {key}: {found}, {expected}"
            );
        };
        let (low, high) = difference.difference.bounds().unwrap();
        near(difference.own_value.mean, "own");
        near(difference.control_value.mean, "control");
        near(low, "low");
        near(high, "high");
        near(difference.effect.unwrap(), "effect");
        assert_eq!(difference.seeds, SEEDS);
        let verdict = match (low > 0.0, high < 0.0) {
            (true, _) => Verdict::More,
            (_, true) => Verdict::Less,
            _ => Verdict::NoDifferenceFound,
        };
        assert_eq!(difference.verdict, verdict);
    }
    let trust = compared
        .groups
        .iter()
        .find(|group| group.label == "copier")
        .unwrap();
    let trust = trust.trust.unwrap().mean;
    assert!((trust - 60_000.0 / 65_535.0).abs() < 1e-6, "{trust}");
}

/// A run that was cut off is not compared with complete ones, and a repeated seed counts once.
#[test]
fn only_complete_runs_with_different_seeds_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let runs: Vec<Run> = (1..=3).map(|seed| run(folder.path(), seed)).collect();
    let mut read: Vec<_> = [1, 2, 2]
        .into_iter()
        .zip(&runs)
        .map(|(seed, run)| read(run, seed))
        .collect();
    let compared = |read: &[(RunData, Summary)]| {
        let borrowed: Vec<_> = read.iter().map(|(data, summary)| (data, summary)).collect();
        let compared = compare(&borrowed);
        let good = compared
            .groups
            .iter()
            .find(|group| group.label == "good")
            .unwrap();
        (good.difference.as_ref().unwrap().seeds, compared.incomplete)
    };
    assert_eq!(compared(&read), (2, 0));
    read[0].0.state = State::Interrupted;
    assert_eq!(compared(&read), (1, 1));
}
