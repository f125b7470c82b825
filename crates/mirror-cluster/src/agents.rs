//! Nodes on other machines or in pods, each run by an agent there.
//!
//! An agent (the program `mirror-agent`) does for this placement what [`LocalProcesses`](crate::local::LocalProcesses)
//! does on the machine of the coordinator. A [`Directory`] finds the agent of each node. The coordinator sends the
//! files that a node reads to its agent, by their hashes, and fetches those that it wrote when it has ended.
//!
//! The nodes of an agent that cannot be reached count as ended: [`LOST`] after its connection has broken, which is
//! noticed half a minute after the last byte. If the agent is reached again, it kills them.
//!
//! The source address of a node is that of its agent. Rules of the wire that concern one node therefore need an agent
//! for each node. The chain and the validators resume from files of their agent, and the other nodes keep the address
//! of the chain, so a [`Directory`] must return the same agent for these in all their incarnations.

mod inputs;
mod link;
mod status;

use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mirror_net::tls::Identity;
use mirror_proto::mirror::v1::{
    LimitRequest, NodeSignal, PlacedFile, SignalRequest, SpawnRequest, limit_reply, signal_reply,
};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::inputs::{Input, Inputs};
use self::link::Link;
use crate::local::last_log;
use crate::paths::{self, Use};
use crate::watched::{ProcessState, Watched, ended};
use crate::{
    Capability, DiskSpace, Exit, LastLog, Liveness, NodeLimits, NodeSpec, NodeState, NodeView, Placement,
    PlacementError, Program, Status,
};

/// Time after which the nodes of an agent that cannot be reached count as ended.
pub const LOST: Duration = Duration::from_secs(30);

/// Timeout of a request to an agent, other than sending a file.
const REQUEST: Duration = Duration::from_secs(30);

/// Time within which a killed node must have ended, and its files must have been fetched.
const KILLED: Duration = Duration::from_mins(2);

/// Capacity of the queue of exits.
const PENDING_EXITS: usize = 1024;

/// Maximum number of bytes of a log in an error.
const LAST_LOG: u64 = 4 << 10;

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentAddress {
    /// The name in its certificate.
    pub name: String,
    /// The address at which it listens.
    pub address: SocketAddr,
}

/// Finds the agents of nodes.
pub trait Directory: Send + Sync + 'static {
    /// Waits until there is an agent for a node, and returns it. A node that is started again may have another agent.
    ///
    /// # Errors
    ///
    /// Returns an error if there will be none.
    fn agent_of(&self, node: &str) -> impl Future<Output = io::Result<AgentAddress>> + Send;
}

/// Agents by the names of their nodes.
impl<S: BuildHasher + Send + Sync + 'static> Directory for HashMap<String, AgentAddress, S> {
    async fn agent_of(&self, node: &str) -> io::Result<AgentAddress> {
        self.get(node)
            .cloned()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no agent runs {node}")))
    }
}

/// Nodes that agents run. Dropping it ends the sessions with the agents, which then end their nodes.
#[derive(Debug)]
pub struct Agents<D> {
    directory: D,
    identity: Identity,
    run: String,
    /// The IP address at which the agents and their nodes reach the coordinator.
    address: IpAddr,
    /// Held while a node is started, so that a name cannot be started twice concurrently.
    spawning: tokio::sync::Mutex<()>,
    links: tokio::sync::Mutex<HashMap<AgentAddress, Arc<Link>>>,
    inputs: Inputs,
    lost_after: Duration,
    known: Arc<Known>,
    /// Ends the sessions when it is dropped.
    sessions: DropGuard,
}

/// The state that the tasks of the agents share with the placement.
#[derive(Debug)]
struct Known {
    /// The folder of the logs.
    logs: PathBuf,
    nodes: Mutex<HashMap<String, Node>>,
    /// Number of bytes of the log of each node that each process of an agent has sent, by the process and the node.
    log_positions: Mutex<HashMap<(String, String), u64>>,
    exits: mpsc::Sender<Exit>,
}

/// The last incarnation of a node.
#[derive(Debug)]
struct Node {
    incarnation: u32,
    link: Arc<Link>,
    /// The process of the agent that has started it. `None` until the agent has replied.
    instance: Option<String>,
    /// Whether the coordinator has asked it to end.
    is_asked_to_end: bool,
    /// Whether the agent has reported its end.
    is_ending: bool,
    watched: Watched,
    state: watch::Sender<ProcessState>,
    usage: Usage,
    /// The coordinator's path of each path below the agent's folder of results.
    results: Vec<(String, PathBuf)>,
}

