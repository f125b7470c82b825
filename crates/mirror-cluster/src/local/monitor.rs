//! The monitor of one running process: a single task that performs its handshake, signals it, waits for it, and reports
//! its exit. Only the task that waits for a process signals it, so no signal can reach a process that reuses its id.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use mirror_spec::launch::Listening;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};

use super::{LAST_LOG, log};
use crate::{EndedBy, Exit, HealthProbe, Status, shim};

/// Maximum length in bytes of the line in which a node reports its listen address.
const MAX_LISTENING: u64 = 4 << 10;

/// Maximum number of characters of unexpected output in an error.
const SHOWN: usize = 200;

/// Capacity of the request queue of one node.
const PENDING_REQUESTS: usize = 16;

/// A process and the task that monitors it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) incarnation: u32,
    /// Whether it is a foreign program below the shim.
    foreign: bool,
    state: watch::Receiver<State>,
    monitor: ProcessMonitor,
    /// Whether [`Request::Pause`] is in effect.
    paused: AtomicBool,
    /// Sends health checks, once the process has reported its address for them.
    health: OnceLock<HealthProbe>,
}

/// The state of a process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// The process has not reported its listen address.
    Starting,
    /// The process listens.
    Listening(Listening),
    /// The process printed something other than its listen address.
    BadHandshake(String),
    /// The process has ended.
    Ended(Status),
}

/// The tie between a process and this one.
#[derive(Debug)]
pub(super) enum Tie {
    /// A node of this project: the lifeline, which first carries its launch config, and its own death signal.
    Own {
        /// The launch config as a line of JSON.
        launch: Vec<u8>,
    },
    /// The shim with a foreign program below it: only the lifeline. When it ends, the shim kills all processes below
    /// it.
    Shim {
        /// The address that the foreign program was given to listen on.
        address: SocketAddr,
    },
}

/// A request to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Request its shutdown.
    Terminate,
    /// Kill it and all processes that it started.
    Kill,
    /// Pause it.
    Pause,
    /// Resume it.
    Resume,
}

/// A handle to the task that monitors a process. The task ends with the process.
#[derive(Debug, Clone)]
pub(super) struct ProcessMonitor {
    requests: mpsc::Sender<(Request, oneshot::Sender<io::Result<()>>)>,
}

