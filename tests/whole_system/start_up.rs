//! Tests of nodes that die or hang while the network starts: their restart policy applies from the first process on,
//! each is a row of `incidents`, and the error of a failed run names the node that caused it.

use std::path::PathBuf;

use mirror_runs::tables::{IncidentRow, ResponseRow, SUCCESS};
use mirror_runs::{Run, State};
use mirror_tests::{Process, RunningCommand, TestEnv, acknowledged, eventually, rows};
use rustix::process::Signal;

use crate::bad_input::with_fake_miner;
use crate::experiment::TRAINING;
use crate::restarts::incidents;

/// Enough miners that the first appears long before the last.
const MANY: [&str; 3] = [
    "model.metagraph.args.num_nodes=24",
    "network.validators=2",
    "query.method.args.max_iter=100",
];

/// The miner of [`MANY`] that starts last.
const LAST_MINER: &str = "miner-23";

#[track_caller]
fn kill(node: &Process) {
    node.send(Signal::KILL);
    eventually("a killed node has ended", || (!node.is_alive()).then_some(()));
}

/// Starts an experiment with settings over [`MANY`].
fn start<'a>(env: &TestEnv, settings: &[&'a str]) -> RunningCommand {
    let file = env.file("many.yml", TRAINING);
    let settings: Vec<&'a str> = MANY.into_iter().chain(settings.iter().copied()).collect();
    env.start_run(file, &settings)
}

/// Kills the subtensor when the first miner has appeared, but no validator.
#[track_caller]
fn kill_the_subtensor_while_miners_start(running: &mut RunningCommand) {
    let subtensor = running.node("subtensor");
    running.node("miner-0");
    kill(&subtensor);
    assert_eq!(running.node_now("validator-0"), None, "the miners had started");
}

/// Kills the last miner while it starts. The chain, to which it must report its axon address, is stopped in the
/// meantime.
#[track_caller]
fn kill_a_miner_while_it_starts(running: &mut RunningCommand) {
    let subtensor = running.node("subtensor");
    running.node("miner-0");
    subtensor.send(Signal::STOP);
    kill(&running.node(LAST_MINER));
    subtensor.send(Signal::CONT);
}

/// Checks that the run succeeds, that `what` are the incidents of `node`, and that there are no others.
#[track_caller]
fn ends_well(running: RunningCommand, folder: PathBuf, node: &str, what: &[&str]) -> Run {
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(incidents(&run, node), what);
    let mut others: Vec<IncidentRow> = rows(&run);
    others.retain(|incident| incident.node != node);
    assert!(others.is_empty(), "{others:?}");
    run
}

