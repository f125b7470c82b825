//! The kernel's table of processes: who is alive, who came of whom, and signals to one of them by its number.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A process, told apart from a later one of the same number by when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its program's name, at most 15 characters.
    pub program: String,
    /// It stands still.
    pub stopped: bool,
    /// Where its standard error goes.
    pub log: Option<PathBuf>,
    parent: u32,
    /// In clock ticks since the system started.
    started: String,
}

impl Process {
    /// Whether it is still there; one that only waits to be reaped is not.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Whether it stands still now.
    pub fn is_stopped(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.started == self.started && now.stopped)
    }

    /// Sends it a signal. That it has ended meanwhile is no error.
    pub fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.cast_signed()).expect("no process has the number 0");
        if self.is_alive() {
            match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => panic!("cannot send {signal:?} to {self:?}: {error}"),
            }
        }
    }

    /// `None`: it is gone.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let (before, after) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let state = *fields.first()?;
        (!matches!(state, "Z" | "X")).then_some(())?;
        Some(Self {
            pid,
            program: before.split_once('(')?.1.to_owned(),
            stopped: state == "T",
            // Unreadable when the process is just ending.
            log: fs::read_link(format!("/proc/{pid}/fd/2")).ok(),
            parent: fields.get(1)?.parse().ok()?,
            started: (*fields.get(19)?).to_owned(),
        })
    }
}

/// All that came of a process: its children, theirs, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<Process> {
    let all = running();
    let mut family = HashSet::from([pid]);
    loop {
        let before = family.len();
        let born = all.iter().filter(|process| family.contains(&process.parent));
        let born: Vec<u32> = born.map(|process| process.pid).collect();
        family.extend(born);
        if family.len() == before {
            break;
        }
    }
    family.remove(&pid);
    all.into_iter()
        .filter(|process| family.contains(&process.pid))
        .collect()
}

/// Every process whose standard error goes to a log below `folder`. Nodes log there, so these are the nodes of all runs
/// below it, whoever their parent is by now, and what came of them.
pub fn logging_below(folder: &Path) -> Vec<Process> {
    let is_log =
        |path: &PathBuf| path.starts_with(folder) && path.extension().is_some_and(|ending| ending == "log");
    let mut all = running();
    all.retain(|process| process.log.as_ref().is_some_and(is_log));
    all
}

fn running() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("the table of processes is there");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| Process::of(name.parse().ok()?)).collect()
}
