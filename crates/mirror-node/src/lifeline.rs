//! What ties a node to the process that started it: standard input, which brings the launch description and then stays
//! open for as long as that process lives, and the kernel's death signal.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal};

/// Longest launch description, bytes.
const MAX_LINE: u64 = 64 << 20;

/// How long the launch description may take to come.
const LINE_DEADLINE: Duration = Duration::from_secs(30);

/// Stack of the thread that watches standard input: there is one in each of a thousand miners.
const WATCH_STACK: usize = 64 << 10;

/// Asks the kernel to kill this process when the thread that started it ends, even if it is stopped then. Whoever calls
/// this checks [`parent`] afterwards, because a parent that is already gone sends nothing.
pub(crate) fn end_with_parent() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot ask for a death signal")
}

/// The process that this one belongs to.
pub(crate) fn parent() -> u32 {
    rustix::process::getppid().map_or(0, |parent| parent.as_raw_pid().unsigned_abs())
}

/// The first line of standard input. From here on, this process is killed when standard input ends, whatever its other
/// threads are doing.
pub(crate) fn first_line() -> anyhow::Result<Vec<u8>> {
    let (sender, line) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("lifeline".to_owned())
        .stack_size(WATCH_STACK)
        .spawn(move || watch(&sender))
        .context("cannot start the thread that watches standard input")?;
    match line.recv_timeout(LINE_DEADLINE) {
        Ok(line) => line,
        Err(RecvTimeoutError::Timeout) => bail!("standard input brought no line within {LINE_DEADLINE:?}"),
        Err(RecvTimeoutError::Disconnected) => bail!("the thread that watches standard input is gone"),
    }
}

fn watch(sender: &SyncSender<anyhow::Result<Vec<u8>>>) {
    let mut stdin = io::stdin().lock();
    let line = read_line(&mut stdin);
    let tied = line.is_ok();
    if sender.send(line).is_err() || !tied {
        // The main thread has given up, or is about to: it says why and ends the process.
        return;
    }
    // Nothing more is to come. An error is an end like any other.
    while let Ok(buffered @ 1..) = stdin.fill_buf().map(<[u8]>::len) {
        stdin.consume(buffered);
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
        "standard input brought a line of more than {MAX_LINE} bytes"
    );
    ensure!(
        line.ends_with(b"\n"),
        "standard input ended before the end of its first line"
    );
    Ok(line)
}

/// Ends the process without running anything of it any more: no destructor, no exit handler of a native library, which
/// could wait for a thread that is busy.
fn kill_self() {
    let this = Pid::from_raw(std::process::id().cast_signed());
    if let Some(Err(error)) = this.map(|pid| rustix::process::kill_process(pid, Signal::KILL)) {
        eprintln!("cannot end this process: {error}");
    }
}
