//! The processes of this machine: whether they are alive, how they descend from each other, and signals to them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use procfs::process::{self, ProcState, Stat};
use rustix::process::{Pid, Signal, kill_process};

/// A process. It is distinguished from a later one with the same id by its start time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// The name of the program, at most 15 characters.
    pub program: String,
    /// Whether the process is stopped.
    pub stopped: bool,
    /// The target of its standard error. `None` if it cannot be read.
    pub log: Option<PathBuf>,
    parent: i32,
    /// Start time in clock ticks since the system started.
    started: u64,
}

impl Process {
    /// Returns whether the process is still alive. A zombie is not.
    pub fn is_alive(&self) -> bool {
        self.now().is_some()
    }

    /// Returns whether the process is currently stopped.
    pub fn is_stopped(&self) -> bool {
        self.now().is_some_and(|now| now.stopped)
    }

    /// Sends a signal to the process. It is not an error if the process has ended.
    ///
    /// # Panics
    ///
    /// Panics if the signal cannot be sent for another reason.
    pub fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.cast_signed()).expect("no process has the id 0");
        if self.is_alive() {
            match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => panic!("cannot send {signal:?} to {self:?}: {error}"),
            }
        }
    }

    /// Returns the current state of the process, or `None` if it has ended.
    pub fn now(&self) -> Option<Self> {
        let process = process::Process::new(self.pid.cast_signed()).ok()?;
        let now = Self::of(&process.stat().ok()?)?;
        (now.started == self.started).then_some(now)
    }

    /// Creates a process from its `stat`, or returns `None` if it has ended.
    fn of(stat: &Stat) -> Option<Self> {
        let state = stat.state().ok()?;
        (!matches!(state, ProcState::Zombie | ProcState::Dead)).then_some(())?;
        let pid = stat.pid.cast_unsigned();
        Some(Self {
            pid,
            program: stat.comm.clone(),
            stopped: state == ProcState::Stopped,
            // Unreadable if the process is just ending.
            log: fs::read_link(format!("/proc/{pid}/fd/2")).ok(),
            parent: stat.ppid,
            started: stat.starttime,
        })
    }
}

/// Returns the children of a process, their children, and so on.
pub fn descendants(pid: u32) -> Vec<Process> {
    let all = running();
    let mut family = HashSet::from([pid]);
    loop {
        let before = family.len();
        let children = all
            .iter()
            .filter(|process| family.contains(&process.parent.cast_unsigned()));
        let children: Vec<u32> = children.map(|process| process.pid).collect();
        family.extend(children);
        if family.len() == before {
            break;
        }
    }
    family.remove(&pid);
    all.into_iter()
        .filter(|process| family.contains(&process.pid))
        .collect()
}

/// Returns every process whose standard error goes to a log below `folder`. Nodes log there, so these are the nodes of
/// all runs below it and their descendants, independent of their current parents.
pub fn logging_below(folder: &Path) -> Vec<Process> {
    let is_log =
        |path: &PathBuf| path.starts_with(folder) && path.extension().is_some_and(|ending| ending == "log");
    let mut all = running();
    all.retain(|process| process.log.as_ref().is_some_and(is_log));
    all
}

fn running() -> Vec<Process> {
    let all = process::all_processes().expect("the process table can be read");
    let stats = all.filter_map(|process| process.ok()?.stat().ok());
    stats.filter_map(|stat| Process::of(&stat)).collect()
}