/// The use of resources that an agent has reported.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    /// `None` if the node has ended.
    pid: Option<u32>,
    memory: u64,
    cpu_time: Duration,
}

/// A node that is being started. If this is dropped before it succeeded, the node was not started.
struct Starting<'a> {
    known: &'a Known,
    /// `None` once the node was started.
    name: Option<String>,
    /// The previous incarnation.
    before: Option<Node>,
}

impl Starting<'_> {
    /// Notes that the agent has started the node. Returns `false` if the agent was lost meanwhile.
    fn succeeded(mut self, instance: String, pid: u32) -> bool {
        let mut nodes = self.known.nodes();
        let Some(node) = self.name.as_ref().and_then(|name| nodes.get_mut(name)) else {
            return false;
        };
        if node.link.is_lost() {
            return false;
        }
        node.instance = Some(instance);
        node.usage.pid = node.usage.pid.or(Some(pid).filter(|pid| *pid > 0));
        self.name = None;
        true
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let mut nodes = self.known.nodes();
        match self.before.take() {
            Some(before) => nodes.insert(name, before),
            None => nodes.remove(&name),
        };
    }
}

impl Known {
    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_of(&self, node: &str) -> PathBuf {
        self.logs.join(format!("{node}.log"))
    }
}

impl<D: Directory> Agents<D> {
    /// Creates a placement for the run `run`, whose logs are in the folder `logs`. The agents admit `identity`, which
    /// is that of the coordinator, and they and their nodes reach it at `address`. Returns it with a channel that
    /// receives the exit of every node.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be created.
    pub fn new(
        directory: D,
        identity: Identity,
        run: String,
        address: IpAddr,
        logs: PathBuf,
    ) -> io::Result<(Self, mpsc::Receiver<Exit>)> {
        std::fs::create_dir_all(&logs)?;
        let (exits, exited) = mpsc::channel(PENDING_EXITS);
        let known = Known {
            logs,
            nodes: Mutex::default(),
            log_positions: Mutex::default(),
            exits,
        };
        let placement = Self {
            directory,
            identity,
            run,
            address,
            spawning: tokio::sync::Mutex::default(),
            links: tokio::sync::Mutex::default(),
            inputs: Inputs::default(),
            lost_after: LOST,
            known: Arc::new(known),
            sessions: CancellationToken::new().drop_guard(),
        };
        Ok((placement, exited))
    }

    /// Replaces the time after which the nodes of an agent that cannot be reached count as ended, for agents whose
    /// sessions begin later.
    #[must_use]
    pub fn losing_agents_after(mut self, time: Duration) -> Self {
        self.lost_after = time;
        self
    }

    fn with<T>(&self, node: &str, look: impl FnOnce(&Node) -> T) -> Result<T, PlacementError> {
        self.known
            .nodes()
            .get(node)
            .map(look)
            .ok_or_else(|| PlacementError::Unknown {
                node: node.to_owned(),
            })
    }

    fn next_incarnation(&self, node: &str) -> Result<u32, PlacementError> {
        match self.known.nodes().get(node) {
            None => Ok(0),
            Some(before) if before.watched.has_ended() => Ok(before.incarnation + 1),
            Some(_) => Err(PlacementError::Running {
                node: node.to_owned(),
            }),
        }
    }

    /// Returns the connection to an agent.
    async fn link(&self, agent: AgentAddress) -> io::Result<Arc<Link>> {
        let mut links = self.links.lock().await;
        if let Some(link) = links.get(&agent)
            && !link.is_lost()
        {
            return Ok(link.clone());
        }
        let link = Link::open(
            agent.clone(),
            &self.identity,
            self.run.clone(),
            Arc::downgrade(&self.known),
            self.sessions.token().clone(),
            self.lost_after,
        )
        .await?;
        links.insert(agent, link.clone());
        Ok(link)
    }

