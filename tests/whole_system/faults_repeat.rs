//! Tests that faults on links repeat: the same file with the same random seed has the same faults, victims and events,
//! and `mirror runs diff` names the first decision in which other runs part.

use std::collections::BTreeSet;

use mirror_runs::Run;
use mirror_runs::tables::{APPLIED, FaultRow, LIFTED, ResponseRow};
use mirror_tests::{TestEnv, eventually, logging_below, rows};
use rustix::process::Signal;
use serde_json::Value;

use crate::experiment::TRAINING;

/// Several kinds of effects on the links of two validators, with overlaps, and a fault that occurs again.
const FAULTS: &str = "faults=[\
    {id: slow, at: step 3, for: 20 steps, link: {from: validator-0, to: uid 0-3}, latency: {p50: 2ms, p99: 8ms}, \
        drop: 0.1}, \
    {id: broken, at: step 8, for: 6 steps, link: {to: miners}, refuse: 0.1, error: {code: unavailable, rate: 0.1}, \
        corrupt: 0.1, duplicate: 0.1, drop_reply: 0.05}, \
    {id: again, at: step 5, for: 2 steps, every: 9 steps, probability: 0.7, link: {from: validators, to: uid 4-7}, \
        goaway: 0.2, reset: {after: 3, rate: 0.1}}]";

const SETTINGS: [&str; 3] = [
    "query.method.args.max_iter=30",
    "network.validators=2",
    "model.neuron.training_timeout=500ms",
];

/// Returns the changes of faults and the affected calls of a run, without times.
fn victims(run: &Run) -> (Vec<String>, Vec<String>) {
    let changes = rows::<FaultRow>(run);
    let changes = changes.iter().map(|row| {
        let (fault, occurrence, change) = (&row.fault, row.occurrence, &row.change);
        format!(
            "{fault} {occurrence} {change} {:?} {:?} {}",
            row.step, row.block, row.who
        )
    });
    let calls = rows::<ResponseRow>(run);
    let calls = calls.iter().filter_map(|row| {
        let faults = row.faults.as_ref()?;
        let place = (row.step, row.forward_index, row.position);
        Some(format!(
            "{} {place:?} {} {faults} {}",
            row.validator, row.uid, row.outcome
        ))
    });
    (changes.collect(), calls.collect())
}

#[track_caller]
fn diff_as_json(env: &TestEnv, first: &Run, second: &Run) -> Value {
    let ids = [first, second].map(|run| run.manifest().id.as_str());
    let output = env.mirror(&["runs", "diff", ids[0], ids[1], "--json"]);
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn faults_repeat_and_the_first_decision_of_other_runs_is_named() {
    let env = TestEnv::new();
    let file = env.file("faults.yml", TRAINING);
    let settings = [&SETTINGS[..], &[FAULTS]].concat();
    let first = env.done(file, &settings);
    let second = env.done(file, &settings);
    let (changes, calls) = victims(&first);
    let effects: BTreeSet<String> = rows::<ResponseRow>(&first)
        .iter()
        .filter_map(|row| row.faults.clone())
        .flat_map(|faults| faults.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for effect in [
        "slow/latency",
        "slow/drop",
        "broken/error",
        "broken/refuse",
        "again/goaway",
    ] {
        assert!(
            effects.contains(effect),
            "no call was affected by {effect}: {effects:?}"
        );
    }
    assert!(changes.len() >= 6, "{changes:?}");
    assert_eq!(victims(&second), (changes, calls));
    let same = env.diff(&first, &second);
    assert_eq!(same.status, Some(0), "{same:?}");
    assert!(same.out.contains("in the first run, "), "{same:?}");

    // Another rate of one rule changes none of the draws of the others.
    let more = FAULTS.replace("drop: 0.1}", "drop: 0.6}");
    let other_rate = env.done(file, &[&SETTINGS[..], &[&more]].concat());
    let different = env.diff(&first, &other_rate);
    assert_eq!(different.status, Some(1), "{different:?}");
    assert!(
        different
            .out
            .contains("fault slow/drop hit it only in the second run"),
        "{different:?}"
    );
    let parting = diff_as_json(&env, &first, &other_rate)["parting"].clone();
    let step = parting["step"].as_u64().unwrap();
    assert!((3..23).contains(&step), "{parting}");
    let is_of_step = format!("the runs part at step {step}: the call of validator-0 to uid ");
    assert!(different.out.contains(&is_of_step), "{different:?}");

    // The prompts of another random seed are others from the first one on.
    let other_seed = env.done(file, &[&settings[..], &["seed=8"]].concat());
    let different = diff_as_json(&env, &first, &other_seed);
    assert_eq!(different["verdict"], "different");
    assert_eq!(different["parting"]["step"], 0);

    // A fault that only one run has.
    let with_kill = FAULTS.replace("faults=[", "faults=[{id: late, at: step 20, kill: uid 1}, ");
    let with_kill = env.done(file, &[&SETTINGS[..], &[&with_kill]].concat());
    let different = env.diff(&first, &with_kill);
    assert!(
        different.out.contains(
            "the runs part at step 20: the fault late was applied at step 20 only in the second run"
        ),
        "{different:?}"
    );
}

/// A run that is interrupted, and one whose orchestrator is killed and which is recovered, have a row for each change
/// of a fault in the steps that they completed.
#[test]
fn a_run_that_does_not_end_has_all_its_faults() {
    let env = TestEnv::new();
    let file = env.file("faults.yml", TRAINING);
    let settings = [&SETTINGS[1..], &[FAULTS, "query.method.args.max_iter=100000"]].concat();
    for signal in [Signal::INT, Signal::KILL] {
        let mut running = env.start_run(file, &settings);
        let folder = running.folder();
        // Two events are made in each step.
        running.until_acknowledged("validator-0", 2 * 25);
        running.send(signal);
        running.ends();
        eventually("no process is left", || {
            logging_below(env.path()).is_empty().then_some(())
        });
        if signal == Signal::KILL {
            let id = folder.file_name().unwrap().to_str().unwrap();
            let recovered = env.mirror(&["runs", "recover", id]);
            assert_eq!(recovered.status, Some(0), "{recovered:?}");
        }
        let run = Run::open(&folder).unwrap();
        let changes = rows::<FaultRow>(&run);
        let changes: BTreeSet<_> = changes
            .iter()
            .map(|row| (row.fault.as_str(), row.change.as_str(), row.step))
            .collect();
        for (fault, change, step) in [
            ("slow", APPLIED, 3),
            ("slow", LIFTED, 23),
            ("broken", APPLIED, 8),
            ("broken", LIFTED, 14),
        ] {
            assert!(
                changes.contains(&(fault, change, Some(step))),
                "{signal:?}: {changes:?}"
            );
        }
    }
}
