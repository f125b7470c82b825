//! The shim: a small program between a placement and a program that is not ours, so that nothing of it is left behind.
//!
//! It starts the program in a process group of its own and becomes the reaper of everything below it, also of what left
//! that group or that session. It ends all of that when the program ends, when its own standard input does (the
//! coordinator is gone), or when it is told to; then it exits as the program did.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Asks the program to end.
pub(crate) const TERMINATE: Signal = Signal::TERM;
/// Ends the program and all below it.
pub(crate) const KILL: Signal = Signal::QUIT;
/// Makes the program and all below it stand still. The shim itself never does.
pub(crate) const PAUSE: Signal = Signal::TSTP;
/// Lets them go on.
pub(crate) const RESUME: Signal = Signal::CONT;

/// Exit status when the program could not be started, as shells have it.
const CANNOT_START: u8 = 127;

/// Wait before looking again for processes that were started while others were ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Runs `command`, a program and its arguments, and exits as it does: with its status, or 128 and the number of the
/// signal that ended it.
pub fn main(command: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        eprintln!("the shim was given no program to run");
        return ExitCode::from(CANNOT_START);
    };
    let mut command = Command::new(&program);
    command.args(words);
    match run(command) {
        Ok(status) => exit_code(status),
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::from(CANNOT_START)
        }
    }
}

fn run(command: Command) -> io::Result<Option<WaitStatus>> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Were the shim stopped when the coordinator dies, it would not see the end of its standard input.
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
            _ = kill.recv() => break,
            _ = &mut coordinator_gone => break,
        }
    }
    loop {
        send_below(Signal::KILL)?;
        let reaped = reap()?;
        status = status.or(reaped.status_of(program));
        if reaped.none_left {
            return Ok(status);
        }
        // Something that was just being started is found by the next look, not by a signal.
        let _either = tokio::time::timeout(LOOK_AGAIN, children.recv()).await;
    }
}

fn on(wanted: Signal) -> io::Result<tokio::signal::unix::Signal> {
    signal(SignalKind::from_raw(wanted.as_raw()))
}

/// Resolves when standard input ends: its other end belongs to the coordinator.
fn lifeline() -> io::Result<oneshot::Receiver<()>> {
    let (held, gone) = oneshot::channel();
    thread::Builder::new()
        .name("lifeline".to_owned())
        .spawn(move || {
            let mut nothing = [0];
            // An error is an end like any other.
            while let Ok(1..) = io::stdin().read(&mut nothing) {}
            drop(held);
        })?;
    Ok(gone)
}

#[allow(
    unsafe_code,
    reason = "the death signal of a program that is not ours is set between fork and exec"
)]
fn start(mut command: Command) -> io::Result<Pid> {
    let shim = rustix::process::getpid();
    command.stdin(Stdio::null()).process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may run; these are two system calls, and they
    // allocate nothing.
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
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("a process has the number 0"))
}

/// Children whose end was taken note of.
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

/// Takes note of every child that has ended, the program and whatever was orphaned below it.
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

/// Signals the process group that the program was started in.
fn send(program: Pid, signal: Signal) {
    if let Err(error) = rustix::process::kill_process_group(program, signal) {
        eprintln!(
            "the shim cannot send signal {} to the program: {error}",
            signal.as_raw()
        );
    }
}

/// Signals every process below this one.
fn send_below(signal: Signal) -> io::Result<()> {
    for pid in below(rustix::process::getpid())? {
        match rustix::process::kill_process(pid, signal) {
            // It ended in the meantime.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => eprintln!(
                "the shim cannot send signal {} to {pid:?}: {error}",
                signal.as_raw()
            ),
        }
    }
    Ok(())
}

/// All descendants of a process, in one look at the table of processes.
fn below(ancestor: Pid) -> io::Result<Vec<Pid>> {
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
        // A process that ended in the meantime has no status any more, nor any below it.
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

/// The parent in a process's `stat`. The name before it stands in parentheses and may hold any character.
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
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (sleep) S 7 12 12 0 -1"), Pid::from_raw(7));
        assert_eq!(parent_in("12 (a) R 3 (b) S 7 12 12 0 -1"), Pid::from_raw(7));
        assert_eq!(parent_in("1 (init) S 0 1 1 0 -1"), None);
        assert_eq!(parent_in("12 (cut"), None);
    }
}
