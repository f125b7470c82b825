//! Nodes as processes of this machine, on loopback.
//!
//! A node of ours is tied to the coordinator three times over: its standard input is a pipe whose other end the
//! coordinator holds (the lifeline), the kernel kills it when the thread that started it ends, and it checks that its
//! parent is the one it was told. A foreign program can be trusted with none of that, so it runs under the
//! [`shim`](crate::shim).

mod log;
mod monitor;
mod spawner;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mirror_spec::launch::Launch;
use rustix::process::{Resource, Rlimit};
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::monitor::{Node, Request, State, Tie};
use self::spawner::Spawner;
use crate::{
    Capability, Exit, ForeignProgram, LastLog, Liveness, NodeSpec, Placement, PlacementError, Program, Role,
    Status, readiness,
};

/// Bytes of a log that an error or an [`Exit`] carries.
const LAST_LOG: u64 = 4 << 10;

/// Exits that wait to be received; a node that ends beyond them waits for its turn to be told of.
const PENDING_EXITS: usize = 1024;

/// Waits between two looks at a node that is not ready, doubling from the first to the second.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Time in which a killed node is gone, whatever it did.
const KILLED: Duration = Duration::from_secs(10);

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The coordinator's, which is also the shim of foreign programs.
    pub mirror: PathBuf,
    /// The chain's.
    pub subtensor: PathBuf,
    /// The miners'.
    pub miner: PathBuf,
    /// The validators'.
    pub validator: PathBuf,
}

/// Nodes as processes of this machine. When it is dropped, what still runs is killed.
#[derive(Debug)]
pub struct LocalProcesses {
    binaries: Binaries,
    logs: PathBuf,
    spawner: Spawner,
    exits: mpsc::Sender<Exit>,
    /// Held while a node is started, so that a name cannot be started twice at once.
    spawning: tokio::sync::Mutex<()>,
    /// Sockets that keep the addresses of nodes whose address others hold, also while the node is dead.
    reserved: Mutex<HashMap<String, TcpSocket>>,
    /// Every node that was ever started, in its last incarnation.
    nodes: Mutex<HashMap<String, Node>>,
}

impl Binaries {
    /// Those in `folder`, by their usual names.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            mirror: folder.join("mirror"),
            subtensor: folder.join("mirror-subtensor"),
            miner: folder.join("mirror-miner"),
            validator: folder.join("mirror-validator"),
        }
    }

    /// Those in the folder of the program that is running.
    pub fn beside_this_program() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self::in_folder(program.parent().unwrap_or(Path::new("/"))))
    }

    fn of(&self, role: &Role) -> &Path {
        match role {
            Role::Subtensor(_) => &self.subtensor,
            Role::Miner(_) => &self.miner,
            Role::Validator(_) => &self.validator,
        }
    }
}