impl Node {
    /// Starts a task that monitors `child`.
    pub(super) fn watch(
        mut child: Child,
        tie: Tie,
        name: String,
        incarnation: u32,
        log: PathBuf,
        exits: mpsc::Sender<Exit>,
    ) -> Self {
        let foreign = matches!(tie, Tie::Shim { .. });
        let (state_sender, state) = watch::channel(State::Starting);
        let (requests, incoming) = mpsc::channel(PENDING_REQUESTS);
        tokio::spawn(async move {
            let (status, ended_by) = watch(&mut child, tie, &state_sender, incoming).await;
            state_sender.send_replace(State::Ended(status));
            let last_log = log::last_or_reason(&log, LAST_LOG);
            let exit = Exit {
                node: name,
                incarnation,
                status,
                ended_by,
                last_log,
            };
            if let Err(mpsc::error::SendError(exit)) = exits.send(exit).await {
                tracing::debug!(node = exit.node, %status, "a node ended after the receiver of exits was dropped");
            }
        });
        Self {
            incarnation,
            foreign,
            state,
            monitor: ProcessMonitor { requests },
            paused: AtomicBool::new(false),
            health: OnceLock::new(),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Returns the health probe of the process. `None` before the process has reported its listen address and after it
    /// has ended.
    pub(super) fn health(&self) -> Option<HealthProbe> {
        let State::Listening(listening) = *self.state.borrow() else {
            return None;
        };
        Some(
            self.health
                .get_or_init(|| HealthProbe::new(listening.liveness))
                .clone(),
        )
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    pub(super) fn monitor(&self) -> ProcessMonitor {
        self.monitor.clone()
    }

    /// Returns the address of the node's control service. `None` for a foreign program, and unless the process listens.
    pub(super) fn control(&self) -> Option<SocketAddr> {
        match *self.state.borrow() {
            State::Listening(listening) if !self.foreign => Some(listening.liveness),
            State::Listening(_) | State::Starting | State::BadHandshake(_) | State::Ended(_) => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(*self.state.borrow(), State::Ended(_))
    }
}

impl ProcessMonitor {
    /// Returns the outcome of a request, or `None` if the process has ended.
    pub(super) async fn ask(&self, request: Request) -> Option<io::Result<()>> {
        let (reply, outcome) = oneshot::channel();
        self.requests.send((request, reply)).await.ok()?;
        outcome.await.ok()
    }
}

/// Monitors a process until it has ended. If all senders of requests are dropped, the process is killed.
async fn watch(
    child: &mut Child,
    tie: Tie,
    state: &watch::Sender<State>,
    mut requests: mpsc::Receiver<(Request, oneshot::Sender<io::Result<()>>)>,
) -> (Status, EndedBy) {
    let signals = tie.signals();
    let stdin = child
        .stdin
        .take()
        .expect("a process is started with a pipe for standard input");
    let mut greeting = pin!(greet(stdin, child.stdout.take(), tie));
    // Held until the process has ended, because closing it would end the process.
    let mut lifeline = None;
    let mut ended_by = EndedBy::Itself;
    let mut abandoned = false;
    loop {
        tokio::select! {
            biased;
            ended = child.wait() => return (Status::of(ended), ended_by),
            (stdin, said) = &mut greeting, if lifeline.is_none() => {
                lifeline = Some(stdin);
                state.send_replace(said);
            }
            asked = requests.recv(), if !abandoned => {
                abandoned = asked.is_none();
                let (request, reply) = asked.map_or((Request::Kill, None), |(request, reply)| (request, Some(reply)));
                if matches!(request, Request::Terminate | Request::Kill) {
                    ended_by = EndedBy::Placement;
                }
                let outcome = child.id().map_or(Ok(()), |pid| signals.send(pid, request));
                match (reply, outcome) {
                    // The caller may have stopped waiting for the outcome.
                    (Some(reply), outcome) => drop(reply.send(outcome)),
                    (None, Err(error)) => tracing::error!(%error, "cannot kill an abandoned process"),
                    (None, Ok(())) => {}
                }
            }
        }
    }
}

/// Sends a process its launch config, and receives its listen address.
async fn greet(mut stdin: ChildStdin, stdout: Option<ChildStdout>, tie: Tie) -> (ChildStdin, State) {
    let launch = match tie {
        Tie::Own { launch } => launch,
        Tie::Shim { address } => {
            // A foreign program has no separate address for health checks.
            let liveness = address;
            return (stdin, State::Listening(Listening { address, liveness }));
        }
    };
    let stdout = stdout.expect("a node of this project is started with a pipe for standard output");
    let said = {
        let telling = async {
            // A process that does not read its launch config is detected by its output or by its exit.
            if let Err(error) = stdin.write_all(&launch).await {
                tracing::debug!(%error, "a node did not read its launch config");
            }
            pending().await
        };
        tokio::select! {
            said = read_handshake(stdout) => said,
            never = telling => never,
        }
    };
    (stdin, said)
}

async fn read_handshake(stdout: ChildStdout) -> State {
    let mut line = Vec::new();
    let mut stdout = BufReader::new(stdout.take(MAX_LISTENING));
    match stdout.read_until(b'\n', &mut line).await {
        // No output: the process is about to end, or it will time out.
        Ok(0) => pending().await,
        Ok(_) => match serde_json::from_slice(&line) {
            Ok(listening) => State::Listening(listening),
            Err(_) => State::BadHandshake(String::from_utf8_lossy(&line).chars().take(SHOWN).collect()),
        },
        Err(error) => State::BadHandshake(format!("({error})")),
    }
}

/// The target to which the signals of requests are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signals {
    /// To its process group.
    Group,
    /// To the shim, which passes them on to all processes below it.
    Shim,
}

impl Tie {
    pub(super) fn signals(&self) -> Signals {
        match self {
            Self::Own { .. } => Signals::Group,
            Self::Shim { .. } => Signals::Shim,
        }
    }
}

impl Signals {
    /// Carries out a request on a process that has not been waited for, so that `pid` still refers to it.
    pub(super) fn send(self, pid: u32, request: Request) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(pid.cast_signed()) else {
            return Err(io::Error::other("the process id is 0"));
        };
        match (self, request) {
            (Self::Group, Request::Terminate) => {
                kill_process_group(pid, Signal::TERM)?;
                // A paused process handles the signal only after it is resumed.
                kill_process_group(pid, Signal::CONT)?;
            }
            (Self::Group, Request::Kill) => kill_process_group(pid, Signal::KILL)?,
            (Self::Group, Request::Pause) => kill_process_group(pid, Signal::STOP)?,
            (Self::Group, Request::Resume) => kill_process_group(pid, Signal::CONT)?,
            (Self::Shim, Request::Terminate) => kill_process(pid, shim::TERMINATE)?,
            (Self::Shim, Request::Kill) => kill_process(pid, shim::KILL)?,
            (Self::Shim, Request::Pause) => kill_process(pid, shim::PAUSE)?,
            (Self::Shim, Request::Resume) => kill_process(pid, shim::RESUME)?,
        }
        Ok(())
    }
}

impl Status {
    fn of(ended: io::Result<ExitStatus>) -> Self {
        match ended.map(|status| (status.code(), status.signal())) {
            Ok((Some(code), _)) => Self::Code(code),
            Ok((None, Some(signal))) => Self::Signal(signal),
            Ok((None, None)) => Self::Unknown,
            Err(error) => {
                tracing::error!(%error, "cannot wait for a process");
                Self::Unknown
            }
        }
    }
}