    /// Starts a node at its agent.
    async fn start(&self, spec: &NodeSpec, incarnation: u32, agent: AgentAddress) -> io::Result<()> {
        let link = self.link(agent).await?;
        let folder = Path::new(link.folder());
        let mut spec = spec.clone();
        self.inputs.read_all_of(&mut spec).await?;
        let mut files: Vec<Input> = Vec::new();
        let mut results = Vec::new();
        let name = spec.name.clone();
        paths::replace(&mut spec, &mut |usage, path| {
            let last = path.file_name().unwrap_or_default();
            let relative = match usage {
                Use::Input => self.inputs.place(path, &mut files)?,
                Use::State => Path::new("state").join(&name),
                Use::Result => {
                    results.push((last.to_string_lossy().into_owned(), path.to_owned()));
                    Path::new("results").join(&name).join(last)
                }
            };
            io::Result::Ok(folder.join(relative))
        })?;
        link.send_missing(&files).await?;
        let instance = link.instance();
        let request = SpawnRequest {
            spec: serde_json::to_vec(&spec)?,
            incarnation,
            files: files.into_iter().map(PlacedFile::from).collect(),
            instance: instance.clone(),
        };
        let foreign = matches!(spec.program, Program::Foreign(_));
        let (state, seen) = watch::channel(ProcessState::Starting);
        let node = Node {
            incarnation,
            link: link.clone(),
            instance: None,
            is_asked_to_end: false,
            is_ending: false,
            watched: Watched::new(foreign, seen),
            state,
            usage: Usage::default(),
            results,
        };
        // The reports about the node may arrive before the reply.
        let starting = Starting {
            known: &self.known,
            before: self.known.nodes().insert(name.clone(), node),
            name: Some(name),
        };
        let reply = link
            .request(|mut client| {
                let request = request.clone();
                async move { client.spawn(request).await }
            })
            .await
            .map_err(|status| io::Error::other(mirror_net::channel::reason(&status)))?;
        if let Some(failure) = reply.failure {
            return Err(io::Error::other(format!(
                "{}: {}",
                failure.program, failure.reason
            )));
        }
        if !starting.succeeded(instance, reply.pid) {
            return Err(io::Error::other("its agent was lost while the node was started"));
        }
        Ok(())
    }

    /// Sends a signal to a node. Returns whether it was running.
    async fn signal(&self, node: &str, signal: NodeSignal) -> Result<bool, PlacementError> {
        let (link, incarnation, mut state) = self.with(node, |node| {
            (node.link.clone(), node.incarnation, node.watched.state())
        })?;
        if matches!(*state.borrow(), ProcessState::Ended(_)) {
            return Ok(false);
        }
        if matches!(signal, NodeSignal::Terminate | NodeSignal::Kill)
            && let Some(node) = self.known.nodes().get_mut(node)
        {
            node.is_asked_to_end = true;
        }
        let failed = |source| PlacementError::Signal {
            node: node.to_owned(),
            source,
        };
        let request = SignalRequest {
            node: node.to_owned(),
            incarnation,
            signal: signal.into(),
        };
        let reply = link.request(|mut client| {
            let request = request.clone();
            async move { client.signal(request).await }
        });
        let reply = tokio::select! {
            reply = reply => reply,
            _ = ended(&mut state) => return Ok(false),
        };
        let reply = match reply {
            Ok(reply) => reply,
            // The nodes of an agent that is lost have ended.
            Err(_) if link.is_lost() => return Ok(false),
            Err(status) => return Err(failed(io::Error::other(mirror_net::channel::reason(&status)))),
        };
        match reply.outcome {
            Some(signal_reply::Outcome::WasRunning(was_running)) => Ok(was_running),
            Some(signal_reply::Outcome::Refused(reason)) => Err(failed(io::Error::other(reason))),
            None => Err(failed(io::Error::other("the agent sent an empty reply"))),
        }
    }

    async fn signal_running(&self, node: &str, signal: NodeSignal) -> Result<(), PlacementError> {
        if self.signal(node, signal).await? {
            return Ok(());
        }
        Err(PlacementError::NotRunning {
            node: node.to_owned(),
        })
    }

    fn last_log(&self, node: &str) -> LastLog {
        last_log(&self.known.log_of(node), LAST_LOG)
            .unwrap_or_else(|error| LastLog(format!("(cannot read its log: {error})")))
    }
}

impl<D: Directory> Placement for Agents<D> {
    fn capabilities(&self) -> &[Capability] {
        &[Capability::Pause, Capability::Foreign]
    }

    async fn listen(&self) -> io::Result<TcpListener> {
        TcpListener::bind((self.address, 0)).await
    }

    async fn spawn(&self, spec: &NodeSpec) -> Result<u32, PlacementError> {
        let failed = |source| PlacementError::Start {
            node: spec.name.clone(),
            program: "its agent".to_owned(),
            source,
        };
        if !spec.has_valid_name() {
            return Err(PlacementError::Name {
                node: spec.name.clone(),
            });
        }
        // The search may take minutes, in which other nodes can be started.
        let agent = self.directory.agent_of(&spec.name).await.map_err(failed)?;
        let _turn = self.spawning.lock().await;
        let incarnation = self.next_incarnation(&spec.name)?;
        self.start(spec, incarnation, agent).await.map_err(failed)?;
        Ok(incarnation)
    }

