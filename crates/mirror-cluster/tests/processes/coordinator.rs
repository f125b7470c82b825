//! Tests that a killed coordinator leaves no processes running.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{all_started, program, remaining, until};
use mirror_test_support::Process;

/// Three nodes, the shim, the program, the shell of the orphans with its two children, and two more sleeping processes.
const PROCESSES: usize = 3 + 7;

fn start(logs: &Path) -> (Child, Vec<Process>) {
    let mut coordinator = Command::new(program("cluster_coordinator"))
        .arg(logs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut started = String::new();
    BufReader::new(coordinator.stdout.as_mut().unwrap())
        .read_line(&mut started)
        .unwrap();
    assert_eq!(started, "started\n");
    (coordinator, all_started(logs, PROCESSES, 4))
}

#[track_caller]
fn kill_and_see_all_gone(mut coordinator: Child, processes: &[Process]) {
    let lifelines = coordinator.stdin.take();
    let killed = Instant::now();
    coordinator.kill().unwrap();
    until("no process is left", || remaining(processes).is_empty());
    println!(
        "{} processes were gone {:?} after their coordinator was killed",
        processes.len(),
        killed.elapsed()
    );
    coordinator.wait().unwrap();
    drop(lifelines);
}

#[test]
fn nothing_outlives_a_killed_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, processes) = start(folder.path());
    assert_eq!(processes.iter().filter(|process| process.stopped).count(), 1);
    kill_and_see_all_gone(coordinator, &processes);
}

#[test]
fn nothing_outlives_a_killed_coordinator_when_all_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, processes) = start(folder.path());
    for process in &processes {
        kill_process(Pid::from_raw(process.pid.cast_signed()).unwrap(), Signal::STOP).unwrap();
    }
    until("all processes are stopped", || {
        remaining(&processes).iter().all(|process| process.stopped)
    });
    kill_and_see_all_gone(coordinator, &processes);
}

#[test]
fn nothing_outlives_a_coordinator_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (mut coordinator, processes) = start(folder.path());
    drop(coordinator.stdin.take());
    assert!(coordinator.wait().unwrap().success());
    until("no process is left", || remaining(&processes).is_empty());
}