impl LocalProcesses {
    /// A placement without nodes, whose logs go to `<node>.log` in the folder `logs`. Every node that ends is told of
    /// on the channel. Raises this process's limit of open files as far as it may: each node takes three.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
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
            exits,
            spawning: tokio::sync::Mutex::default(),
            reserved: Mutex::default(),
            nodes: Mutex::default(),
        };
        Ok((placement, exited))
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Node>> {
        self.nodes.lock().expect("nobody panics while holding the nodes")
    }

    /// A look at one node.
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

    /// For an error: a log that cannot be read says so in its place.
    fn last_log(&self, node: &str) -> LastLog {
        log::last_or_reason(&self.log_of(node), LAST_LOG)
    }

    fn next_incarnation(&self, node: &str) -> Result<u32, PlacementError> {
        match self.nodes().get(node) {
            None => Ok(0),
            Some(before) if before.has_ended() => Ok(before.incarnation + 1),
            Some(_) => Err(PlacementError::Running {
                node: node.to_owned(),
            }),
        }
    }

    /// Where a node shall listen: the chain at one address in all its incarnations, the others at any.
    fn listen_address(&self, node: &str, role: &Role) -> io::Result<SocketAddr> {
        if !matches!(role, Role::Subtensor(_)) {
            return Ok((Ipv4Addr::LOCALHOST, 0).into());
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = reserved.get(node) {
            return socket.local_addr();
        }
        let socket = reserve()?;
        let address = socket.local_addr()?;
        reserved.insert(node.to_owned(), socket);
        Ok(address)
    }

    /// The command of a node and what ties it to this process.
    fn command(&self, spec: &NodeSpec, incarnation: u32) -> io::Result<(Command, Tie)> {
        match &spec.program {
            Program::Ours { log, seed, role } => {
                let launch = Launch {
                    node: spec.name.clone(),
                    incarnation,
                    parent: std::process::id(),
                    listen: self.listen_address(&spec.name, role)?,
                    log: log.clone(),
                    seed: *seed,
                    role,
                };
                let mut line = serde_json::to_vec(&launch)?;
                line.push(b'\n');
                Ok((Command::new(self.binaries.of(role)), Tie::Own { launch: line }))
            }
            Program::Foreign(foreign) => {
                let address = free_address()?;
                let mut command = Command::new(&self.binaries.mirror);
                command
                    .args(["shim", "--"])
                    .args(with_port(foreign, address.port()));
                Ok((command, Tie::Shim { address }))
            }
        }
    }

    /// Asks a node's tender for something that it does at once. `None`: the node has ended.
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
    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::Pause, Capability::Foreign, Capability::SharedFiles]
    }

    async fn listen(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
    }

    async fn spawn(&self, spec: &NodeSpec) -> Result<u32, PlacementError> {
        let _turn = self.spawning.lock().await;
        let node = || spec.name.clone();
        if !is_name(&spec.name) {
            return Err(PlacementError::Name { node: node() });
        }
        let incarnation = self.next_incarnation(&spec.name)?;
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
            .map_err(failed("its launch description".to_owned()))?;
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
        );
        self.nodes().insert(spec.name.clone(), started);
        Ok(incarnation)
    }

    async fn ready(&self, node: &str, timeout: Duration) -> Result<SocketAddr, PlacementError> {
        let mut state = self.with(node, Node::state)?;
        let mut reason = "it has not said where it listens".to_owned();
        match tokio::time::timeout(timeout, until_ready(&mut state, &mut reason)).await {
            Ok(State::Listening(listening)) => Ok(listening.address),
            Ok(State::Ended(status)) => Err(PlacementError::Ended {
                node: node.to_owned(),
                status,
                last_log: self.last_log(node),
            }),
            Ok(State::BadHandshake(written)) => Err(PlacementError::BadHandshake {
                node: node.to_owned(),
                written,
                last_log: self.last_log(node),
            }),
            Ok(State::Starting) | Err(_) => Err(PlacementError::NotReady {
                node: node.to_owned(),
                timeout,
                reason,
                last_log: self.last_log(node),
            }),
        }
    }

    async fn check_liveness(&self, node: &str, deadline: Duration) -> Liveness {
        let watched = |node: &Node| (node.is_paused(), node.health());
        match self.with(node, watched) {
            Ok((true, _)) => Liveness::Paused,
            Ok((false, Some(probe))) => probe.check(deadline).await,
            Ok((false, None)) | Err(_) => Liveness::Unwatched,
        }
    }

    fn address(&self, node: &str) -> Option<SocketAddr> {
        match *self.nodes().get(node)?.state().borrow() {
            State::Listening(listening) => Some(listening.address),
            State::Starting | State::BadHandshake(_) | State::Ended(_) => None,
        }
    }

    async fn stop(&self, node: &str, grace: Duration) -> Result<Status, PlacementError> {
        let mut state = self.with(node, Node::state)?;
        self.request(node, Request::Terminate).await?;
        match tokio::time::timeout(grace, ended(&mut state)).await {
            Ok(status) => Ok(status),
            Err(_) => self.kill(node).await,
        }
    }

    async fn kill(&self, node: &str) -> Result<Status, PlacementError> {
        let mut state = self.with(node, Node::state)?;
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
        self.with(node, |node| node.set_paused(true))?;
        let paused = self.request_of_running(node, Request::Pause).await;
        if paused.is_err() {
            self.with(node, |node| node.set_paused(false))?;
        }
        paused
    }

    async fn resume(&self, node: &str) -> Result<(), PlacementError> {
        self.request_of_running(node, Request::Resume).await?;
        self.with(node, |node| node.set_paused(false))
    }

    fn logs(&self, node: &str, bytes: u64) -> Result<LastLog, PlacementError> {
        let log = self.with(node, |_| self.log_of(node))?;
        log::last(&log, bytes).map_err(|source| PlacementError::Log {
            node: node.to_owned(),
            source,
        })
    }
}

/// Waits until the node answers health checking, which is [`State::Listening`], or never will. Keeps in `reason` what
/// it waits for.
async fn until_ready(state: &mut watch::Receiver<State>, reason: &mut String) -> State {
    let said = latest(state, |state| *state != State::Starting).await;
    let State::Listening(listening) = said else {
        return said;
    };
    let serving = async {
        let (mut pause, longest) = LOOK_AGAIN;
        while let Err(unready) = readiness::check(listening.address).await {
            *reason = unready.to_string();
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    };
    tokio::select! {
        () = serving => State::Listening(listening),
        end = latest(state, |state| matches!(state, State::Ended(_))) => end,
    }
}

async fn ended(state: &mut watch::Receiver<State>) -> Status {
    match latest(state, |state| matches!(state, State::Ended(_))).await {
        State::Ended(status) => status,
        State::Starting | State::Listening(_) | State::BadHandshake(_) => Status::Unknown,
    }
}

/// The first state that `wanted` holds for. A tender that is gone without one went with its runtime.
async fn latest(state: &mut watch::Receiver<State>, wanted: impl FnMut(&State) -> bool) -> State {
    match state.wait_for(wanted).await {
        Ok(state) => state.clone(),
        Err(_) => State::Ended(Status::Unknown),
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A socket that is bound and never listens: its address is given to nobody else, and the node that is told to listen
/// there can, because both sockets allow the reuse of the address and only one of them listens.
fn reserve() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok(socket)
}

/// An address that is free now. A foreign program cannot be handed a listener or say where it listens, so between this
/// and its own start somebody else may take the port; it then ends, and says why.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn with_port(foreign: &ForeignProgram, port: u16) -> impl Iterator<Item = String> {
    let port = port.to_string();
    let arguments = foreign
        .arguments
        .iter()
        .map(move |argument| argument.replace("{port}", &port));
    std::iter::once(foreign.program.clone()).chain(arguments)
}
