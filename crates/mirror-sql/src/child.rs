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

use crate::engine::{Engine, MAX_TIME};

/// Bytes of memory that the process may have.
pub(crate) const MEMORY_BYTES: u64 = 1 << 30;

/// The part of this memory, in MiB, that DuckDB's own accounting may use. Above it, DuckDB writes to disk. The rest is
/// for code, stacks and memory that DuckDB does not count.
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
pub(crate) const OUT: &str = "out";
const COMPLAINT: &str = "complaint";

/// The reason why a DuckDB process failed.
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

/// Starts DuckDB, one process after another, and listens from the first one on for signals that ask this program to
/// end.
pub(crate) struct Runner<'engine> {
    engine: &'engine Engine,
    runtime: Runtime,
    signals: EndSignals,
}

/// The signals that ask this program to end, from now on.
struct EndSignals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: SignalStream,
}

impl EndSignals {
    /// Has to be called in a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

impl<'engine> Runner<'engine> {
    pub(crate) fn new(engine: &'engine Engine) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let signals = EndSignals::listen()?;
        drop(entered);
        Ok(Self {
            engine,
            runtime,
            signals,
        })
    }

    /// Has DuckDB execute `script` in the folder `work`, in a process group of its own, so that a terminal's Ctrl-C
    /// comes to this program alone. What it prints is in the file [`OUT`] there. The script is ours: nothing that a
    /// person wrote may be part of it. The folder has to be given to this process alone.
    pub(crate) fn execute(&mut self, work: &Path, script: &str) -> Result<(), Broken> {
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
            // DuckDB must not read the user's environment, secrets or start-up file.
            .env_clear()
            .env("HOME", work)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(complaint)
            .process_group(0)
            .kill_on_drop(true);
        let status = self.runtime.block_on(async {
            let mut child = command.spawn().map_err(io("cannot start DuckDB"))?;
            bound(&child).map_err(io("cannot bound what DuckDB takes"))?;
            let ended = tokio::select! {
                biased;
                () = self.signals.next() => Broken::Interrupted,
                status = child.wait() => return status.map_err(io("cannot wait for DuckDB")),
                () = tokio::time::sleep(self.engine.time) => Broken::Time(self.engine.time),
            };
            child.kill().await.map_err(io("cannot kill DuckDB"))?;
            Err(ended)
        })?;
        if status.success() {
            return Ok(());
        }
        if status.signal() == Some(Signal::XFSZ.as_raw()) {
            return Err(Broken::FileSize);
        }
        if let Some(signal) = status.signal() {
            return Err(Broken::Signal(signal));
        }
        let said = read(&work.join(COMPLAINT), COMPLAINT_BYTES);
        Err(Broken::Complaint(
            said.map_err(io("cannot read what DuckDB complains of"))?,
        ))
    }

    /// Does something that may block, and stops waiting for it when a signal asks this program to end.
    pub(crate) fn interruptible<T: Send + 'static>(
        &mut self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Broken> {
        self.runtime.block_on(async {
            let done = tokio::task::spawn_blocking(task);
            tokio::select! {
                done = done => done.map_err(|error| Broken::Io {
                    doing: "cannot write the answer",
                    source: error.into(),
                }),
                () = self.signals.next() => Err(Broken::Interrupted),
            }
        })
    }

    /// Ends without waiting for what still blocks.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// The beginning of a file, `bytes` long at most.
pub(crate) fn read(file: &Path, bytes: u64) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(file)?.take(bytes).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
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

/// Lets the operating system refuse the process more than it may take. The time of the processors ends it even where
/// this program is not there to do so.
fn bound(child: &Child) -> io::Result<()> {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        // It has ended already.
        return Ok(());
    };
    let limits = [
        (Resource::Data, MEMORY_BYTES),
        (Resource::Fsize, ANSWER_BYTES),
        (Resource::Cpu, MAX_TIME.as_secs() * THREADS),
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
