//! Nodes that stand still: they are named while they are waited for, then killed, and their policy applies as to a
//! death.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use mirror_runs::Run;
use mirror_runs::tables::{IncidentRow, ResponseRow};
use mirror_tests::{Output, Process, RunningCommand, TestEnv, acknowledged, rows};
use rustix::process::Signal;

use crate::experiment::TRAINING;
use crate::restarts::incidents;

/// Long enough for a node to be stopped in its middle; whoever is silent for a second and a half has hung.
const LONG: [&str; 3] = [
    "query.method.args.max_iter=400",
    "network.validators=2",
    "network.hang_timeout=1500ms",
];

/// An experiment in whose middle `node` was stopped.
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

/// The run ended with this status, and while it waited it said for whom.
#[track_caller]
fn named(ended: &Output, status: i32, node: &str) {
    assert_eq!(ended.status, Some(status), "{ended:?}");
    let waiting = format!("waiting for {node} (no answer to health checks for ");
    assert!(ended.err.contains(&waiting), "{ended:?}");
}

/// The run ends well although `node` hung, and has the events of an undisturbed one.
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
fn a_validator_that_hangs_is_started_again() {
    hangs_and_goes_on("validator-1");
}

#[test]
fn a_subtensor_that_hangs_is_started_again() {
    hangs_and_goes_on("subtensor");
}

#[test]
fn a_miner_that_hangs_is_started_again_where_the_file_says_so() {
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
fn a_run_fails_by_the_node_that_hangs_where_its_policy_says_so() {
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
        let (_, message) = ended.err.split_once("the run failed: ").expect("it says why");
        assert!(
            message.contains(&format!("{node} hung: it did not answer health checks for ")),
            "{ended:?}"
        );
        let run = Run::open(folder).expect("the run opens");
        assert_eq!(incidents(&run, node), what);
    }
}

/// One that goes on in time is no incident.
#[test]
fn a_node_that_stands_still_for_a_while_goes_on() {
    let env = TestEnv::new();
    for node in ["validator-1", "subtensor"] {
        let (mut running, folder, process) = stopped(&env, node, &["network.hang_timeout=20s"]);
        running.until_told(&format!("waiting for {node} (no answer to health checks for "));
        process.send(Signal::CONT);
        running.until_told(&format!("{node} answers health checks again"));
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

/// A machine that sleeps: the time in which the coordinator stood still itself does not count.
#[test]
fn a_coordinator_that_stood_still_blames_nobody() {
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
    // Only time can tell that none was counted.
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

/// A chain that the run did not start cannot be started again: the run fails, and says where the chain was.
#[test]
fn a_run_fails_by_a_chain_of_somebody_else_that_hangs() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut chain = env.start(&[&["chain", "serve", file, "--offline"][..], &["--set", LONG[1]]].concat());
    let address = chain.told_after("the chain listens at ");
    let endpoint = format!("model.subtensor={{name: Subtensor, args: {{chain_endpoint: \"{address}\"}}}}");
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
