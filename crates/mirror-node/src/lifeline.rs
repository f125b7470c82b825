//! The ties between a node and its parent process: the kernel's death signal, and standard input, which delivers the
//! launch config and then stays open while the parent lives.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mirror_output::message;
use rustix::process::{Pid, Signal};

/// Maximum size of the launch config, in bytes.
const MAX_LINE: u64 = 64 << 20;

/// Time limit for the launch config to arrive.
const LINE_DEADLINE: Duration = Duration::from_secs(30);

/// Stack size of the thread that watches standard input, in bytes. A thousand miners have one such thread each.
const WATCH_STACK: usize = 64 << 10;

/// Asks the kernel to kill this process when the thread that started it ends, even if this process is stopped. The
/// caller must check [`parent`] afterwards, because a parent that has already exited sends no signal.
pub(crate) fn end_with_parent() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot request a death signal")
}

/// Returns the id of the parent process.
pub(crate) fn parent() -> u32 {
    rustix::process::getppid().map_or(0, |parent| parent.as_raw_pid().unsigned_abs())
}

/// Reads the first line of standard input. From then on, this process is killed when standard input ends, whatever its
/// other threads are doing.
pub(crate) fn first_line() -> anyhow::Result<Vec<u8>> {
    let (sender, line) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("lifeline".to_owned())
        .stack_size(WATCH_STACK)
        .spawn(move || watch(&sender))
        .context("cannot start the thread that watches standard input")?;
    match line.recv_timeout(LINE_DEADLINE) {
        Ok(line) => line,
        Err(RecvTimeoutError::Timeout) => bail!("no line on standard input within {LINE_DEADLINE:?}"),
        Err(RecvTimeoutError::Disconnected) => bail!("the thread that watches standard input has ended"),
    }
}

fn watch(sender: &SyncSender<anyhow::Result<Vec<u8>>>) {
    let mut stdin = io::stdin().lock();
    let line = read_line(&mut stdin);
    let tied = line.is_ok();
    if sender.send(line).is_err() || !tied {
        // The main thread has given up or is about to. It prints the reason and ends the process.
        return;
    }
    // No further input is expected. An error counts as the end, unless a signal interrupted the wait.
    loop {
        match stdin.fill_buf().map(<[u8]>::len) {
            Ok(buffered @ 1..) => stdin.consume(buffered),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    kill_self();
}

fn read_line(stdin: &mut impl BufRead) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    stdin
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)
        .context("cannot read standard input")?;
    ensure!(
        line.len() < MAX_LINE as usize,
        "the first line of standard input has more than {MAX_LINE} bytes"
    );
    ensure!(
        line.ends_with(b"\n"),
        "standard input ended before the end of its first line"
    );
    Ok(line)
}

/// Ends the process without running destructors or the exit handlers of native libraries, which could wait for a busy
/// thread.
fn kill_self() {
    let this = Pid::from_raw(std::process::id().cast_signed());
    if let Some(Err(error)) = this.map(|pid| rustix::process::kill_process(pid, Signal::KILL)) {
        message!("cannot end this process: {error}");
    }
}
