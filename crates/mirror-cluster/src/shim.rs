//! The shim: a small program between a placement and a foreign program, so that no process of the latter is left
//! running.
//!
//! It starts the program in a separate process group and becomes the reaper of all processes below it, including those
//! that left the group or the session. It kills all of them when the program exits, when its own standard input closes
//! (the coordinator has ended), or when requested. Then it exits with the status of the program. Meanwhile it keeps the
//! log of the program short.

mod log_bound;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use mirror_output::message;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

/// Requests the shutdown of the program.
pub(crate) const TERMINATE: Signal = Signal::TERM;
/// Kills the program and all processes below it.
pub(crate) const KILL: Signal = Signal::QUIT;
/// Pauses the program and all processes below it, but not the shim itself.
pub(crate) const PAUSE: Signal = Signal::TSTP;
/// Resumes the program and all processes below it.
pub(crate) const RESUME: Signal = Signal::CONT;

/// Exit status if the program could not be started, as in shells.
const CANNOT_START: u8 = 127;

/// Pause between two checks of the size of the log.
const LOOK_AT_LOG: Duration = Duration::from_millis(200);

/// Pause before the next search for processes that were started while others were killed.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Runs `command`, a program and its arguments, and exits with its status, or with 128 plus the number of the signal
/// that terminated it.
pub fn main(command: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        message!("no program to run: pass the program and its arguments");
        return ExitCode::from(CANNOT_START);
    };
    let mut command = Command::new(&program);
    command.args(words);
    match run(command) {
        Ok(status) => exit_code(status),
        Err(error) => {
            message!("cannot run {}: {error}", program.display());
            ExitCode::from(CANNOT_START)
        }
    }
}

fn run(command: Command) -> io::Result<Option<WaitStatus>> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // If the shim were stopped when the coordinator dies, it would not notice that its standard input closed.
    rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(watch_over(command))
}

async fn watch_over(command: Command) -> io::Result<Option<WaitStatus>> {
    let mut children = signal(SignalKind::child())?;
    let mut terminate = on(TERMINATE)?;
    let mut kill = on(KILL)?;
    let mut pause = on(PAUSE)?;
    let mut resume = on(RESUME)?;
    let mut coordinator_gone = lifeline()?;
    let mut look_at_log = tokio::time::interval(LOOK_AT_LOG);
    look_at_log.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let program = start(command)?;

    let mut status = None;
    while status.is_none() {
        tokio::select! {
            _ = children.recv() => status = reap()?.status_of(program),
            _ = terminate.recv() => {
                send(program, Signal::TERM);
                send_below(Signal::CONT)?;
            }
            _ = pause.recv() => send_below(Signal::STOP)?,
            _ = resume.recv() => send_below(Signal::CONT)?,
            _ = look_at_log.tick() => log_bound::shorten(),
            _ = kill.recv() => break,
            _ = &mut coordinator_gone => break,
        }
    }
    loop {
        send_below(Signal::KILL)?;
        let reaped = reap()?;
        status = status.or(reaped.status_of(program));
        if reaped.none_left {
            log_bound::shorten();
            return Ok(status);
        }
        // A process that was just being started is found by the next search, not by a signal.
        let _either = tokio::time::timeout(LOOK_AGAIN, children.recv()).await;
    }
}

fn on(wanted: Signal) -> io::Result<tokio::signal::unix::Signal> {
    signal(SignalKind::from_raw(wanted.as_raw()))
}

/// Resolves when standard input closes, whose other end the coordinator holds.
fn lifeline() -> io::Result<oneshot::Receiver<()>> {
    let (held, gone) = oneshot::channel();
    thread::Builder::new()
        .name("lifeline".to_owned())
        .spawn(move || {
            let mut nothing = [0];
            // An error counts as the end of the input.
            while let Ok(1..) = io::stdin().read(&mut nothing) {}
            drop(held);
        })?;
    Ok(gone)
}

#[allow(
    unsafe_code,
    reason = "the death signal of a foreign program is set between fork and exec"
)]
fn start(mut command: Command) -> io::Result<Pid> {
    let shim = rustix::process::getpid();
    command.stdin(Stdio::null()).process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may run. These are two system calls, and they do
    // not allocate.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() == Some(shim) {
                Ok(())
            } else {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        });
    }
    let child = command.spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("the process id is 0"))
}

/// Children that have been reaped.
struct Reaped {
    ended: Vec<(Pid, WaitStatus)>,
    none_left: bool,
}

impl Reaped {
    fn status_of(&self, program: Pid) -> Option<WaitStatus> {
        self.ended
            .iter()
            .find(|(pid, _)| *pid == program)
            .map(|(_, status)| *status)
    }
}

/// Reaps all children that have ended: the program, and orphaned processes below it.
fn reap() -> io::Result<Reaped> {
    let mut ended = Vec::new();
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Ok(None) => {
                return Ok(Reaped {
                    ended,
                    none_left: false,
                });
            }
            Err(rustix::io::Errno::CHILD) => {
                return Ok(Reaped {
                    ended,
                    none_left: true,
                });
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends a signal to the process group that the program was started in.
fn send(program: Pid, signal: Signal) {
    if let Err(error) = rustix::process::kill_process_group(program, signal) {
        message!(
            "the shim cannot send signal {} to the program: {error}",
            signal.as_raw()
        );
    }
}

/// Sends a signal to every process below this one.
fn send_below(signal: Signal) -> io::Result<()> {
    for pid in below(rustix::process::getpid())? {
        match rustix::process::kill_process(pid, signal) {
            // The process ended in the meantime.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => message!(
                "the shim cannot send signal {} to {pid:?}: {error}",
                signal.as_raw()
            ),
        }
    }
    Ok(())
}

/// Returns all descendants of a process, from one scan of the process table.
pub(crate) fn below(ancestor: Pid) -> io::Result<Vec<Pid>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        // A process that ended in the meantime has no status and no descendants.
        let Ok(stat) = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())) else {
            continue;
        };
        if let Some(parent) = parent_in(&String::from_utf8_lossy(&stat)) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.remove(0);
    Ok(found)
}

/// Parses the parent in a process's `stat`. The preceding name is in parentheses and may contain any character.
fn parent_in(stat: &str) -> Option<Pid> {
    let (_, after_name) = stat.rsplit_once(')')?;
    Pid::from_raw(after_name.split_ascii_whitespace().nth(1)?.parse().ok()?)
}

fn exit_code(status: Option<WaitStatus>) -> ExitCode {
    let ended = |status: WaitStatus| {
        status
            .exit_status()
            .or(status.terminating_signal().map(|signal| 128 + signal))
    };
    let code = status.and_then(ended).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_after_any_name() {
        assert_eq!(parent_in("12 (sleep) S 7 12 12 0 -1"), Pid::from_raw(7));
        assert_eq!(parent_in("12 (a) R 3 (b) S 7 12 12 0 -1"), Pid::from_raw(7));
        assert_eq!(parent_in("1 (init) S 0 1 1 0 -1"), None);
        assert_eq!(parent_in("12 (cut"), None);
    }
}
