//! What a query may take: 1 GiB, at most 30 seconds, four threads.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::error::QueryError;

/// Bytes of memory that this process may have.
const MEMORY: u64 = 1 << 30;

/// Of them, those that a query's operators may hold. Beyond, they write to disk; what does not count itself, such as
/// batches on their way, has the rest.
const HELD: usize = 640 << 20;

/// Bytes that operators may write to disk.
const SPILLED: u64 = 4 << 30;

const THREADS: usize = 4;

/// Stack of the thread that plans: planning recurses as deep as a question nests, which its length bounds.
const DEEP_STACK: usize = 256 << 20;

/// Stack of a thread that works at a query.
const STACK: usize = 16 << 20;

/// Lets the operating system refuse this process more than its memory.
pub(crate) fn bound_memory() -> Result<(), QueryError> {
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    setrlimit(Resource::Data, limit).map_err(|error| QueryError::Bounds(io::Error::from(error)))
}

/// The time that is left to a query.
pub(crate) struct Clock {
    /// Without it, time is no more counted.
    running: Sender<()>,
}

/// Ends this process when its time is over. A thread of its own does so, whatever the query is busy with.
pub(crate) fn start_clock(time: Duration) -> Clock {
    let (running, stopped) = mpsc::channel::<()>();
    thread::spawn(move || {
        if stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            let seconds = time.as_secs();
            eprintln!(
                "the query took more than {seconds} seconds and was stopped: ask for fewer rows or fewer runs"
            );
            std::process::exit(1);
        }
    });
    Clock { running }
}

impl Clock {
    /// From now on this process may take its time.
    pub(crate) fn stop(self) {
        drop(self.running);
    }
}

/// Threads that work at a query.
pub(crate) fn threads() -> usize {
    // A machine that does not tell how many it can run has one.
    thread::available_parallelism().map_or(1, Into::into).min(THREADS)
}

/// The threads' runtime.
pub(crate) fn runtime() -> Result<Runtime, QueryError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .map_err(QueryError::Bounds)
}

/// Does something that recurses deep.
pub(crate) fn with_deep_stack<T: Send>(something: impl FnOnce() -> T + Send) -> Result<T, QueryError> {
    thread::scope(|scope| {
        let working = thread::Builder::new()
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, something)
            .map_err(QueryError::Bounds)?;
        working
            .join()
            .map_err(|_| QueryError::Failed("this program has a fault, told above".to_owned()))
    })
}

/// The memory and the disk of a query's operators.
pub(crate) fn environment() -> Result<Arc<RuntimeEnv>, QueryError> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::OsTmpDirectory)
        .with_max_temp_directory_size(SPILLED);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(HELD)))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(|error| QueryError::of(&error))
}