    async fn ready(&self, node: &str, timeout: Duration) -> Result<SocketAddr, PlacementError> {
        let readiness = self.with(node, |node| node.watched.readiness())?;
        readiness.wait(node, timeout, || self.last_log(node)).await
    }

    async fn check_liveness(&self, node: &str, deadline: Duration) -> Liveness {
        let Ok(check) = self.with(node, |node| node.watched.liveness_check()) else {
            return Liveness::Unwatched;
        };
        let found = check.make(deadline).await;
        self.with(node, |node| node.watched.corrected(found))
            .unwrap_or(found)
    }

    fn address(&self, node: &str) -> Option<SocketAddr> {
        self.known.nodes().get(node)?.watched.address()
    }

    fn control(&self, node: &str) -> Option<SocketAddr> {
        self.known.nodes().get(node)?.watched.control()
    }

    fn source(&self, node: &str) -> Option<IpAddr> {
        Some(self.known.nodes().get(node)?.link.address())
    }

    async fn stop(&self, node: &str, grace: Duration) -> Result<Status, PlacementError> {
        let mut state = self.with(node, |node| node.watched.state())?;
        self.signal(node, NodeSignal::Terminate).await?;
        match tokio::time::timeout(grace, ended(&mut state)).await {
            Ok(status) => Ok(status),
            Err(_) => self.kill(node).await,
        }
    }

    async fn kill(&self, node: &str) -> Result<Status, PlacementError> {
        let mut state = self.with(node, |node| node.watched.state())?;
        let killed = Instant::now();
        self.signal(node, NodeSignal::Kill).await?;
        tokio::time::timeout(KILLED, ended(&mut state))
            .await
            .map_err(|_| PlacementError::KillTimeout {
                node: node.to_owned(),
                waited: killed.elapsed(),
            })
    }

    async fn pause(&self, node: &str) -> Result<(), PlacementError> {
        self.with(node, |node| node.watched.set_paused(true))?;
        let paused = self.signal_running(node, NodeSignal::Pause).await;
        if paused.is_err() {
            self.with(node, |node| node.watched.set_paused(false))?;
        }
        paused
    }

    async fn resume(&self, node: &str) -> Result<(), PlacementError> {
        self.signal_running(node, NodeSignal::Resume).await?;
        self.with(node, |node| node.watched.set_paused(false))
    }

    async fn limit(&self, node: &str, limits: &NodeLimits) -> Result<(), PlacementError> {
        let (link, incarnation) = self.with(node, |node| (node.link.clone(), node.incarnation))?;
        let failed = |source| PlacementError::Limit {
            node: node.to_owned(),
            source,
        };
        let request = &LimitRequest {
            node: node.to_owned(),
            incarnation,
            cpu: limits.cpu,
            memory: limits.memory,
            full_disk: limits.disk == DiskSpace::Full,
        };
        let reply = link
            .request(|mut client| async move { client.limit(request.clone()).await })
            .await
            .map_err(|status| failed(io::Error::other(mirror_net::channel::reason(&status))))?;
        match reply.outcome {
            Some(limit_reply::Outcome::WasRunning(true)) => {
                self.with(node, |node| node.watched.set_limits(*limits))
            }
            Some(limit_reply::Outcome::WasRunning(false)) => Err(PlacementError::NotRunning {
                node: node.to_owned(),
            }),
            Some(limit_reply::Outcome::Refused(reason)) => Err(failed(io::Error::other(reason))),
            Some(limit_reply::Outcome::Unsupported(unsupported)) => Err(PlacementError::Unsupported {
                node: node.to_owned(),
                what: if limits.cpu.is_some() && unsupported.what.contains("processor") {
                    "the processor time"
                } else {
                    "the memory"
                },
                reason: unsupported.reason,
            }),
            None => Err(failed(io::Error::other("the agent sent an empty reply"))),
        }
    }

    fn inspect(&self, node: &str) -> Option<NodeView> {
        let nodes = self.known.nodes();
        let node = nodes.get(node)?;
        let (state, address) = node.watched.seen();
        let usage = match state {
            NodeState::Ended(_) => Usage::default(),
            NodeState::Starting | NodeState::Running | NodeState::Paused => node.usage,
        };
        Some(NodeView {
            incarnation: node.incarnation,
            state,
            pid: usage.pid,
            address,
            memory: usage.memory,
            cpu_time: usage.cpu_time,
            limits: node.watched.limits(),
        })
    }

    fn logs(&self, node: &str, bytes: u64) -> Result<LastLog, PlacementError> {
        let log = self.with(node, |_| self.known.log_of(node))?;
        last_log(&log, bytes).map_err(|source| PlacementError::Log {
            node: node.to_owned(),
            source,
        })
    }
}
