//! Nodes as processes of this machine, on loopback.
//!
//! A node of this project is tied to the coordinator in three ways: its standard input is a pipe whose other end the
//! coordinator holds (the lifeline), the kernel kills it when the thread that started it ends, and it checks that its
//! parent is the process named in its launch config. A foreign program does none of this, so it runs under the
//! [`shim`](crate::shim).
//!
//! Each node of this project has its own loopback address, 127.1.0.1 for the first one. It listens there and connects
//! from there, so that the address of a connection identifies the node. Foreign programs receive only a port, so they
//! are at 127.0.0.1, like the coordinator.

mod limits;
mod log;
mod monitor;
mod spawner;
mod view;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mirror_spec::launch::Launch;
use rustix::process::{Resource, Rlimit};
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use self::limits::cgroup::Cgroups;
pub(crate) use self::log::last as last_log;
use self::monitor::{Node, Request, Tie};
use self::spawner::Spawner;
use crate::watched::{ProcessState, ended};
use crate::{
    Capability, Exit, ForeignProgram, LastLog, Liveness, NodeLimits, NodeSpec, NodeView, Placement,
    PlacementError, Program, Role, Status,
};

/// Maximum number of bytes of a log in an error or an [`Exit`].
const LAST_LOG: u64 = 4 << 10;

/// Capacity of the queue of exits. If it is full, the monitors of further nodes wait.
const PENDING_EXITS: usize = 1024;

/// Time within which a killed process must have ended.
const KILLED: Duration = Duration::from_secs(10);

/// The paths of the programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The program of the coordinator, which is also the shim of foreign programs.
    pub mirror: PathBuf,
    /// The program of the chain.
    pub subtensor: PathBuf,
    /// The program of the miners.
    pub miner: PathBuf,
    /// The program of the validators.
    pub validator: PathBuf,
    /// The program of the proxy.
    pub proxy: PathBuf,
}

/// Nodes as processes of this machine. Dropping it kills all running nodes.
#[derive(Debug)]
pub struct LocalProcesses {
    binaries: Binaries,
    logs: PathBuf,
    spawner: Spawner,
    cgroups: Arc<Cgroups>,
    capabilities: Vec<Capability>,
    /// The IP address of all nodes. `None` if each node has a loopback address of its own.
    address: Option<Ipv4Addr>,
    exits: mpsc::Sender<Exit>,
    /// Held while a node is started, so that a name cannot be started twice concurrently.
    spawning: tokio::sync::Mutex<()>,
    /// Sockets that reserve the fixed addresses of nodes, also while the node is dead.
    reserved: Mutex<HashMap<String, TcpSocket>>,
    /// The IP address of every node that was ever started.
    sources: Mutex<HashMap<String, Ipv4Addr>>,
    /// The last incarnation of every node that was ever started.
    nodes: Mutex<HashMap<String, Node>>,
}

impl Binaries {
    /// Returns the programs in `folder`, by their usual names.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            mirror: folder.join("mirror"),
            subtensor: folder.join("mirror-subtensor"),
            miner: folder.join("mirror-miner"),
            validator: folder.join("mirror-validator"),
            proxy: folder.join("mirror-proxy"),
        }
    }

    /// Returns the programs in the folder of the running program.
    ///
    /// # Errors
    ///
    /// Returns an error if the path of the running program cannot be determined.
    pub fn beside_this_program() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self::in_folder(program.parent().unwrap_or(Path::new("/"))))
    }

    fn of(&self, role: &Role) -> &Path {
        match role {
            Role::Subtensor(_) => &self.subtensor,
            Role::Miner(_) => &self.miner,
            Role::Validator(_) => &self.validator,
            Role::Proxy(_) => &self.proxy,
        }
    }
}

