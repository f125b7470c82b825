//! The series of the plots are those of pandas.

use std::collections::BTreeMap;

use mirror_analysis::{GroupData, Report, RunData, Summary, plots};
use mirror_runs::{Group, Neuron, NeuronKind, neurons};
use mirror_test_support::Python;
use serde_json::{Value, json};

use crate::made_up::{epoch, recorded};
use crate::report::{by_name, report_of};
use crate::run;

const REFERENCE: &str = include_str!("reference.py");

/// Maximum relative difference of two numbers.
const TOLERANCE: f64 = 1e-9;

/// Returns the kind and the label of each uid.
fn labels() -> BTreeMap<u32, (NeuronKind, String)> {
    let label = |neuron: Neuron| (neuron.uid, (neuron.kind, neuron.label));
    run::neurons().into_iter().map(label).collect()
}

/// Checks that `found` is `expected`, in which objects may lack keys.
fn assert_near(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            let allowed = TOLERANCE * found.abs().max(expected.abs()) + 1e-12;
            assert!(
                (found - expected).abs() <= allowed,
                "{place}: {found}, expected {expected}"
            );
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "the length of {place}");
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_near(found, expected, &format!("{place}[{index}]"));
            }
        }
        (Value::Object(found), Value::Object(expected)) => {
            for (key, expected) in expected {
                let found = found.get(key).unwrap_or_else(|| panic!("{place} has no {key}"));
                assert_near(found, expected, &format!("{place}.{key}"));
            }
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

/// Checks the connected pairs of the graph of common completions.
fn assert_graph(plot: &Value, expected: &Value) {
    let points = &plot["traces"][1];
    let place = |index: usize| (points["x"][index].to_string(), points["y"][index].to_string());
    let uids = points["uids"].as_array().expect("the points have uids");
    let uid_at: BTreeMap<(String, String), &Value> = uids
        .iter()
        .enumerate()
        .map(|(index, uid)| (place(index), uid))
        .collect();
    assert_eq!(uid_at.len(), uids.len(), "no two uids have the same position");
    let ends = plot["traces"][0]["ends"].as_array().expect("the graph has edges");
    let uid = |end: &Value| uid_at[&(end[0].to_string(), end[1].to_string())];
    let pairs: Vec<Value> = ends
        .iter()
        .map(|ends| json!([uid(&ends[0]), uid(&ends[1])]))
        .collect();
    assert_eq!(&Value::Array(pairs), &expected["pairs"]);
    let compared = match expected["n"].as_u64() {
        Some(1) => "Compares the most frequent completion of".to_owned(),
        n => format!(
            "Compares the {} most frequent completions of",
            n.expect("a graph has a number")
        ),
    };
    let note = plot["note"].as_str().expect("the graph has a note");
    assert!(note.starts_with(&compared), "{note:?}, expected {compared:?}");
}

#[test]
fn every_plot_of_a_run_has_the_series_of_pandas() {
    let Some(python) = Python::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run::record_with_spans(folder.path(), 1);
    let report = report_of(&run);
    let script = format!("{REFERENCE}\nresult = plain(Run(data['folder'], data['neurons']).plots())");
    let expected = python.run(
        &script,
        &json!({"folder": run.layout().root(), "neurons": labels()}),
    );

    let found = by_name(&report);
    for plot in plots::PLOTS {
        let name = plot.name();
        let found = found
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not drawn: {}", report["not_drawn"]));
        let expected = expected
            .get(name)
            .unwrap_or_else(|| panic!("pandas does not compute {name}"));
        if name == "shared_completions" {
            assert_graph(found, expected);
        } else {
            assert_near(&found["traces"], expected, name);
        }
    }
}

#[test]
fn every_plot_of_a_group_has_the_series_of_pandas() {
    let Some(python) = Python::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    let mut folders = Vec::new();
    for seed in 1..=3 {
        let run = run::record(folder.path(), seed);
        folders.push(run.layout().root().to_owned());
        let mut data = RunData::read(&run).unwrap();
        data.manifest.seed = seed;
        let summary = Summary::of(&data);
        runs.push((data, summary));
    }
    let group = GroupData {
        group: Group {
            id: "group".to_owned(),
            experiment: "experiment".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            replicates: 3,
            first_seed: 1,
        },
        layout: mirror_runs::Layout::new(folder.path().join("group")),
        runs,
        expectations: Vec::new(),
    };
    let report = serde_json::to_value(Report::of_group(&group)).unwrap();
    let script = format!(
        "{REFERENCE}\nruns = [Run(folder, data['neurons']) for folder in data['folders']]\n\
         result = plain(group_plots(runs, [1, 2, 3]))"
    );
    let expected = python.run(&script, &json!({"folders": folders, "neurons": labels()}));

    let found = by_name(&report);
    let expected = expected.as_object().expect("pandas returns plots");
    assert_eq!(found.len(), expected.len(), "{}", report["not_drawn"]);
    for (name, expected) in expected {
        let found = found
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not drawn"));
        assert_near(&found["traces"], expected, name);
    }
}

#[test]
fn epochs_of_a_label_are_merged_alike_if_a_miner_leaves() {
    // The epochs of the miner that leaves need no merging, and those of the others do.
    let epochs = (1..=150).map(|number| match number {
        0..=60 => epoch(number, &[40_000, 20_000, 5_000]),
        _ => epoch(number, &[40_000, 20_000]),
    });
    let recorded = recorded(&epochs.collect::<Vec<_>>());
    let neuron = |uid, label: &str| Neuron {
        uid,
        kind: NeuronKind::Miner,
        role: label.to_owned(),
        label: label.to_owned(),
        control: None,
        node: None,
    };
    let neurons = [neuron(0, "whole"), neuron(1, "merged"), neuron(2, "merged")];
    neurons::save(&neurons, recorded.run.layout()).unwrap();
    let report = report_of(&recorded.run);
    let line = &by_name(&report)["pay_by_label"]["traces"][0];
    assert_eq!(line["name"], "merged");
    let x: Vec<f64> = serde_json::from_value(line["x"].clone()).unwrap();
    let expected: Vec<f64> = (0..=75).map(|bin| f64::from(bin) * 2.0 + 0.5).collect();
    assert_eq!(x, expected);
}
