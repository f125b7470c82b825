//! The connection to one agent: a session, whose reports a task receives, and requests.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mirror_net::channel;
use mirror_net::tls::Identity;
use mirror_proto::mirror::v1::agent_client::AgentClient;
use mirror_proto::mirror::v1::agent_report::Report;
use mirror_proto::mirror::v1::node_reported::State;
use mirror_proto::mirror::v1::{
    AgentReport, AttachRequest, Attached, FetchRequest, FileHashes, FilePart, LogPart, LogPosition,
    NodeEnded, NodeReported,
};
use mirror_proto::protocol::AGENT_MESSAGE_LIMIT;
use mirror_spec::launch::Listening;
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::inputs::Input;
use super::{AgentAddress, Known, LOST, Node, REQUEST, Usage};
use crate::watched::ProcessState;
use crate::{EndedBy, Exit, LastLog};

/// Pause before an agent that did not answer is called again.
const PAUSE: Duration = Duration::from_millis(200);

/// Size of the parts of a file in bytes.
const PART: u64 = 1 << 20;

/// Time within which an agent must have sent the files of a node.
const RESULTS: Duration = Duration::from_mins(1);

/// Maximum size of the end of a log in bytes.
const MAX_LAST_LOG: usize = 4 << 10;

/// Maximum size of the files of a node in bytes.
const MAX_RESULTS: u64 = 8 << 30;

/// The session with an agent. It lasts until the placement is dropped or the agent is lost.
#[derive(Debug)]
pub(super) struct Link {
    agent: AgentAddress,
    client: AgentClient<Channel>,
    /// IP address of the nodes of the agent.
    address: IpAddr,
    /// Absolute path of the folder of the agent.
    folder: PathBuf,
    /// The process of the agent.
    instance: Mutex<String>,
    lost: AtomicBool,
}

impl Link {
    /// Begins a session with an agent, which may still be starting.
    pub(super) async fn open(
        agent: AgentAddress,
        identity: &Identity,
        run: String,
        known: Weak<Known>,
        ending: CancellationToken,
        lost_after: Duration,
    ) -> io::Result<Arc<Self>> {
        let channel = channel::secure(agent.address, identity.connecting_to(&agent.name));
        let client = AgentClient::new(channel).max_encoding_message_size(AGENT_MESSAGE_LIMIT);
        let mut session = Session {
            agent,
            client: client.clone(),
            run,
            instance: String::new(),
            lost_after,
        };
        let (attached, reports) = session
            .attach_until(Instant::now() + LOST.max(lost_after), &known)
            .await?;
        session.instance.clone_from(&attached.instance);
        let address: IpAddr = attached
            .address
            .parse()
            .ok()
            .filter(|address: &IpAddr| !address.is_unspecified())
            .ok_or_else(|| session.error(&format!("its nodes have the address `{}`", attached.address)))?;
        let folder = PathBuf::from(attached.folder);
        if !folder.is_absolute() {
            return Err(session.error(&format!("its folder `{}` is not absolute", folder.display())));
        }
        let link = Arc::new(Self {
            agent: session.agent.clone(),
            client,
            address,
            folder,
            instance: Mutex::new(attached.instance),
            lost: AtomicBool::new(false),
        });
        let receiving = session.receive(reports, link.clone(), known);
        tokio::spawn(async move {
            tokio::select! {
                () = receiving => {}
                () = ending.cancelled() => {}
            }
        });
        Ok(link)
    }

