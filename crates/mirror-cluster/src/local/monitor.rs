//! The monitor of one running process: a single task that performs its handshake, signals it, waits for it, and reports
//! its exit. Only the task that waits for a process signals it, so no signal can reach a process that reuses its id.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;

use mirror_spec::launch::Listening;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};

use super::limits::ProcessLimits;
use super::limits::cgroup::{self, Cgroups};
use super::{LAST_LOG, log, view};
use crate::watched::{ProcessState, Watched};
use crate::{EndedBy, Exit, NodeLimits, NodeState, NodeView, Status, shim};

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
    pub(super) watched: Watched,
    monitor: ProcessMonitor,
    /// The process, which is waited for only when it has ended.
    pid: Option<u32>,
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

/// An order to the task that monitors a process.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Send the signal of a request.
    Signal(Request),
    /// Replace the limits of the process and of all processes that it started.
    Limit(NodeLimits),
}

/// An order with the channel of its outcome.
type Asked = (Order, oneshot::Sender<io::Result<()>>);

/// A handle to the task that monitors a process. The task ends with the process.
#[derive(Debug, Clone)]
pub(super) struct ProcessMonitor {
    requests: mpsc::Sender<Asked>,
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
        cgroups: Arc<Cgroups>,
    ) -> Self {
        let pid = child.id();
        let mut limiter = Limiter {
            cgroups,
            group: cgroup::group_name(&name),
            limits: ProcessLimits::default(),
        };
        let foreign = matches!(tie, Tie::Shim { .. });
        let (state_sender, state) = watch::channel(ProcessState::Starting);
        let (requests, incoming) = mpsc::channel(PENDING_REQUESTS);
        tokio::spawn(async move {
            let (status, ended_by) = watch(&mut child, tie, &state_sender, incoming, &mut limiter).await;
            let status = limiter.explained(status, ended_by);
            // Removes the control groups of the process before another one of its name can be started.
            drop(limiter);
            state_sender.send_replace(ProcessState::Ended(status));
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
            watched: Watched::new(foreign, state),
            monitor: ProcessMonitor { requests },
            pid,
        }
    }

    /// Returns what can be seen of the process from outside.
    pub(super) fn view(&self) -> NodeView {
        let (state, address) = self.watched.seen();
        let pid = self.pid.filter(|_| !matches!(state, NodeState::Ended(_)));
        let usage = pid.map(|pid| view::usage(pid, self.watched.is_foreign()));
        let usage = usage.unwrap_or_default();
        NodeView {
            incarnation: self.incarnation,
            state,
            pid,
            address,
            memory: usage.memory,
            cpu_time: usage.cpu_time,
            limits: self.watched.limits(),
        }
    }

    pub(super) fn monitor(&self) -> ProcessMonitor {
        self.monitor.clone()
    }
}

impl ProcessMonitor {
    /// Returns the outcome of a request, or `None` if the process has ended.
    pub(super) async fn ask(&self, request: Request) -> Option<io::Result<()>> {
        self.order(Order::Signal(request)).await
    }

    /// Replaces the limits of the process. Returns the outcome, or `None` if the process has ended.
    pub(super) async fn limit(&self, limits: NodeLimits) -> Option<io::Result<()>> {
        self.order(Order::Limit(limits)).await
    }

    async fn order(&self, order: Order) -> Option<io::Result<()>> {
        let (reply, outcome) = oneshot::channel();
        self.requests.send((order, reply)).await.ok()?;
        outcome.await.ok()
    }
}

/// Monitors a process until it has ended. If all senders of requests are dropped, the process is killed.
async fn watch(
    child: &mut Child,
    tie: Tie,
    state: &watch::Sender<ProcessState>,
    mut requests: mpsc::Receiver<Asked>,
    limiter: &mut Limiter,
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
                let (order, reply) = asked.map_or((Order::Signal(Request::Kill), None), |(order, reply)| (order, Some(reply)));
                if matches!(order, Order::Signal(Request::Terminate | Request::Kill)) {
                    ended_by = EndedBy::Placement;
                }
                let outcome = match (child.id(), order) {
                    (None, _) => Ok(()),
                    (Some(pid), Order::Limit(limits)) => limiter.replace(signals, pid, &limits),
                    (Some(pid), Order::Signal(request)) => signals.send(pid, request),
                };
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

/// The limits of a monitored process.
struct Limiter {
    cgroups: Arc<Cgroups>,
    /// Name of the control groups.
    group: String,
    limits: ProcessLimits,
}

impl Limiter {
    /// Replaces the limits of a process and of all processes that it started. The shim is not limited.
    fn replace(&mut self, signals: Signals, pid: u32, limits: &NodeLimits) -> io::Result<()> {
        let pid = Pid::from_raw(pid.cast_signed()).ok_or_else(|| io::Error::other("the process id is 0"))?;
        let mut processes = shim::below(pid)?;
        match signals {
            Signals::Group => processes.push(pid),
            Signals::Shim => {}
        }
        self.limits
            .replace(&self.cgroups, &self.group, &processes, limits)
    }

    /// Returns the exit status of the process, or that it exceeded its memory limit.
    fn explained(&self, status: Status, ended_by: EndedBy) -> Status {
        let killed = [
            Status::Signal(Signal::KILL.as_raw()),
            // The status with which the shim reports the signal of its program.
            Status::Code(128 + Signal::KILL.as_raw()),
        ];
        if ended_by == EndedBy::Placement || !killed.contains(&status) {
            return status;
        }
        self.limits.exceeded_memory().map_or(status, Status::MemoryLimit)
    }
}

/// Sends a process its launch config, and receives its listen address.
async fn greet(mut stdin: ChildStdin, stdout: Option<ChildStdout>, tie: Tie) -> (ChildStdin, ProcessState) {
    let launch = match tie {
        Tie::Own { launch } => launch,
        Tie::Shim { address } => {
            // A foreign program has no separate address for health checks.
            let liveness = address;
            return (stdin, ProcessState::Listening(Listening { address, liveness }));
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

async fn read_handshake(stdout: ChildStdout) -> ProcessState {
    let mut line = Vec::new();
    let mut stdout = BufReader::new(stdout.take(MAX_LISTENING));
    match stdout.read_until(b'\n', &mut line).await {
        // No output: the process is about to end, or it will time out.
        Ok(0) => pending().await,
        Ok(_) => match serde_json::from_slice(&line) {
            Ok(listening) => ProcessState::Listening(listening),
            Err(_) => {
                ProcessState::BadHandshake(String::from_utf8_lossy(&line).chars().take(SHOWN).collect())
            }
        },
        Err(error) => ProcessState::BadHandshake(format!("({error})")),
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
