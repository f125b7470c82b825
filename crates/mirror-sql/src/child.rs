//! Runs DuckDB as a child process with bounded resources.

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

/// Maximum memory of the process, in bytes.
pub(crate) const MEMORY_BYTES: u64 = 1 << 30;

/// The part of this memory, in MiB, that DuckDB may use by its own accounting. DuckDB writes data above this limit to
/// disk. The rest is for code, stacks and memory that DuckDB does not count.
const COUNTED_MIB: u64 = 700;

/// Maximum number of bytes that DuckDB may write to disk for data that does not fit in memory.
pub(crate) const SPILL_BYTES: u64 = 2 << 30;

/// Maximum size of an answer, in bytes. The limit applies to every file that the process writes. The files into which
/// DuckDB spills memory are smaller: at most 4,000 blocks of 256 KiB.
pub(crate) const ANSWER_BYTES: u64 = 1 << 30;

/// Maximum number of threads that execute a query.
const THREADS: u64 = 4;

/// Maximum number of bytes of an error message that are read.
const COMPLAINT_BYTES: u64 = 16 << 10;

/// Name of the directory for data that does not fit in memory, in DuckDB's working directory.
const SPILL: &str = "spill";

/// Names of the files for standard output and standard error, in DuckDB's working directory.
pub(crate) const OUT: &str = "out";
const COMPLAINT: &str = "complaint";

/// The reason why a DuckDB process failed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The process exceeded the time limit and was killed.
    Time(Duration),
    /// The process was killed because this program received a signal to shut down.
    Interrupted,
    /// The process wrote a file larger than [`ANSWER_BYTES`].
    FileSize,
    /// The process was terminated by another signal.
    Signal(i32),
    /// The process failed with this error message.
    Complaint(String),
    /// The process could not be started, or its output could not be read.
    Io { doing: &'static str, source: io::Error },
}

/// Runs DuckDB processes one after another. From its creation on, it listens for signals that ask this program to shut
/// down.
pub(crate) struct Runner<'engine> {
    engine: &'engine Engine,
    runtime: Runtime,
    signals: EndSignals,
}

/// Streams of the signals that ask this program to shut down.
struct EndSignals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: SignalStream,
}

impl EndSignals {
    /// Starts to listen for the signals. Must be called in a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
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

    /// Executes `script` with DuckDB in the directory `work`. DuckDB's standard output is written to the file [`OUT`]
    /// in that directory. The process has a separate process group, so that Ctrl-C in a terminal only reaches this
    /// program.
    ///
    /// `script` must not contain any text from a user. No other process may use the directory.
    pub(crate) fn execute(&mut self, work: &Path, script: &str) -> Result<(), Broken> {
        let io = |doing| move |source| Broken::Io { doing, source };
        let create =
            |name: &str| File::create(work.join(name)).map_err(io("cannot write to DuckDB's folder"));
        let (out, complaint) = (create(OUT)?, create(COMPLAINT)?);
        match std::fs::create_dir(work.join(SPILL)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io("cannot write to DuckDB's folder")(error));
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
            bound(&child).map_err(io("cannot set resource limits for DuckDB"))?;
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
            said.map_err(io("cannot read DuckDB's error message"))?,
        ))
    }

    /// Runs a task that may block, and stops waiting for it when a signal asks this program to shut down.
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

    /// Shuts down without waiting for blocking tasks.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// Reads the beginning of a file, at most `bytes` bytes, as text.
pub(crate) fn read(file: &Path, bytes: u64) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(file)?.take(bytes).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Returns the settings with which every script begins.
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

/// Sets the resource limits of the process. The limit of CPU time ends the process even if this program no longer runs.
fn bound(child: &Child) -> io::Result<()> {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        // The process has exited already.
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
