//! Tests of nodes that die, and of the restart policies in the file. The run never ends or hangs without a message.

use mirror_runs::tables::{EventRow, IncidentRow, ResponseRow, SUCCESS};
use mirror_runs::{Run, State};
use mirror_tests::{RunningCommand, TestEnv, acknowledged, rows};
use rustix::process::Signal;

use crate::experiment::TRAINING;

/// A run of two validators that is long enough to kill nodes twice.
const LONG: [&str; 2] = ["query.method.args.max_iter=400", "network.validators=2"];

/// Returns the incidents of a node in order.
pub(crate) fn incidents(run: &Run, node: &str) -> Vec<String> {
    let rows: Vec<IncidentRow> = rows(run);
    let of_node = rows.into_iter().filter(|incident| incident.node == node);
    of_node.map(|incident| incident.what).collect()
}

/// Kills a node once the first validator has a number of acknowledged events, and waits until it is dead.
#[track_caller]
fn kill(running: &mut RunningCommand, name: &str, events: usize) {
    running.until_acknowledged("validator-0", events);
    let node = running.node(name);
    node.send(Signal::KILL);
    mirror_tests::eventually("a killed node has ended", || (!node.is_alive()).then_some(()));
}

/// Checks that the run succeeds although `killed` was killed twice, records this, and has the events of an undisturbed
/// run.
#[track_caller]
fn twice_killed_and_the_same_events(killed: &str) {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let undisturbed = env.done(file, &LONG);

    let mut running = env.start_run(file, &LONG);
    let folder = running.folder();
    kill(&mut running, killed, 100);
    kill(&mut running, killed, 300);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let disturbed = Run::open(folder).expect("the run opens");
    assert_eq!(
        incidents(&disturbed, killed),
        ["exited", "restarted", "exited", "restarted"]
    );
    let same = env.diff(&undisturbed, &disturbed);
    assert_eq!(same.status, Some(0), "{same:?}");
    assert_eq!(acknowledged(disturbed.layout().root(), "validator-0").len(), 800);
}

/// A validator resumes with its gating model, its history and its position in the query.
#[test]
fn a_killed_validator_resumes_where_it_was() {
    twice_killed_and_the_same_events("validator-1");
}

/// The chain resumes from its log, with the same blocks and metagraph versions.
#[test]
fn a_killed_subtensor_resumes_where_it_was() {
    twice_killed_and_the_same_events("subtensor");
}

/// A miner is left dead by default. The other nodes continue, and calls to the miner show that it is unreachable.
#[test]
fn a_killed_miner_is_left_dead() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(file, &LONG);
    let folder = running.folder();
    kill(&mut running, "miner-3", 200);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(run.state(), State::Done);
    assert_eq!(incidents(&run, "miner-3"), ["exited", "left"]);
    let mut calls: Vec<ResponseRow> = rows(&run);
    calls.retain(|call| call.uid == 3 && call.validator == "validator-0");
    let dead = calls.iter().position(|call| call.outcome == "unreachable");
    let (before, after) = calls.split_at(dead.expect("a call found it dead"));
    assert!(before.iter().any(|call| call.outcome == SUCCESS));
    assert!(
        after.iter().all(|call| call.outcome == "unreachable"),
        "{after:?}"
    );
}

/// With `restart: {miners: restart}` the miner restarts on another port, where the validators find it.
#[test]
fn a_killed_miner_is_restarted_if_the_file_requires_it() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &[
            &LONG[..],
            &[
                "network.restart={miners: restart}",
                "query.method.args.max_iter=1000",
            ],
        ]
        .concat(),
    );
    let folder = running.folder();
    kill(&mut running, "miner-3", 200);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&run, "miner-3"), ["exited", "restarted"]);
    let mut calls: Vec<ResponseRow> = rows(&run);
    calls.retain(|call| call.uid == 3);
    let dead = calls.iter().position(|call| call.outcome == "unreachable");
    let after = dead.map_or(&calls[..], |dead| &calls[dead..]);
    assert!(
        after.iter().any(|call| call.outcome == SUCCESS),
        "it did not answer after the restart"
    );
    assert!(
        calls
            .iter()
            .rev()
            .take(10)
            .all(|call| call.outcome != "unreachable")
    );
}

/// With the policy `leave` the barrier continues without a dead validator, and the run records from which block on.
#[test]
fn the_others_finish_without_a_validator_that_is_left_dead() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &[&LONG[..], &["network.restart={validators: leave}"]].concat(),
    );
    let folder = running.folder();
    kill(&mut running, "validator-1", 200);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&run, "validator-1"), ["exited", "left", "retired"]);
    let events: Vec<EventRow> = rows(&run);
    let last_step = |validator| {
        let of_validator = events.iter().filter(|event| event.validator == validator);
        of_validator.map(|event| event.step).max()
    };
    assert_eq!(last_step("validator-0"), Some(399));
    assert!(last_step("validator-1") < Some(399));
}

/// A run without validators fails.
#[test]
fn a_run_whose_validators_all_died_has_failed() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &[&LONG[..], &["network.restart={validators: leave}"]].concat(),
    );
    let folder = running.folder();
    running.until_acknowledged("validator-0", 100);
    let validators = [running.node("validator-0"), running.node("validator-1")];
    for validator in validators {
        validator.send(Signal::KILL);
    }
    let ended = running.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended
            .err
            .contains("the run failed: no validator completed its query"),
        "{ended:?}"
    );
    assert_eq!(Run::open(folder).expect("the run opens").state(), State::Failed);
}

/// A network without its chain fails.
#[test]
fn a_run_whose_subtensor_is_left_dead_has_failed() {
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &[&LONG[..], &["network.restart={subtensor: leave}"]].concat(),
    );
    let folder = running.folder();
    kill(&mut running, "subtensor", 100);
    let ended = running.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("the run failed: the subtensor has exited"),
        "{ended:?}"
    );
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(run.state(), State::Failed);
    assert_eq!(incidents(&run, "subtensor"), ["exited", "left"]);
}
