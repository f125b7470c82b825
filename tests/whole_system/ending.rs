//! How a run ends when somebody wants it to, and when nobody is there any more to want anything.

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

/// A killed coordinator's nodes shall be gone within a second; a machine that is busy with other things may need more.
const GONE: Duration = Duration::from_secs(5);

/// Goes on until it is ended.
const ENDLESS: [&str; 2] = ["query.method.args.max_iter=1000000", "network.validators=2"];

/// An endless run that has recorded something.
fn under_way(env: &TestEnv) -> RunningCommand {
    let file = env.file("endless.yml", TRAINING);
    let mut running = env.start_run(file, &ENDLESS);
    running.until_acknowledged("validator-0", 50);
    running
}

/// Ctrl-C, or a request to end, ends every process, keeps every acknowledged event, and says that the run was
/// interrupted.
#[test]
fn once_interrupted_a_run_ends_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let env = TestEnv::new();
        let mut running = under_way(&env);
        let folder = running.folder();
        running.send(signal);
        let ended = running.ends();
        assert_eq!(logging_below(env.path()), [], "left behind: {ended:?}");
        assert_eq!(ended.status, Some(1), "{ended:?}");
        assert!(ended.err.contains("ending the run in order"), "{ended:?}");
        assert!(
            ended.err.contains("the run interrupted: stopped by the user"),
            "{ended:?}"
        );
        let run = Run::open(&folder).expect("the run opens");
        assert_eq!(run.state(), State::Interrupted);
        assert_eq!(rows::<IncidentRow>(&run), [], "nobody died by itself");
        let events: Vec<EventRow> = rows(&run);
        let recorded = events
            .iter()
            .filter(|event| event.validator == "validator-0")
            .count();
        assert!(recorded >= acknowledged(&folder, "validator-0").len());
    }
}

/// The second Ctrl-C waits for nobody, not for a validator that stands still either.
#[test]
fn twice_interrupted_a_run_ends_at_once() {
    let env = TestEnv::new();
    let mut running = under_way(&env);
    let folder = running.folder();
    let validator = running.node("validator-1");
    validator.send(Signal::STOP);
    eventually("the validator stands still", || {
        validator.is_stopped().then_some(())
    });
    running.send(Signal::INT);
    running.until_told("ending the run in order");
    running.send(Signal::INT);
    let ended = running.ends();
    assert_eq!(logging_below(env.path()), [], "left behind: {ended:?}");
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains("ending at once"), "{ended:?}");
    assert_eq!(
        Run::open(folder).expect("the run opens").state(),
        State::Interrupted
    );
}

/// A killed coordinator leaves nothing behind, neither what runs nor what stands still.
#[test]
fn nothing_outlives_a_killed_run() {
    let env = TestEnv::new();
    let mut running = under_way(&env);
    let miner = running.node("miner-3");
    miner.send(Signal::STOP);
    eventually("the miner stands still", || miner.is_stopped().then_some(()));
    let nodes = logging_below(env.path());
    assert_eq!(nodes.len(), 1 + 8 + 2, "{nodes:?}");
    let killed = Instant::now();
    running.send(Signal::KILL);
    all_gone(&nodes, killed);
    assert_eq!(running.ends().status, None);
}

/// The same where one node stands still, one is busy in native code, and a foreign program has children and
/// grandchildren, some of them in sessions of their own.
#[test]
fn nothing_outlives_a_killed_coordinator_whatever_it_is_doing() {
    let env = TestEnv::new();
    let mut coordinator = Coordinator::start(env.path(), env.programs());
    let processes = eventually("the foreign program has its family", || {
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
    // The kernel keeps fifteen characters of a name.
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
        .expect("a child that was not waited for can be killed");
    all_gone(&processes, killed);
}

#[track_caller]
fn all_gone(processes: &[Process], killed: Instant) {
    within(GONE, "all are gone", || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
    println!(
        "{} processes were gone {:?} after their coordinator was killed",
        processes.len(),
        killed.elapsed()
    );
}

/// The coordinator that is made to be killed.
struct Coordinator(Child);

impl Coordinator {
    /// Starts it, and waits until it has started all that it wants.
    fn start(folder: &Path, programs: &Path) -> Self {
        let log = fs::File::create(folder.join("coordinator-err")).expect("a file for what it says");
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
            .expect("it says something");
        let complaint = fs::read_to_string(folder.join("coordinator-err"));
        assert_eq!(said, "started\n", "{complaint:?}");
        coordinator
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // An error means that it has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
