//! Tests of nodes that hang: they are named while the run waits for them, then killed, and their restart policy applies
//! as for a death.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use mirror_runs::Run;
use mirror_runs::tables::{IncidentRow, ResponseRow};
use mirror_tests::{Output, Process, RunningCommand, TestEnv, acknowledged, rows};
use rustix::process::Signal;

use crate::experiment::TRAINING;
use crate::restarts::incidents;

/// A run that is long enough to stop a node in the middle. A node that is silent for 1.5 s has hung.
const LONG: [&str; 3] = [
    "query.method.args.max_iter=400",
    "network.validators=2",
    "network.hang_timeout=1500ms",
];

/// Starts an experiment and stops `node` in the middle.
#[track_caller]
fn stopped(env: &TestEnv, node: &str, settings: &[&str]) -> (RunningCommand, PathBuf, Process) {
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(file, &[&LONG[..], settings].concat());
    let folder = running.folder();
    running.until_acknowledged("validator-0", 100);
    let process = running.node(node);
    process.send(Signal::STOP);
    (running, folder, process)
}

/// Checks that the run ended with this status, and that it named the node while it waited.
#[track_caller]
fn named(ended: &Output, status: i32, node: &str) {
    assert_eq!(ended.status, Some(status), "{ended:?}");
    let waiting = format!("waiting for {node} (no answer to health checks for ");
    assert!(ended.err.contains(&waiting), "{ended:?}");
}

/// Checks that the run succeeds although `node` hung, and that it has the events of an undisturbed run.
#[track_caller]
fn hangs_and_goes_on(node: &str) {
    let env = TestEnv::new();
    let (running, folder, _) = stopped(&env, node, &[]);
    let ended = running.ends();
    named(&ended, 0, node);
    let disturbed = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&disturbed, node), ["hung", "restarted"]);
    let hung: Vec<IncidentRow> = rows(&disturbed);
    assert!(
        hung[0].detail.contains("it did not answer health checks for ") && hung[0].detail.contains("killed"),
        "{hung:?}"
    );
    let undisturbed = env.done("long.yml", &LONG);
    let same = env.diff(&undisturbed, &disturbed);
    assert_eq!(same.status, Some(0), "{same:?}");
}

#[test]
fn a_validator_that_hangs_is_restarted() {
    hangs_and_goes_on("validator-1");
}

#[test]
fn a_subtensor_that_hangs_is_restarted() {
    hangs_and_goes_on("subtensor");
}

#[test]
fn a_miner_that_hangs_is_restarted_if_the_file_requires_it() {
    let env = TestEnv::new();
    let (running, folder, _) = stopped(&env, "miner-3", &["network.restart={miners: restart}"]);
    let ended = running.ends();
    named(&ended, 0, "miner-3");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&run, "miner-3"), ["hung", "restarted"]);
}

#[test]
fn a_miner_that_hangs_is_left_dead() {
    let env = TestEnv::new();
    let (running, folder, miner) = stopped(&env, "miner-3", &[]);
    let ended = running.ends();
    named(&ended, 0, "miner-3");
    assert!(!miner.is_alive());
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&run, "miner-3"), ["hung", "left"]);
    let calls: Vec<ResponseRow> = rows(&run);
    let last = calls.iter().rev().find(|call| call.uid == 3);
    assert_eq!(last.map(|call| &*call.outcome), Some("unreachable"));
}

#[test]
fn the_others_finish_without_a_validator_that_hangs() {
    let env = TestEnv::new();
    let (running, folder, _) = stopped(&env, "validator-1", &["network.restart={validators: leave}"]);
    let ended = running.ends();
    named(&ended, 0, "validator-1");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&run, "validator-1"), ["hung", "left", "retired"]);
    assert_eq!(acknowledged(run.layout().root(), "validator-0").len(), 800);
}

#[test]
fn a_run_fails_because_of_a_hung_node_if_its_policy_requires_it() {
    let env = TestEnv::new();
    for (node, policy, what) in [
        ("subtensor", "subtensor: leave", &["hung", "left"][..]),
        ("subtensor", "subtensor: fail", &["hung"]),
        ("validator-1", "validators: fail", &["hung"]),
        ("miner-3", "miners: fail", &["hung"]),
    ] {
        let (running, folder, _) = stopped(&env, node, &[&format!("network.restart={{{policy}}}")]);
        let ended = running.ends();
        named(&ended, 1, node);
        let (_, message) = ended
            .err
            .split_once("the run failed: ")
            .expect("the message contains the reason");
        assert!(
            message.contains(&format!("{node} hung: it did not answer health checks for ")),
            "{ended:?}"
        );
        let run = Run::open(folder).expect("the run opens");
        assert_eq!(incidents(&run, node), what);
    }
}

/// A node that resumes in time causes no incident.
#[test]
fn a_node_that_is_stopped_for_a_while_continues() {
    let env = TestEnv::new();
    for node in ["validator-1", "subtensor"] {
        let (mut running, folder, process) = stopped(&env, node, &["network.hang_timeout=20s"]);
        running.until_printed(&format!("waiting for {node} (no answer to health checks for "));
        process.send(Signal::CONT);
        running.until_printed(&format!("{node} answers health checks again"));
        let ended = running.ends();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let run = Run::open(folder).expect("the run opens");
        let known: Vec<IncidentRow> = rows(&run);
        assert!(known.is_empty(), "{known:?}");
        let undisturbed = env.done("long.yml", &LONG);
        let same = env.diff(&undisturbed, &run);
        assert_eq!(same.status, Some(0), "{same:?}");
    }
}

/// Simulates a machine that sleeps: the time in which the coordinator itself was stopped does not count.
#[test]
fn a_coordinator_that_was_stopped_reports_no_hung_node() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(file, &LONG);
    let folder = running.folder();
    let nodes = ["validator-0", "validator-1", "subtensor"].map(|node| running.node(node));
    running.until_acknowledged("validator-0", 100);
    running.send(Signal::STOP);
    for node in &nodes {
        node.send(Signal::STOP);
    }
    // The absence of an effect can only be observed by waiting.
    thread::sleep(Duration::from_secs(4));
    for node in &nodes {
        node.send(Signal::CONT);
    }
    running.send(Signal::CONT);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let known: Vec<IncidentRow> = rows(&Run::open(folder).expect("the run opens"));
    assert!(known.is_empty(), "{known:?}");
}

/// A chain that the run did not start cannot be restarted: the run fails, and the message contains the chain's address.
#[test]
fn a_run_fails_if_a_chain_that_it_did_not_start_hangs() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut chain = env.start(&[&["chain", "serve", file, "--offline"][..], &["--set", LONG[1]]].concat());
    let address = chain.printed_after("the chain listens on ");
    let endpoint = format!(
        "model.subtensor={{name: Subtensor, args: {{chain_endpoint: \"{address}\", chain_client: chain/client.json}}}}"
    );
    let mut running = env.start_run(file, &[&LONG[..], &[&endpoint]].concat());
    running.until_acknowledged("validator-0", 100);
    let node = chain.child_logging("subtensor.log");
    node.send(Signal::STOP);
    let ended = running.ends();
    node.send(Signal::CONT);
    let name = format!("the subtensor at {address}");
    named(&ended, 1, &name);
    assert!(
        ended.err.contains(&format!(
            "the run failed: {name} has not answered health checks for "
        )),
        "{ended:?}"
    );
    chain.send(Signal::INT);
    assert_eq!(chain.ends().status, Some(0));
}
