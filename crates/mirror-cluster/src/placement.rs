//! What a placement can do, whatever it places nodes on.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mirror_spec::launch::{MinerLaunch, SubtensorLaunch, ValidatorLaunch};
use serde::Serialize;
use tokio::net::TcpListener;

/// A place for nodes. Nodes are known by their names.
pub trait Placement: Send + Sync {
    /// What this placement can do beyond starting and ending nodes.
    fn capabilities(&self) -> &'static [Capability];

    /// A listener for the coordinator, where the nodes of this placement can reach it.
    fn listen(&self) -> impl Future<Output = io::Result<TcpListener>> + Send;

    /// Starts a node and returns its incarnation: 0, or one more than the last one of that name, which must have ended.
    /// The chain listens at the same address in all its incarnations, because the other nodes hold that address.
    fn spawn(&self, node: &NodeSpec) -> impl Future<Output = Result<u32, PlacementError>> + Send;

    /// Waits until a node answers health checking, at most `timeout`, and says where. Fails early when it ends.
    fn ready(
        &self,
        node: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<SocketAddr, PlacementError>> + Send;

    /// Asks a node that was ready for a sign of life, and waits for the answer at most until `deadline` has passed.
    ///
    /// A node of ours answers from a thread that its work cannot block. A foreign program is asked where it serves; one
    /// without a health service cannot be watched.
    fn check_liveness(&self, node: &str, deadline: Duration) -> impl Future<Output = Liveness> + Send;

    /// Where a running node listens, once it said so.
    fn address(&self, node: &str) -> Option<SocketAddr>;

    /// Asks a node to end, gives it `grace` to do so, then kills it; says how it ended. A node that ended before, by
    /// itself or not, is no error. Also ends a paused node.
    fn stop(
        &self,
        node: &str,
        grace: Duration,
    ) -> impl Future<Output = Result<Status, PlacementError>> + Send;

    /// Ends a node at once, with all that it started.
    fn kill(&self, node: &str) -> impl Future<Output = Result<Status, PlacementError>> + Send;

    /// Makes a node stand still, as [`Capability::Pause`] has it.
    fn pause(&self, node: &str) -> impl Future<Output = Result<(), PlacementError>> + Send;

    /// Lets a paused node go on.
    fn resume(&self, node: &str) -> impl Future<Output = Result<(), PlacementError>> + Send;

    /// The end of a node's log over all its incarnations: whole lines, at most `bytes`.
    fn logs(&self, node: &str, bytes: u64) -> Result<LastLog, PlacementError>;
}

/// What a health check of a node found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The node answered.
    Answered,
    /// The node runs, and did not answer before the deadline.
    Silent,
    /// This placement has paused the node, so no answer is expected of it.
    Paused,
    /// Nothing can be asked: the node does not run, or it is a foreign program without a health service.
    Unwatched,
}

/// What a placement may be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Nodes can be made to stand still and to go on, connections open and memory kept.
    Pause,
    /// Programs that are not ours can be nodes.
    Foreign,
    /// Nodes read the files that the coordinator writes, by the same paths.
    SharedFiles,
}

/// A node to be started.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// `validator-0`: letters, digits, `-` and `_`, at most 64.
    pub name: String,
    /// What runs.
    pub program: Program,
}

/// What runs as a node.
#[derive(Debug, Clone)]
pub enum Program {
    /// A node of ours. The placement adds to its launch description what only the placement knows.
    Ours {
        /// A filter in tracing's syntax, `info`.
        log: String,
        /// The experiment's seed.
        seed: u64,
        /// Which program, and what it is told.
        role: Role,
    },
    /// A program of somebody else's.
    Foreign(ForeignProgram),
}

/// Which program of ours, and what it is told.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Role {
    /// The chain.
    Subtensor(Box<SubtensorLaunch>),
    /// A miner.
    Miner(MinerLaunch),
    /// A validator.
    Validator(Box<ValidatorLaunch>),
}

/// A command of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignProgram {
    /// A path, or a name that is looked for where commands are.
    pub program: String,
    /// `{port}` in them is replaced by the port to listen on.
    pub arguments: Vec<String>,
}

/// A node that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its name.
    pub node: String,
    /// How often it was started before in this run.
    pub incarnation: u32,
    /// How it ended.
    pub status: Status,
    /// On whose account.
    pub ended_by: EndedBy,
    /// What it logged last.
    pub last_log: LastLog,
}

/// On whose account a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The placement had been told to stop or kill it.
    Placement,
    /// Nobody had asked for it.
    Itself,
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited; 0 is success.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It is gone, and how cannot be told.
    Unknown,
}

/// The end of a node's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastLog(pub String);

/// Why a placement did not do what it was told. In each, `node` is the name of the node and `last_log` the end of its
/// log.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it means")]
pub enum PlacementError {
    /// It cannot be called that.
    #[error("`{node}` cannot name a node: expected 1 to 64 letters, digits, `-` or `_`")]
    Name { node: String },
    /// It was never started.
    #[error("there is no node `{node}`")]
    Unknown { node: String },
    /// Only a node that ended can be started again.
    #[error("{node} is running already")]
    Running { node: String },
    /// It ended before.
    #[error("{node} is not running")]
    NotRunning { node: String },
    /// Its program could not be run.
    #[error("cannot start {node} from {program}")]
    Start {
        node: String,
        /// What was to be run.
        program: String,
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("{node} {status} before it was ready; {last_log}")]
    Ended {
        node: String,
        status: Status,
        last_log: LastLog,
    },
    /// It ran all the time, but did not answer health checking.
    #[error("{node} was not ready within {timeout:?}: {reason}; {last_log}")]
    NotReady {
        node: String,
        timeout: Duration,
        /// What the last look at it brought.
        reason: String,
        last_log: LastLog,
    },
    /// It is not a program of ours, or one of another version.
    #[error("{node} should have written the address where it listens, but wrote {written:?}; {last_log}")]
    BadHandshake {
        node: String,
        /// The beginning of what it wrote.
        written: String,
        last_log: LastLog,
    },
    /// The kernel refused a signal.
    #[error("cannot send a signal to {node}")]
    Signal { node: String, source: io::Error },
    /// It was killed and is still there.
    #[error("{node} did not end, though it was killed {waited:?} ago")]
    KillTimeout { node: String, waited: Duration },
    /// Its log could not be opened or read.
    #[error("cannot use the log of {node}")]
    Log { node: String, source: io::Error },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with exit status {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unknown => f.write_str("ended in a way that cannot be told"),
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
