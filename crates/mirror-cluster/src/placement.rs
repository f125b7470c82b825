//! The interface of a placement, independent of where it runs nodes.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mirror_spec::launch::{
    Credentials, LogLaunch, MinerLaunch, ProxyLaunch, SubtensorLaunch, TelemetryLaunch, ValidatorLaunch,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// A place where nodes run. Nodes are identified by their names.
pub trait Placement: Send + Sync {
    /// Returns the optional capabilities of this placement.
    fn capabilities(&self) -> &[Capability];

    /// Opens a listener for the coordinator that the nodes of this placement can reach.
    fn listen(&self) -> impl Future<Output = io::Result<TcpListener>> + Send;

    /// Starts a node and returns its incarnation: 0, or one more than the previous one of that name, which must have
    /// ended. The chain listens at the same address in all its incarnations, because the other nodes keep that address.
    fn spawn(&self, node: &NodeSpec) -> impl Future<Output = Result<u32, PlacementError>> + Send;

    /// Waits at most `timeout` until a node answers health checks, and returns its address. A foreign program is ready
    /// when it accepts connections.
    ///
    /// # Errors
    ///
    /// Returns an error early if the node ends.
    fn ready(
        &self,
        node: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<SocketAddr, PlacementError>> + Send;

    /// Sends a health check to a node that has been ready, and waits for the reply until `deadline` has passed.
    ///
    /// A node of this project answers from a thread that its work cannot block. A foreign program is checked at its
    /// serving address. Without a health service, it cannot be watched.
    fn check_liveness(&self, node: &str, deadline: Duration) -> impl Future<Output = Liveness> + Send;

    /// Returns the listen address of a running node. `None` if the node has not reported it yet.
    fn address(&self, node: &str) -> Option<SocketAddr>;

    /// Returns the address at which a running node accepts changes of its fault state (`NodeControl`). `None` if the
    /// node has not reported it yet, or is a foreign program.
    fn control(&self, node: &str) -> Option<SocketAddr>;

    /// Returns the address from which the connections of a node come, the same in all its incarnations. `None` if the
    /// node was never started. Foreign programs may share one address.
    fn source(&self, node: &str) -> Option<IpAddr>;

    /// Requests the shutdown of a node, waits for `grace`, and then kills it. Returns its exit status. It is not an
    /// error if the node has already ended. A paused node is stopped too.
    fn stop(
        &self,
        node: &str,
        grace: Duration,
    ) -> impl Future<Output = Result<Status, PlacementError>> + Send;

    /// Kills a node and all processes that it started.
    fn kill(&self, node: &str) -> impl Future<Output = Result<Status, PlacementError>> + Send;

    /// Pauses a node, see [`Capability::Pause`]. It is not an error if the node is already paused; one call of
    /// [`resume`](Self::resume) then suffices.
    fn pause(&self, node: &str) -> impl Future<Output = Result<(), PlacementError>> + Send;

    /// Resumes a paused node. It is not an error if the node is not paused.
    fn resume(&self, node: &str) -> impl Future<Output = Result<(), PlacementError>> + Send;

    /// Replaces the limits of a running node and of all processes that it started. A node that is started again has no
    /// limits.
    ///
    /// # Errors
    ///
    /// Returns [`PlacementError::Unsupported`] if this placement cannot set a limit, and an error if a limit is out of
    /// range or the operating system refuses it. Limits before the refused one may then be in effect.
    fn limit(
        &self,
        node: &str,
        limits: &NodeLimits,
    ) -> impl Future<Output = Result<(), PlacementError>> + Send;

    /// Returns what can be seen of a node from outside. `None` if it was never started.
    fn inspect(&self, node: &str) -> Option<NodeView>;

    /// Returns the end of a node's log over all its incarnations: whole lines, at most `bytes`.
    fn logs(&self, node: &str, bytes: u64) -> Result<LastLog, PlacementError>;
}

/// The result of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The node answered.
    Answered,
    /// The node is running and did not answer before the deadline.
    Silent,
    /// This placement has paused the node, so no reply is expected.
    Paused,
    /// No check is possible: the node is not running, or it is a foreign program without a health service.
    Unwatched,
}

