//! DuckDB as a child process: what it may take, and how it ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::engine::{Engine, LONGEST_TIME};

/// Bytes of memory that the process may have.
pub(crate) const MEMORY_BYTES: u64 = 1 << 30;

/// Of them, those that DuckDB counts itself, MiB. Beyond, it writes to disk; code, stacks and what it does not count have
/// the rest.
const COUNTED_MIB: u64 = 700;

/// Bytes that DuckDB may write to disk for what does not fit in memory.
pub(crate) const SPILL_BYTES: u64 = 2 << 30;

/// Bytes of an answer. It bounds every file that the process writes; DuckDB's own for what does not fit in memory are
/// smaller, 4,000 blocks of 256 KiB at most.
pub(crate) const ANSWER_BYTES: u64 = 1 << 30;

/// Threads that work at a question.
const THREADS: u64 = 4;

/// Bytes of a complaint that are read.
const COMPLAINT_BYTES: u64 = 16 << 10;

/// Where DuckDB may write what does not fit in memory, below its working folder.
const SPILL: &str = "spill";

/// What the process prints, and what it complains of, in its working folder.
const OUT: &str = "out";
const COMPLAINT: &str = "complaint";

/// How a process ended that did not do what it was told.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It did not end in time and was killed.
    Time(Duration),
    /// A signal of the terminal came, and it was killed.
    Interrupted,
    /// It wrote a file larger than it may.
    FileSize,
    /// Another signal ended it.
    Signal(i32),
    /// It ended with a message.
    Complaint(String),
    /// It could not be started, or its output could not be read.
    Io { doing: &'static str, source: io::Error },
}

/// Starts DuckDB, one process after another, and listens from the first one on for signals that ask this program to end.
pub(crate) struct Runner<'engine> {
    engine: &'engine Engine,
    runtime: Runtime,
    interrupt: SignalStream,
    terminate: SignalStream,
}

impl<'engine> Runner<'engine> {
    pub(crate) fn new(engine: &'engine Engine) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (interrupt, terminate) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        Ok(Self {
            engine,
            runtime,
            interrupt,
            terminate,
        })
    }

    /// Has DuckDB execute `script` in the folder `work`, and gives what it printed. The script is ours: nothing that a person
    /// wrote may be part of it. The folder has to be given to this process alone.
    pub(crate) fn execute(&mut self, work: &Path, script: &str) -> Result<String, Broken> {
        let io = |doing| move |source| Broken::Io { doing, source };
        let create =
            |name: &str| File::create(work.join(name)).map_err(io("cannot write where DuckDB works"));
        let (out, complaint) = (create(OUT)?, create(COMPLAINT)?);
        match std::fs::create_dir(work.join(SPILL)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io("cannot write where DuckDB works")(error));
            }
            _ => {}
        }
        let mut command = Command::new(&self.engine.program);
        command
            .args(["-batch", "-bail", "-no-stdin", "-csv", "-c"])
            .arg(format!("{}\n{script}", settings()))
            .current_dir(work)
            // Its habits, its secrets and its start-up file are not the user's.
            .env_clear()
            .env("HOME", work)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(complaint)
            .kill_on_drop(true);
        let status = self.runtime.block_on(async {
            let mut child = command.spawn().map_err(io("cannot start DuckDB"))?;
            bound(&child).map_err(io("cannot bound what DuckDB takes"))?;
            let ended = tokio::select! {
                status = child.wait() => return status.map_err(io("cannot wait for DuckDB")),
                () = tokio::time::sleep(self.engine.time) => Broken::Time(self.engine.time),
                _ = self.interrupt.recv() => Broken::Interrupted,
                _ = self.terminate.recv() => Broken::Interrupted,
            };
            child.kill().await.map_err(io("cannot kill DuckDB"))?;
            Err(ended)
        })?;
        let read = |name: &str, bytes: u64| {
            let mut text = Vec::new();
            let file = File::open(work.join(name)).map_err(io("cannot read what DuckDB printed"))?;
            file.take(bytes)
                .read_to_end(&mut text)
                .map_err(io("cannot read what DuckDB printed"))?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        if status.success() {
            return read(OUT, ANSWER_BYTES);
        }
        if status.signal() == Some(Signal::XFSZ.as_raw()) {
            return Err(Broken::FileSize);
        }
        if let Some(signal) = status.signal() {
            return Err(Broken::Signal(signal));
        }
        Err(Broken::Complaint(read(COMPLAINT, COMPLAINT_BYTES)?))
    }
}

/// What every script begins with.
fn settings() -> String {
    let threads =
        std::thread::available_parallelism().map_or(1, |threads| (threads.get() as u64).min(THREADS));
    format!(
        "SET enable_progress_bar=false;
SET memory_limit='{COUNTED_MIB}MiB';
SET threads={threads};
SET temp_directory='{SPILL}';
SET max_temp_directory_size='{}GiB';
SET autoinstall_known_extensions=false;
SET autoload_known_extensions=false;
SET allow_community_extensions=false;
SET extension_directory='{SPILL}';",
        SPILL_BYTES >> 30
    )
}

/// Lets the operating system refuse the process more than it may take. The time of the processors ends it even where this
/// program is not there to do so.
fn bound(child: &Child) -> io::Result<()> {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        // It has ended already.
        return Ok(());
    };
    let limits = [
        (Resource::Data, MEMORY_BYTES),
        (Resource::Fsize, ANSWER_BYTES),
        (Resource::Cpu, LONGEST_TIME.as_secs() * THREADS),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        match prlimit(Some(pid), resource, limit) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            bounded => bounded?,
        };
    }
    Ok(())
}