impl LocalProcesses {
    /// Creates a placement without nodes, whose logs are `<node>.log` in the folder `logs`. Returns it with a channel
    /// that receives the exit of every node. Raises the limit of open files of this process to its maximum, because
    /// each node needs three.
    ///
    /// # Errors
    ///
    /// Returns an error if the limit cannot be raised, the folder cannot be created, or the thread that starts
    /// processes cannot be started.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn new(binaries: Binaries, logs: PathBuf) -> io::Result<(Self, mpsc::Receiver<Exit>)> {
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        rustix::process::setrlimit(Resource::Nofile, raised)?;
        std::fs::create_dir_all(&logs)?;
        let (exits, exited) = mpsc::channel(PENDING_EXITS);
        let placement = Self {
            binaries,
            logs,
            spawner: Spawner::start()?,
            cgroups: Arc::default(),
            capabilities: Vec::new(),
            address: None,
            exits,
            spawning: tokio::sync::Mutex::default(),
            reserved: Mutex::default(),
            sources: Mutex::default(),
            nodes: Mutex::default(),
        };
        Ok((placement.with_cgroups(Cgroups::of_this_process()), exited))
    }

    /// Replaces the control groups by which nodes are limited, those that this process may make. Removes the groups of
    /// earlier runs there that were killed.
    #[must_use]
    pub fn with_cgroups(mut self, cgroups: Cgroups) -> Self {
        cgroups.remove_stale();
        self.capabilities = vec![Capability::Pause, Capability::Foreign, Capability::DiskLimit];
        if cgroups.no_cpu().is_none() {
            self.capabilities.push(Capability::CpuLimit);
        }
        if cgroups.no_memory().is_none() {
            self.capabilities.push(Capability::MemoryLimit);
        }
        self.cgroups = Arc::new(cgroups);
        self
    }

    /// Places all nodes at one address of this machine, which other machines reach, in place of a loopback address for
    /// each.
    #[must_use]
    pub fn at(mut self, address: Ipv4Addr) -> Self {
        self.address = Some(address);
        self
    }

    /// Refuses the limits that this placement cannot set.
    fn check_limits(&self, node: &str, limits: &NodeLimits) -> Result<(), PlacementError> {
        let refused = [
            (
                "the processor time",
                self.cgroups.no_cpu().filter(|_| limits.cpu.is_some()),
            ),
            (
                "the memory",
                self.cgroups.no_memory().filter(|_| limits.memory.is_some()),
            ),
        ];
        for (what, reason) in refused {
            if let Some(reason) = reason {
                return Err(PlacementError::Unsupported {
                    node: node.to_owned(),
                    what,
                    reason: reason.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Node>> {
        self.nodes
            .lock()
            .expect("no thread panics while it holds the lock")
    }

    /// Applies `look` to a node.
    fn with<T>(&self, node: &str, look: impl FnOnce(&Node) -> T) -> Result<T, PlacementError> {
        self.nodes()
            .get(node)
            .map(look)
            .ok_or_else(|| PlacementError::Unknown {
                node: node.to_owned(),
            })
    }

    fn log_of(&self, node: &str) -> PathBuf {
        self.logs.join(node).with_extension("log")
    }

    /// Returns the end of a log for an error, or the reason why it cannot be read.
    fn last_log(&self, node: &str) -> LastLog {
        log::last_or_reason(&self.log_of(node), LAST_LOG)
    }

    fn next_incarnation(&self, node: &str) -> Result<u32, PlacementError> {
        match self.nodes().get(node) {
            None => Ok(0),
            Some(before) if before.watched.has_ended() => Ok(before.incarnation + 1),
            Some(_) => Err(PlacementError::Running {
                node: node.to_owned(),
            }),
        }
    }

    /// Returns the IP address of a node, which is the same in all its incarnations. A node that is started for the
    /// first time receives the next free one, or 127.0.0.1 if it is a foreign program.
    fn source_of(&self, node: &str, program: &Program) -> io::Result<Ipv4Addr> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(node) {
            return Ok(*source);
        }
        let source = match (self.address, program) {
            (Some(address), _) => address,
            (None, Program::Ours { .. }) => loopback_address(sources.len() + 1)?,
            (None, Program::Foreign(_)) => Ipv4Addr::LOCALHOST,
        };
        sources.insert(node.to_owned(), source);
        Ok(source)
    }

    /// Returns the address that a node with the IP address `source` is to listen on. The chain has the same port in all
    /// its incarnations. For other nodes, the port is 0.
    fn listen_address(&self, node: &str, role: &Role, source: Ipv4Addr) -> io::Result<SocketAddr> {
        if !matches!(role, Role::Subtensor(_)) {
            return Ok((source, 0).into());
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = reserved.get(node) {
            return socket.local_addr();
        }
        let socket = reserve(source)?;
        let address = socket.local_addr()?;
        reserved.insert(node.to_owned(), socket);
        Ok(address)
    }

    /// Returns the command of a node, and its tie to this process.
    fn command(&self, spec: &NodeSpec, incarnation: u32) -> io::Result<(Command, Tie)> {
        let source = self.source_of(&spec.name, &spec.program)?;
        match &spec.program {
            Program::Ours {
                log,
                seed,
                credentials,
                clock_skew,
                telemetry,
                profiles,
                role,
            } => {
                let launch = Launch {
                    node: spec.name.clone(),
                    incarnation,
                    parent: std::process::id(),
                    listen: self.listen_address(&spec.name, role, source)?,
                    source: source.into(),
                    log: log.clone(),
                    seed: *seed,
                    credentials: credentials.clone(),
                    clock_skew: *clock_skew,
                    telemetry: *telemetry,
                    profiles: profiles.clone(),
                    role: role.settings(),
                };
                let mut line = serde_json::to_vec(&launch)?;
                line.push(b'\n');
                Ok((Command::new(self.binaries.of(role)), Tie::Own { launch: line }))
            }
            Program::Foreign(foreign) => {
                let address = free_address(source)?;
                let mut command = Command::new(&self.binaries.mirror);
                command
                    .args(["shim", "--"])
                    .args(with_port(foreign, address.port()));
                Ok((command, Tie::Shim { address }))
            }
        }
    }

    /// Starts a node as the incarnation `incarnation`, whose predecessor may have run in another placement.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Placement::spawn`].
    pub async fn spawn_as(&self, spec: &NodeSpec, incarnation: u32) -> Result<(), PlacementError> {
        self.start(spec, Some(incarnation)).await?;
        Ok(())
    }

    /// Requests the shutdown of a node, and does not wait for it. It is not an error if the node has already ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the node was never started, or the operating system refuses the signal.
    pub async fn terminate(&self, node: &str) -> Result<(), PlacementError> {
        self.request(node, Request::Terminate).await?;
        Ok(())
    }

    /// Returns the state of the process of a node. `None` if the node was never started.
    pub fn watch(&self, node: &str) -> Option<watch::Receiver<ProcessState>> {
        self.with(node, |node| node.watched.state()).ok()
    }

    /// Starts a node as the incarnation that is given, or as the next one.
    async fn start(&self, spec: &NodeSpec, incarnation: Option<u32>) -> Result<u32, PlacementError> {
        let _turn = self.spawning.lock().await;
        let node = || spec.name.clone();
        if !spec.has_valid_name() {
            return Err(PlacementError::Name { node: node() });
        }
        let next = self.next_incarnation(&spec.name)?;
        let incarnation = incarnation.unwrap_or(next);
        let log = self.log_of(&spec.name);
        let log_file = log::append(&log).map_err(|source| PlacementError::Log { node: node(), source })?;
        let failed = |program: String| {
            move |source| PlacementError::Start {
                node: node(),
                program,
                source,
            }
        };
        let (mut command, tie) = self
            .command(spec, incarnation)
            .map_err(failed("its launch config".to_owned()))?;
        let program = command.as_std().get_program().display().to_string();
        let stdout = match &tie {
            Tie::Own { .. } => Stdio::piped(),
            Tie::Shim { .. } => log_file
                .try_clone()
                .map_err(|source| PlacementError::Log { node: node(), source })?
                .into(),
        };
        command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(log_file)
            .process_group(0);
        let child = self
            .spawner
            .spawn(command, tie.signals())
            .await
            .map_err(failed(program))?;
        let started = Node::watch(
            child,
            tie,
            spec.name.clone(),
            incarnation,
            log,
            self.exits.clone(),
            self.cgroups.clone(),
        );
        self.nodes().insert(spec.name.clone(), started);
        Ok(incarnation)
    }

    /// Sends a request to the monitor of a node and waits for its outcome. Returns `None` if the node has ended.
    async fn request(&self, node: &str, request: Request) -> Result<Option<()>, PlacementError> {
        let monitor = self.with(node, Node::monitor)?;
        match monitor.ask(request).await {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(())),
            Some(Err(source)) => Err(PlacementError::Signal {
                node: node.to_owned(),
                source,
            }),
        }
    }

    async fn request_of_running(&self, node: &str, request: Request) -> Result<(), PlacementError> {
        let done = self.request(node, request).await?;
        done.ok_or_else(|| PlacementError::NotRunning {
            node: node.to_owned(),
        })
    }
}

impl Placement for LocalProcesses {
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    async fn listen(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
    }

    async fn spawn(&self, spec: &NodeSpec) -> Result<u32, PlacementError> {
        self.start(spec, None).await
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
        self.nodes().get(node)?.watched.address()
    }

    fn control(&self, node: &str) -> Option<SocketAddr> {
        self.nodes().get(node)?.watched.control()
    }

    fn source(&self, node: &str) -> Option<IpAddr> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(node).copied().map(IpAddr::V4)
    }

    async fn stop(&self, node: &str, grace: Duration) -> Result<Status, PlacementError> {
        let mut state = self.with(node, |node| node.watched.state())?;
        self.request(node, Request::Terminate).await?;
        match tokio::time::timeout(grace, ended(&mut state)).await {
            Ok(status) => Ok(status),
            Err(_) => self.kill(node).await,
        }
    }

    async fn kill(&self, node: &str) -> Result<Status, PlacementError> {
        let mut state = self.with(node, |node| node.watched.state())?;
        let killed = Instant::now();
        self.request(node, Request::Kill).await?;
        tokio::time::timeout(KILLED, ended(&mut state))
            .await
            .map_err(|_| PlacementError::KillTimeout {
                node: node.to_owned(),
                waited: killed.elapsed(),
            })
    }

    async fn pause(&self, node: &str) -> Result<(), PlacementError> {
        self.with(node, |node| node.watched.set_paused(true))?;
        let paused = self.request_of_running(node, Request::Pause).await;
        if paused.is_err() {
            self.with(node, |node| node.watched.set_paused(false))?;
        }
        paused
    }

    async fn resume(&self, node: &str) -> Result<(), PlacementError> {
        self.request_of_running(node, Request::Resume).await?;
        self.with(node, |node| node.watched.set_paused(false))
    }

    async fn limit(&self, node: &str, limits: &NodeLimits) -> Result<(), PlacementError> {
        let monitor = self.with(node, Node::monitor)?;
        self.check_limits(node, limits)?;
        match monitor.limit(*limits).await {
            None => Err(PlacementError::NotRunning {
                node: node.to_owned(),
            }),
            Some(Ok(())) => self.with(node, |node| node.watched.set_limits(*limits)),
            Some(Err(source)) => Err(PlacementError::Limit {
                node: node.to_owned(),
                source,
            }),
        }
    }

    fn inspect(&self, node: &str) -> Option<NodeView> {
        self.nodes().get(node).map(Node::view)
    }

    fn logs(&self, node: &str, bytes: u64) -> Result<LastLog, PlacementError> {
        let log = self.with(node, |_| self.log_of(node))?;
        log::last(&log, bytes).map_err(|source| PlacementError::Log {
            node: node.to_owned(),
            source,
        })
    }
}

/// Returns the loopback address of the node that is started as number `ordinal`, from 1: 127.1.0.1 for the first.
fn loopback_address(ordinal: usize) -> io::Result<Ipv4Addr> {
    let ordinal = u16::try_from(ordinal).map_err(|_| {
        io::Error::other(format!(
            "a network on this machine has at most {} nodes, one for each loopback address",
            u16::MAX
        ))
    })?;
    let [high, low] = ordinal.to_be_bytes();
    Ok(Ipv4Addr::new(127, 1, high, low))
}

/// Returns a bound socket that never listens. It reserves its address. The node can still listen there, because both
/// sockets allow the reuse of the address and only one of them listens.
fn reserve(source: Ipv4Addr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((source, 0).into())?;
    Ok(socket)
}

/// Returns an address that is currently free. A foreign program cannot receive a listener or report its address, so
/// another process may take the port before the program starts. The program then exits with an error.
fn free_address(source: Ipv4Addr) -> io::Result<SocketAddr> {
    TcpListener::bind((source, 0))?.local_addr()
}

fn with_port(foreign: &ForeignProgram, port: u16) -> impl Iterator<Item = String> {
    let port = port.to_string();
    let arguments = foreign
        .arguments
        .iter()
        .map(move |argument| argument.replace("{port}", &port));
    std::iter::once(foreign.program.clone()).chain(arguments)
}