/// An optional capability of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Nodes can be paused and resumed, with their connections and memory kept.
    Pause,
    /// Foreign programs can be nodes.
    Foreign,
    /// The share of a processor that a node uses can be limited.
    CpuLimit,
    /// The memory of a node can be limited.
    MemoryLimit,
    /// The disk can appear full to a node.
    DiskLimit,
}

/// Limits on the resources of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NodeLimits {
    /// Share of one processor, 0.01 or more. `None` if it is not limited.
    pub cpu: Option<f64>,
    /// Memory in bytes. The kernel kills a node that exceeds it. `None` if it is not limited.
    pub memory: Option<u64>,
    /// The space on the disk.
    pub disk: DiskSpace,
}

/// The space on the disk that a node finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiskSpace {
    /// The space that the machine has.
    #[default]
    Unlimited,
    /// None: each write to a file fails, also to the log of the node. On this machine, the error is EFBIG ("file too
    /// large") and not ENOSPC, and a foreign program that does not handle SIGXFSZ is ended by it.
    Full,
}

/// The state of a node and its use of resources.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Number of earlier starts of the node in this run.
    pub incarnation: u32,
    /// The state of the node.
    pub state: NodeState,
    /// Process id. For a foreign program, that of the shim. `None` if the node has ended.
    pub pid: Option<u32>,
    /// Listen address. `None` if the node has not reported it or has ended.
    pub address: Option<SocketAddr>,
    /// Resident memory in bytes, over all processes of the node. 0 if it has ended.
    pub memory: u64,
    /// Processor time, over all processes of the node that run. 0 if it has ended.
    pub cpu_time: Duration,
    /// The limits in effect.
    pub limits: NodeLimits,
}

/// The state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It has not reported its listen address.
    Starting,
    /// It runs.
    Running,
    /// The placement has paused it.
    Paused,
    /// It has ended.
    Ended(Status),
}

/// The specification of a node to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeSpec {
    /// The name, such as `validator-0`: letters, digits, `-` and `_`, at most 64.
    pub name: String,
    /// The program of the node.
    pub program: Program,
}

/// The program of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "there is one value per start of a node")]
pub enum Program {
    /// A node of this project. The placement adds the fields of the launch config that only the placement knows.
    Ours {
        /// The log of the node.
        log: LogLaunch,
        /// The random seed of the experiment.
        seed: u64,
        /// The certificate of the node.
        credentials: Credentials,
        /// The offset of the node's clock in seconds.
        clock_skew: f64,
        /// The recording of spans and metrics. `None` to record none.
        telemetry: Option<TelemetryLaunch>,
        /// The folder of the node's CPU profile. `None` to record none.
        profiles: Option<PathBuf>,
        /// The program and its part of the launch config.
        role: Role,
    },
    /// A foreign program.
    Foreign(ForeignProgram),
}

/// A program of this project with its part of the launch config.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "there is one value per start of a node")]
pub enum Role {
    /// The chain.
    Subtensor(Box<SubtensorLaunch>),
    /// A miner.
    Miner(MinerLaunch),
    /// A validator.
    Validator(Box<ValidatorLaunch>),
    /// A proxy between other nodes.
    Proxy(ProxyLaunch),
}

