//! Tests of the end of a run: on request, and after the coordinator was killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mirror_runs::tables::{EventRow, IncidentRow};
use mirror_runs::{Run, State};
use mirror_tests::{Process, RunningCommand, TestEnv, acknowledged, eventually, logging_below, rows, within};
use rustix::process::Signal;

use crate::experiment::TRAINING;

/// The nodes of a killed coordinator should end within a second. A machine that is busy with other work may need more.
const GONE: Duration = Duration::from_secs(5);

/// A run that continues until it is stopped.
const ENDLESS: [&str; 2] = ["query.method.args.max_iter=1000000", "network.validators=2"];

/// Starts an endless run and waits until it has recorded something.
fn under_way(env: &TestEnv) -> RunningCommand {
    let file = env.file("endless.yml", TRAINING);
    let mut running = env.start_run(file, &ENDLESS);
    running.until_acknowledged("validator-0", 50);
    running
}

/// Ctrl-C or SIGTERM ends every process, keeps every acknowledged event, and marks the run as interrupted.
#[test]
fn the_first_interrupt_shuts_a_run_down_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let env = TestEnv::new();
        let mut running = under_way(&env);
        let folder = running.folder();
        running.send(signal);
        let ended = running.ends();
        assert_eq!(logging_below(env.path()), [], "processes left: {ended:?}");
        assert_eq!(ended.status, Some(1), "{ended:?}");
        assert!(ended.err.contains("shutting the run down in order"), "{ended:?}");
        assert!(
            ended.err.contains("the run was interrupted: stopped by the user"),
            "{ended:?}"
        );
        let run = Run::open(&folder).expect("the run opens");
        assert_eq!(run.state(), State::Interrupted);
        assert_eq!(rows::<IncidentRow>(&run), [], "no node exited unexpectedly");
        let events: Vec<EventRow> = rows(&run);
        let recorded = events
            .iter()
            .filter(|event| event.validator == "validator-0")
            .count();
        assert!(recorded >= acknowledged(&folder, "validator-0").len());
    }
}

/// The second Ctrl-C waits for no node, including a validator that is stopped.
#[test]
fn the_second_interrupt_ends_a_run_immediately() {
    let env = TestEnv::new();
    let mut running = under_way(&env);
    let folder = running.folder();
    let validator = running.node("validator-1");
    validator.send(Signal::STOP);
    eventually("the validator is stopped", || {
        validator.is_stopped().then_some(())
    });
    running.send(Signal::INT);
    running.until_printed("shutting the run down in order");
    running.send(Signal::INT);
    let ended = running.ends();
    assert_eq!(logging_below(env.path()), [], "processes left: {ended:?}");
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains("killing the run"), "{ended:?}");
    assert_eq!(
        Run::open(folder).expect("the run opens").state(),
        State::Interrupted
    );
}

/// A killed coordinator leaves no process, whether running or stopped.
#[test]
fn nothing_outlives_a_killed_run() {
    let env = TestEnv::new();
    let mut running = under_way(&env);
    let miner = running.node("miner-3");
    miner.send(Signal::STOP);
    eventually("the miner is stopped", || miner.is_stopped().then_some(()));
    let nodes = logging_below(env.path());
    assert_eq!(nodes.len(), 1 + 8 + 2, "{nodes:?}");
    let killed = Instant::now();
    running.send(Signal::KILL);
    all_gone(&nodes, killed);
    assert_eq!(running.ends().status, None);
}

/// The same holds if one node is stopped, one is busy in native code, and a foreign program has children and
/// grandchildren, some of them in separate sessions.
#[test]
fn nothing_outlives_a_killed_coordinator_whatever_it_is_doing() {
    let env = TestEnv::new();
    let mut coordinator = Coordinator::start(env.path(), env.programs());
    let processes = eventually("the foreign program has its descendants", || {
        let processes = logging_below(env.path());
        let sleeping = processes
            .iter()
            .filter(|process| process.program == "sleep")
            .count();
        (sleeping == 4).then_some(processes)
    });
    let count = |program: &str| {
        let named = processes.iter().filter(|process| process.program == program);
        named.count()
    };
    // The kernel truncates names to fifteen characters.
    let programs = ["mirror-subtenso", "busy_in_libtorc", "mirror"].map(count);
    assert_eq!(programs, [1, 1, 1], "{processes:?}");
    assert_eq!(
        processes.iter().filter(|process| process.stopped).count(),
        1,
        "{processes:?}"
    );
    let killed = Instant::now();
    coordinator
        .0
        .kill()
        .expect("a child that has not been waited for can be killed");
    all_gone(&processes, killed);
}

#[track_caller]
fn all_gone(processes: &[Process], killed: Instant) {
    within(GONE, "all processes have ended", || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
    println!(
        "{} processes were gone {:?} after their coordinator was killed",
        processes.len(),
        killed.elapsed()
    );
}

/// The coordinator program that the test kills.
struct Coordinator(Child);

impl Coordinator {
    /// Starts the program, and waits until it has started all its nodes.
    fn start(folder: &Path, programs: &Path) -> Self {
        let log = fs::File::create(folder.join("coordinator-err")).expect("a file for its standard error");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tests_coordinator"))
            .args([folder, programs])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the coordinator starts");
        let stdout = child.stdout.take().expect("it is a pipe");
        let coordinator = Self(child);
        let mut said = String::new();
        BufReader::new(stdout)
            .read_line(&mut said)
            .expect("it prints a line");
        let complaint = fs::read_to_string(folder.join("coordinator-err"));
        assert_eq!(said, "started\n", "{complaint:?}");
        coordinator
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // An error means that the process has already ended, as intended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