/// Checks that the run fails because of `node`, with the incidents `what`, and that the message names it and no miner
/// in addition.
#[track_caller]
fn fails_by(running: RunningCommand, folder: PathBuf, node: &str, what: &[&str], words: &str) {
    let ended = running.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let (_, message) = ended
        .err
        .split_once("the run failed: ")
        .expect("the message contains the reason");
    assert!(message.contains(words), "{ended:?}");
    let first = message.lines().next().unwrap_or_default();
    assert!(node.starts_with("miner") || !first.contains("miner"), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    assert_eq!(run.state(), State::Failed);
    assert_eq!(incidents(&run, node), what);
}

#[track_caller]
fn same_events(env: &TestEnv, disturbed: &Run) {
    let file = env.file("many.yml", TRAINING);
    let undisturbed = env.done(file, &MANY);
    let same = env.diff(&undisturbed, disturbed);
    assert_eq!(same.status, Some(0), "{same:?}");
}

#[test]
fn a_subtensor_killed_while_miners_start_is_restarted() {
    let env = TestEnv::new();
    let mut running = start(&env, &[]);
    let folder = running.folder();
    kill_the_subtensor_while_miners_start(&mut running);
    let run = ends_well(running, folder, "subtensor", &["exited", "restarted"]);
    same_events(&env, &run);
}

#[test]
fn a_subtensor_killed_while_it_starts_is_restarted() {
    let env = TestEnv::new();
    let mut running = start(&env, &[]);
    let folder = running.folder();
    kill(&running.node("subtensor"));
    let run = ends_well(running, folder, "subtensor", &["exited", "restarted"]);
    same_events(&env, &run);
}

#[test]
fn a_miner_killed_while_it_starts_is_restarted_if_the_file_requires_it() {
    let env = TestEnv::new();
    let mut running = start(&env, &["network.restart={miners: restart}"]);
    let folder = running.folder();
    kill_a_miner_while_it_starts(&mut running);
    let run = ends_well(running, folder, LAST_MINER, &["exited", "restarted"]);
    let deaths: Vec<IncidentRow> = rows(&run);
    assert!(deaths[0].detail.contains("before it was ready"), "{deaths:?}");
    // The chain began once the miner was ready. Only the miner's transaction shows that this was its second start.
    let undisturbed = env.done("many.yml", &MANY);
    let diff = env.diff(&undisturbed, &run);
    let mut differences = diff.out.lines().filter(|line| line.contains("only in the"));
    assert!(
        differences.all(|line| line.contains("transactions: block 1, serve_axon of ")),
        "{diff:?}"
    );
    assert!(diff.out.ends_with("different: 2 differences\n"), "{diff:?}");
}

#[test]
fn a_miner_killed_while_it_starts_is_left_dead_and_the_run_continues() {
    let env = TestEnv::new();
    let mut running = start(&env, &[]);
    let folder = running.folder();
    kill_a_miner_while_it_starts(&mut running);
    let run = ends_well(running, folder, LAST_MINER, &["exited", "left"]);
    let calls: Vec<ResponseRow> = rows(&run);
    let answered = |uid| {
        let mut of_uid = calls.iter().filter(|call| call.uid == uid);
        of_uid.any(|call| call.outcome == SUCCESS)
    };
    assert!(answered(22));
    assert!(!answered(23));
}

#[test]
fn a_validator_killed_while_it_starts_is_restarted() {
    let env = TestEnv::new();
    let mut running = start(&env, &[]);
    let folder = running.folder();
    kill(&running.node("validator-1"));
    assert_eq!(acknowledged(&folder, "validator-0"), [""; 0]);
    let run = ends_well(running, folder, "validator-1", &["exited", "restarted"]);
    same_events(&env, &run);
}

/// The blocks continue without the validator from the first one on.
#[test]
fn a_validator_killed_while_it_starts_can_be_left_dead() {
    let env = TestEnv::new();
    let mut running = start(&env, &["network.restart={validators: leave}"]);
    let folder = running.folder();
    kill(&running.node("validator-1"));
    let run = ends_well(running, folder, "validator-1", &["exited", "left", "retired"]);
    assert_eq!(acknowledged(run.layout().root(), "validator-0").len(), 200);
    assert_eq!(acknowledged(run.layout().root(), "validator-1"), [""; 0]);
}

#[test]
fn a_run_fails_because_of_a_dead_subtensor_and_not_because_of_the_miners_that_wait_for_it() {
    let env = TestEnv::new();
    for (policy, what, words) in [
        (
            "leave",
            &["exited", "left"][..],
            "the subtensor has exited: subtensor was terminated by signal 9",
        ),
        (
            "fail",
            &["exited"],
            "subtensor was terminated by signal 9, and its restart policy is `fail`",
        ),
    ] {
        let mut running = start(&env, &[&format!("network.restart={{subtensor: {policy}}}")]);
        let folder = running.folder();
        kill_the_subtensor_while_miners_start(&mut running);
        fails_by(running, folder, "subtensor", what, words);
    }
}

#[test]
fn a_run_fails_because_of_a_miner_or_a_validator_if_its_policy_requires_it() {
    let env = TestEnv::new();
    let words = "before it was ready, and its restart policy is `fail`";
    let mut running = start(&env, &["network.restart={miners: fail}"]);
    let folder = running.folder();
    kill_a_miner_while_it_starts(&mut running);
    fails_by(
        running,
        folder,
        LAST_MINER,
        &["exited"],
        &format!("{LAST_MINER} was terminated by signal 9 {words}"),
    );

    let mut running = start(&env, &["network.restart={validators: fail}"]);
    let folder = running.folder();
    kill(&running.node("validator-1"));
    fails_by(
        running,
        folder,
        "validator-1",
        &["exited"],
        "validator-1 was terminated by signal 9",
    );
}

#[test]
fn a_run_fails_without_a_validator() {
    let env = TestEnv::new();
    let mut running = start(
        &env,
        &["network.validators=1", "network.restart={validators: leave}"],
    );
    let folder = running.folder();
    kill(&running.node("validator-0"));
    fails_by(
        running,
        folder,
        "validator-0",
        &["exited", "left"],
        "no validator completed its query: validator-0 was terminated by signal 9",
    );
}

/// After five failed restarts, the message contains the name and the log of the node.
#[test]
fn a_node_that_never_starts_fails_the_run() {
    let programs = with_fake_miner("echo 'there is no licence' >&2; exit 3");
    let env = TestEnv::with_programs(PathBuf::from(programs.path()));
    let file = env.file("one.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &["network.axons_per_process=8", "network.restart={miners: restart}"],
    );
    let folder = running.folder();
    let mut what = vec!["exited"; 6];
    what.push("left");
    let words = "miners-0-7 exited with status 3 before it was ready, after 5 restarts; the end of its log:\n    there is no licence";
    fails_by(running, folder, "miners-0-7", &what, words);
}

/// A validator that is stopped before it is ready is killed after the timeout.
#[test]
fn a_validator_that_is_stopped_while_it_starts_is_restarted() {
    let env = TestEnv::new();
    let mut running = start(&env, &["network.ready_timeout=2s", "network.hang_timeout=2s"]);
    let folder = running.folder();
    running.node("validator-1").send(Signal::STOP);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let run = Run::open(folder).expect("the run opens");
    let known = incidents(&run, "validator-1");
    // If the signal arrives late, the validator is already ready and hangs.
    assert!(
        known == ["unready", "restarted"] || known == ["hung", "restarted"],
        "{known:?}"
    );
    same_events(&env, &run);
}

/// The chain hangs while the miners start. They wait for it, longer than their own timeout.
#[test]
fn a_subtensor_that_hangs_while_miners_start_is_restarted() {
    let env = TestEnv::new();
    let mut running = start(&env, &["network.ready_timeout=1s", "network.hang_timeout=3s"]);
    let folder = running.folder();
    let subtensor = running.node("subtensor");
    running.node("miner-0");
    subtensor.send(Signal::STOP);
    assert_eq!(running.node_now("validator-0"), None, "the miners had started");
    let run = ends_well(running, folder, "subtensor", &["hung", "restarted"]);
    same_events(&env, &run);
}
