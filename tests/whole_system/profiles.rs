//! Tests of `mirror run --profile`: the flame graphs of the processes of a run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mirror_runs::profiles::Profiles;
use mirror_runs::{Layout, Run};
use mirror_tests::{RunningCommand, TestEnv};
use rustix::process::Signal;

use crate::experiment::TRAINING;

/// An LSTM scores the uids in every step and is trained, so that the validator computes for seconds. The chain and the
/// coordinator have a thousand blocks and two thousand events.
const BUSY: [&str; 2] = [
    "query.method.args.max_iter=1000",
    "model.gating_model={name: SequentialGatingModel, args: {tokenizer_name: builtin, hidden_size: 64, embedding_dim: 64}}",
];

fn start(env: &TestEnv, file: &str, more: &[&str]) -> RunningCommand {
    let mut words = vec!["run", file, "--offline"];
    for setting in BUSY {
        words.extend(["--set", setting]);
    }
    words.extend(more);
    env.start(&words)
}

/// Returns the names of the functions in a flame graph, which must be XML.
fn functions(layout: &Layout, process: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(layout.profiles().join(format!("{process}.svg")));
    let text = text.unwrap_or_else(|error| panic!("{process}: {error}"));
    let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{process}: {error}"));
    let labels = document.descendants().filter(|node| node.has_tag_name("text"));
    labels
        .filter_map(|label| label.text().map(str::to_owned))
        .collect()
}

#[track_caller]
fn has_function(layout: &Layout, process: &str, part: &str) {
    let functions = functions(layout, process);
    let found = functions.iter().any(|function| function.contains(part));
    assert!(found, "no function of {process} contains `{part}`: {functions:?}");
}

fn files_of(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder exists");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn the_coordinator_the_chain_and_the_validators_have_flame_graphs_and_miners_have_none() {
    let env = TestEnv::new();
    let file = env.file("busy.yml", TRAINING);
    let mut plain = start(&env, file, &["--set", "network.validators=2"]);
    let plain_folder = plain.folder();
    assert_eq!(plain.ends().status, Some(0));
    let plain = Run::open(plain_folder).expect("the run opens");
    assert!(!plain.layout().profiles().exists());

    let mut running = start(&env, file, &["--set", "network.validators=2", "--profile"]);
    let folder = running.folder();
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    let layout = run.layout();
    let expected = [
        "coordinator.svg",
        "subtensor.svg",
        "validator-0.svg",
        "validator-1.svg",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    assert_eq!(files_of(&layout.profiles()), expected, "{ended:?}");
    has_function(layout, "validator-0", "mirror_models::gating");
    has_function(layout, "validator-1", "mirror_models::gating");
    has_function(layout, "subtensor", "mirror_node::run");
    has_function(layout, "coordinator", "mirror_coordinator::");

    let printed = "flame graphs of coordinator, subtensor, validator-0, validator-1";
    assert!(ended.out.contains(printed), "{ended:?}");
    let report = fs::read_to_string(layout.report()).expect("the report exists");
    for process in &expected {
        assert!(
            report.contains(&format!("href=\"profiles/{process}\"")),
            "{process}"
        );
    }

    let same = env.diff(&plain, &run);
    assert_eq!(same.status, Some(0), "{same:?}");
}

/// The profile of a killed process is missing, with the reason, and its successor has a profile of its own.
#[test]
fn a_killed_validator_has_the_reason_in_place_of_its_flame_graph() {
    let env = TestEnv::new();
    let file = env.file("busy.yml", TRAINING);
    let mut running = start(&env, file, &["--profile"]);
    let folder = running.folder();
    running.until_acknowledged("validator-0", 200);
    running.node("validator-0").send(Signal::KILL);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let layout = Layout::new(folder);
    let profiles = Profiles::read(&layout).expect("the folder can be read");
    let profiles = profiles.expect("the run was profiled");
    assert_eq!(profiles.written, ["coordinator", "subtensor", "validator-0.1"]);
    let [missing] = profiles.missing.as_slice() else {
        panic!("{profiles:?}");
    };
    assert_eq!(missing.process, "validator-0");
    assert!(missing.reason.contains("killed"), "{}", missing.reason);
    has_function(&layout, "validator-0.1", "mirror_models::gating");
    let stated = format!("no profile of validator-0: {}", missing.reason);
    assert!(ended.out.contains(&stated), "{ended:?}");
    let report = fs::read_to_string(layout.report()).expect("the report exists");
    assert!(report.contains("<code>validator-0</code> has no flame graph"));
}

/// Each run of a group has its own profiles.
#[test]
fn each_replicate_has_its_own_flame_graphs() {
    let env = TestEnv::new();
    let file = env.file("busy.yml", TRAINING);
    let settings = [
        "--profile",
        "--set",
        "replicates=2",
        "--set",
        "query.method.args.max_iter=300",
    ];
    let ended = start(&env, file, &settings).ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let folders = fs::read_dir(env.runs_dir()).expect("the runs exist");
    let layouts = folders.map(|entry| Layout::new(entry.expect("an entry").path()));
    let runs: Vec<Layout> = layouts.filter(|layout| layout.manifest().exists()).collect();
    assert_eq!(runs.len(), 2);
    for layout in runs {
        let profiles = Profiles::read(&layout).expect("the folder can be read");
        let profiles = profiles.expect("the run was profiled");
        // The chain of so short a run may have used too little processor time for a sample.
        for process in ["coordinator", "validator-0"] {
            let written = profiles.written.iter().any(|written| written == process);
            assert!(written, "{process}: {profiles:?}");
        }
    }
}