    /// Sends a request, again after a break of the connection, until the agent replies or is lost. An agent carries out
    /// a repeated request once.
    pub(super) async fn request<T, R: Future<Output = Result<Response<T>, Status>>>(
        &self,
        call: impl Fn(AgentClient<Channel>) -> R,
    ) -> Result<T, Status> {
        loop {
            match tokio::time::timeout(REQUEST, call(self.client.clone())).await {
                Ok(Ok(reply)) => return Ok(reply.into_inner()),
                Ok(Err(status)) if self.is_lost() || !channel::is_passing(&status) => return Err(status),
                Err(_) if self.is_lost() => return Err(Status::unavailable("the agent is lost")),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Returns the process of the agent, which differs after its restart.
    pub(super) fn instance(&self) -> String {
        self.instance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_instance(&self, instance: &str) {
        let mut current = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.clone_into(&mut current);
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Sends the agent those files that it does not have.
    pub(super) async fn send_missing(&self, files: &[Input]) -> io::Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let of_status = |status: Status| io::Error::other(channel::reason(&status));
        let asked = FileHashes {
            sha256: files.iter().map(|file| file.sha256.to_vec()).collect(),
        };
        let missing = self
            .request(|mut client| {
                let asked = asked.clone();
                async move { client.find_missing(asked).await }
            })
            .await
            .map_err(of_status)?;
        let mut missing: HashSet<Vec<u8>> = missing.sha256.into_iter().collect();
        for file in files {
            if missing.remove(&file.sha256[..]) {
                self.send(file).await?;
            }
        }
        Ok(())
    }

    /// Sends a file in parts.
    async fn send(&self, input: &Input) -> io::Result<()> {
        let mut file = tokio::fs::File::open(&input.source).await?;
        let length = file.metadata().await?.len();
        let mut position = 0;
        loop {
            let mut content = Vec::new();
            (&mut file).take(PART).read_to_end(&mut content).await?;
            let end = position + content.len() as u64;
            let part = FilePart {
                sha256: input.sha256.to_vec(),
                position,
                is_last: end >= length || content.is_empty(),
                content,
            };
            // The agent refuses a part that it has, so no part is repeated. If one is lost, the node is not started.
            let sent = tokio::time::timeout(REQUEST, self.client.clone().store_file(part.clone())).await;
            match sent {
                Ok(Ok(_)) if part.is_last => return Ok(()),
                Ok(Ok(_)) => position = end,
                Ok(Err(status)) => return Err(io::Error::other(channel::reason(&status))),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
}

/// The receiving side of a session.
struct Session {
    agent: AgentAddress,
    client: AgentClient<Channel>,
    run: String,
    /// The process of the agent.
    instance: String,
    lost_after: Duration,
}

type Reports = Streaming<AgentReport>;

impl Session {
    /// Begins or continues the session. Tries again until `deadline`.
    async fn attach_until(
        &mut self,
        deadline: Instant,
        known: &Weak<Known>,
    ) -> io::Result<(Attached, Reports)> {
        loop {
            let error = match tokio::time::timeout_at(deadline, self.attach(known)).await {
                Ok(Ok(attached)) => return Ok(attached),
                Ok(Err(status)) if !channel::is_passing(&status) => {
                    return Err(self.error(&channel::reason(&status)));
                }
                Ok(Err(status)) => self.error(&channel::reason(&status)),
                Err(_) => self.error("it does not answer"),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn error(&self, reason: &str) -> io::Error {
        let AgentAddress { name, address } = &self.agent;
        io::Error::other(format!("the agent {name} at {address}: {reason}"))
    }

    async fn attach(&mut self, known: &Weak<Known>) -> Result<(Attached, Reports), Status> {
        let request = {
            let known = known.upgrade();
            let known = known.ok_or_else(|| Status::cancelled("the placement was dropped"))?;
            AttachRequest {
                run: self.run.clone(),
                logs: known.positions_of(&self.instance),
                instance: self.instance.clone(),
                running: known.running_at(&self.agent),
            }
        };
        let mut reports = self.client.attach(request).await?.into_inner();
        let first = reports.message().await?;
        let Some(Report::Attached(attached)) = first.and_then(|report| report.report) else {
            return Err(Status::internal(
                "the first report of the agent is of another kind",
            ));
        };
        Ok((attached, reports))
    }

    /// Receives reports until the agent is lost.
    async fn receive(mut self, mut reports: Reports, link: Arc<Link>, known: Weak<Known>) {
        loop {
            while let Ok(Some(report)) = reports.message().await {
                let Some(known) = known.upgrade() else { return };
                match report.report {
                    Some(Report::Node(reported)) => note(reported, &link, &known),
                    Some(Report::Log(part)) => self.append(&part, &link, &known),
                    Some(Report::Attached(_)) | None => {}
                }
            }
            let again = self.attach_until(Instant::now() + self.lost_after, &known).await;
            let Some(known) = known.upgrade() else { return };
            match again {
                Ok((attached, next)) => {
                    self.instance.clone_from(&attached.instance);
                    link.set_instance(&attached.instance);
                    lose(&known, &link, |name, instance| {
                        instance == attached.instance && attached.nodes.iter().any(|node| node == name)
                    });
                    reports = next;
                }
                Err(error) => {
                    tracing::error!("an agent is lost, so its nodes count as ended: {error}");
                    link.lost.store(true, Ordering::Release);
                    lose(&known, &link, |_, _| false);
                    return;
                }
            }
        }
    }

    /// Appends a part to the log of a node.
    fn append(&self, part: &LogPart, link: &Arc<Link>, known: &Known) {
        let is_of_agent = |node: &Node| Arc::ptr_eq(&node.link, link);
        if !known.nodes().get(&part.node).is_some_and(is_of_agent) {
            return;
        }
        let mut positions = known.log_positions.lock().unwrap_or_else(PoisonError::into_inner);
        let position = positions
            .entry((self.instance.clone(), part.node.clone()))
            .or_default();
        // The part may begin with bytes that were received before.
        let received = usize::try_from(position.saturating_sub(part.position)).unwrap_or(usize::MAX);
        let Some(content) = part.content.get(received..) else {
            return;
        };
        let path = known.log_of(&part.node);
        let appended = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(content));
        if let Err(error) = appended {
            tracing::warn!(node = part.node, "cannot write {}: {error}", path.display());
        }
        *position = part.position.saturating_add(part.content.len() as u64);
    }
}

impl Known {
    /// Returns the number of bytes of each log that this process of an agent has sent.
    fn positions_of(&self, instance: &str) -> Vec<LogPosition> {
        let positions = self.log_positions.lock().unwrap_or_else(PoisonError::into_inner);
        let of_instance = positions.iter().filter(|((of, _), _)| of == instance);
        of_instance
            .map(|((_, node), bytes)| LogPosition {
                node: node.clone(),
                bytes: *bytes,
            })
            .collect()
    }

    /// Returns the nodes of an agent that have not ended.
    fn running_at(&self, agent: &AgentAddress) -> Vec<String> {
        let nodes = self.nodes();
        let running = nodes
            .iter()
            .filter(|(_, node)| node.link.agent == *agent && !node.watched.has_ended());
        running.map(|(name, _)| name.clone()).collect()
    }
}

/// Notes the state of a node.
fn note(reported: NodeReported, link: &Arc<Link>, known: &Arc<Known>) {
    let (name, incarnation) = (reported.node, reported.incarnation);
    let mut nodes = known.nodes();
    let Some(node) = nodes.get_mut(&name) else { return };
    if node.incarnation != incarnation || !Arc::ptr_eq(&node.link, link) || node.is_ending {
        return;
    }
    let state = match reported.state {
        Some(State::Starting(_)) | None => ProcessState::Starting,
        Some(State::Listening(at)) => match (at.address.parse(), at.liveness.parse()) {
            (Ok(address), Ok(liveness)) => ProcessState::Listening(Listening { address, liveness }),
            _ => ProcessState::BadHandshake(format!("{} {}", at.address, at.liveness)),
        },
        Some(State::BadHandshake(written)) => ProcessState::BadHandshake(written),
        Some(State::Ended(ended)) => {
            node.is_ending = true;
            let results = std::mem::take(&mut node.results);
            let (link, known) = (link.clone(), known.clone());
            tokio::spawn(async move {
                if !results.is_empty()
                    && let Err(error) = link.fetch(&name, &results).await
                {
                    tracing::error!(node = name, "the files of the node are lost: {error}");
                }
                end(&known, &name, incarnation, ended).await;
            });
            return;
        }
    };
    node.usage = Usage {
        pid: Some(reported.pid).filter(|pid| *pid > 0),
        memory: reported.memory,
        cpu_time: Duration::from_nanos(reported.cpu_time),
    };
    node.state.send_if_modified(|before| {
        let is_new = *before != state;
        *before = state;
        is_new
    });
}

impl Link {
    /// Fetches the files that a node has left for the run. Tries again after a break of the connection.
    async fn fetch(&self, node: &str, results: &[(String, PathBuf)]) -> io::Result<()> {
        let deadline = Instant::now() + RESULTS;
        loop {
            let fetching = self.fetch_once(node, results);
            let error = match tokio::time::timeout_at(deadline, fetching).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
            if self.is_lost() || Instant::now() + PAUSE >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn fetch_once(&self, node: &str, results: &[(String, PathBuf)]) -> io::Result<()> {
        let request = FetchRequest {
            node: node.to_owned(),
        };
        let of_status = |status: Status| io::Error::other(channel::reason(&status));
        let mut client = self.client.clone();
        let mut parts = client.fetch(request).await.map_err(of_status)?.into_inner();
        let mut current: Option<Fetched> = None;
        let mut bytes = 0;
        while let Some(part) = parts.message().await.map_err(of_status)? {
            if !part.path.is_empty() {
                if let Some(whole) = current.take() {
                    whole.keep()?;
                }
                current = Some(Fetched::begin(&part.path, results)?);
            }
            bytes += part.content.len() as u64;
            if bytes > MAX_RESULTS {
                return Err(io::Error::other(format!(
                    "there are more than {MAX_RESULTS} bytes"
                )));
            }
            if let Some(current) = &mut current {
                current.file.write_all(&part.content)?;
            }
        }
        current.map_or(Ok(()), Fetched::keep)
    }
}

/// A file that an agent is sending.
struct Fetched {
    file: NamedTempFile,
    path: PathBuf,
}

impl Fetched {
    /// Begins a file with a path relative to the agent's folder of results.
    fn begin(relative: &str, results: &[(String, PathBuf)]) -> io::Result<Self> {
        let refused = || {
            io::Error::other(format!(
                "the agent sent the file `{relative}`, which the node was not asked for"
            ))
        };
        let mut components = Path::new(relative).components();
        let first = components.next().ok_or_else(refused)?;
        let (_, root) = results
            .iter()
            .find(|(name, _)| first == Component::Normal(name.as_ref()))
            .ok_or_else(refused)?;
        let mut path = root.clone();
        for component in components {
            let Component::Normal(name) = component else {
                return Err(refused());
            };
            path.push(name);
        }
        let parent = path.parent().ok_or_else(refused)?;
        fs::create_dir_all(parent)?;
        Ok(Self {
            file: NamedTempFile::new_in(parent)?,
            path,
        })
    }

    fn keep(self) -> io::Result<()> {
        // Other users may read what the run contains, as if the node had written it here.
        let readable = fs::Permissions::from_mode(0o644);
        self.file.as_file().set_permissions(readable)?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Ends the nodes that the current process of an agent does not have. `has` receives the name of a node and the process
/// that has started it.
fn lose(known: &Arc<Known>, link: &Arc<Link>, has: impl Fn(&str, &str) -> bool) {
    let mut nodes = known.nodes();
    for (name, node) in nodes.iter_mut() {
        let Some(instance) = &node.instance else { continue };
        if !Arc::ptr_eq(&node.link, link) || node.is_ending || has(name, instance) {
            continue;
        }
        node.is_ending = true;
        let ended = NodeEnded {
            by_coordinator: node.is_asked_to_end,
            last_log: "(its agent was lost)".to_owned(),
            ..NodeEnded::default()
        };
        let (known, name, incarnation) = (known.clone(), name.clone(), node.incarnation);
        tokio::spawn(async move { end(&known, &name, incarnation, ended).await });
    }
}

/// Notes the end of a node, and reports its exit.
async fn end(known: &Known, name: &str, incarnation: u32, ended: NodeEnded) {
    let status = ended.status.unwrap_or_default().into();
    let mut last_log = ended.last_log;
    last_log.truncate(last_log.floor_char_boundary(MAX_LAST_LOG));
    if let Some(node) = known.nodes().get(name)
        && node.incarnation == incarnation
    {
        node.state.send_replace(ProcessState::Ended(status));
    }
    let exit = Exit {
        node: name.to_owned(),
        incarnation,
        status,
        ended_by: if ended.by_coordinator {
            EndedBy::Placement
        } else {
            EndedBy::Itself
        },
        last_log: LastLog(last_log),
    };
    // The receiver may be gone when the run has ended.
    let _ = known.exits.send(exit).await;
}