/// The part of a launch config that depends on the role of the node.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Settings<'a> {
    Subtensor(&'a SubtensorLaunch),
    Miner(&'a MinerLaunch),
    Validator(&'a ValidatorLaunch),
    Proxy(&'a ProxyLaunch),
}

impl Role {
    /// Returns the part of the launch config that depends on the role.
    pub(crate) fn settings(&self) -> Settings<'_> {
        match self {
            Self::Subtensor(launch) => Settings::Subtensor(launch),
            Self::Miner(launch) => Settings::Miner(launch),
            Self::Validator(launch) => Settings::Validator(launch),
            Self::Proxy(launch) => Settings::Proxy(launch),
        }
    }
}

/// The command of a foreign program.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignProgram {
    /// A path, or a name that is looked up in `PATH`.
    pub program: String,
    /// The arguments. `{port}` in them is replaced by the port to listen on.
    pub arguments: Vec<String>,
}

impl fmt::Debug for ForeignProgram {
    /// Omits the arguments, which may contain a secret key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignProgram")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// The exit of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The name of the node.
    pub node: String,
    /// Number of earlier starts of the node in this run.
    pub incarnation: u32,
    /// The exit status.
    pub status: Status,
    /// The cause of the exit.
    pub ended_by: EndedBy,
    /// The end of the log.
    pub last_log: LastLog,
}

/// The cause of a node's exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The placement stopped or killed the node.
    Placement,
    /// The node exited on its own.
    Itself,
}

/// The exit status of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The exit code. 0 is success.
    Code(i32),
    /// The signal that terminated the node.
    Signal(i32),
    /// The kernel killed the node because it exceeded its memory limit, in bytes.
    MemoryLimit(u64),
    /// The node has ended with an unknown status.
    Unknown,
}

/// The end of a node's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastLog(pub String);

/// The error of a failed operation of a placement. In each variant, `node` is the name of the node and `last_log` the
/// end of its log.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant describes it")]
pub enum PlacementError {
    /// The name is invalid.
    #[error("`{node}` is not a valid node name: expected 1 to 64 letters, digits, `-` or `_`")]
    Name { node: String },
    /// The node was never started.
    #[error("there is no node `{node}`")]
    Unknown { node: String },
    /// The node is running. It can only be started again after it has ended.
    #[error("{node} is already running")]
    Running { node: String },
    /// The node has ended.
    #[error("{node} is not running")]
    NotRunning { node: String },
    /// The program of the node could not be started.
    #[error("cannot start {node} from {program}")]
    Start {
        node: String,
        /// The program.
        program: String,
        source: io::Error,
    },
    /// The node ended before it was ready.
    #[error("{node} {status} before it was ready; {last_log}")]
    Ended {
        node: String,
        status: Status,
        last_log: LastLog,
    },
    /// The node kept running, but did not answer health checks.
    #[error("{node} was not ready within {timeout:?}: {reason}; {last_log}")]
    NotReady {
        node: String,
        timeout: Duration,
        /// The result of the last check.
        reason: String,
        last_log: LastLog,
    },
    /// The program is not a node of this project, or has another version.
    #[error("{node} should have printed its listen address, but printed {written:?}; {last_log}")]
    BadHandshake {
        node: String,
        /// The beginning of the output.
        written: String,
        last_log: LastLog,
    },
    /// The kernel rejected a signal.
    #[error("cannot send a signal to {node}")]
    Signal { node: String, source: io::Error },
    /// This placement cannot set a limit.
    #[error("cannot limit {what} of {node}: {reason}")]
    Unsupported {
        node: String,
        /// The resource.
        what: &'static str,
        reason: String,
    },
    /// A limit is out of range, or the kernel refused it.
    #[error("cannot set the limits of {node}")]
    Limit { node: String, source: io::Error },
    /// The node was killed and has not ended.
    #[error("{node} is still running {waited:?} after it was killed")]
    KillTimeout { node: String, waited: Duration },
    /// The log could not be opened or read.
    #[error("cannot open or read the log of {node}")]
    Log { node: String, source: io::Error },
}

impl NodeSpec {
    /// Returns whether the name is valid.
    pub fn has_valid_name(&self) -> bool {
        (1..=64).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "was terminated by signal {signal}"),
            Self::MemoryLimit(bytes) => write!(
                f,
                "was killed by the kernel because it exceeded its memory limit of {bytes} bytes"
            ),
            Self::Unknown => f.write_str("ended with an unknown status"),
        }
    }
}

impl fmt::Display for LastLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.trim().is_empty() {
            return f.write_str("its log is empty");
        }
        f.write_str("the end of its log:")?;
        for line in self.0.lines() {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}
