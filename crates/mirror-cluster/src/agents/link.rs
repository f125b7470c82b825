//! The connection to one agent: a session, whose reports a task receives, and requests.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::inputs::Input;
use super::{AgentAddress, Known, LOST, Node, REQUEST, Usage};
use crate::watched::ProcessState;
use crate::{EndedBy, Exit, LastLog};

/// Pause before an agent that did not answer is called again.
const PAUSE: Duration = Duration::from_millis(200);

/// Size of the parts of a file in bytes.
const PART: u64 = 1 << 20;

/// Time within which an agent must have taken a file.
const FILE: Duration = Duration::from_mins(30);

/// Time within which an agent must have sent the files of a node.
const RESULTS: Duration = Duration::from_mins(1);

/// Maximum size of the files of a node in bytes.
const MAX_RESULTS: u64 = 8 << 30;

/// The session with an agent. It lasts until the placement is dropped or the agent is lost.
#[derive(Debug)]
pub(super) struct Link {
    client: AgentClient<Channel>,
    /// IP address of the nodes of the agent.
    address: IpAddr,
    /// Absolute path of the folder of the agent.
    folder: String,
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
            positions: HashMap::new(),
            lost_after,
        };
        let (attached, reports) = session
            .attach_until(Instant::now() + LOST.max(lost_after))
            .await?;
        session.instance = attached.instance;
        let address = attached
            .address
            .parse()
            .map_err(|_| io::Error::other(format!("the agent stated the address `{}`", attached.address)))?;
        let link = Arc::new(Self {
            client,
            address,
            folder: attached.folder,
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

    pub(super) fn client(&self) -> AgentClient<Channel> {
        self.client.clone()
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn folder(&self) -> &str {
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
        let mut client = self.client();
        let asked = FileHashes {
            sha256: files.iter().map(|file| file.sha256.to_vec()).collect(),
        };
        let missing = within(REQUEST, client.find_missing(asked)).await?;
        let missing: HashSet<Vec<u8>> = missing.into_inner().sha256.into_iter().collect();
        let mut sent = HashSet::new();
        for file in files {
            if missing.contains(&file.sha256[..]) && sent.insert(file.sha256) {
                let parts = tokio_stream::iter(parts(&file.source, file.sha256)?);
                within(FILE, client.store_file(parts)).await?;
            }
        }
        Ok(())
    }
}

/// Reads a file in parts, the first of which has its hash. A file that becomes unreadable is cut off, so that the agent
/// refuses it.
fn parts(path: &Path, hash: [u8; 32]) -> io::Result<impl Iterator<Item = FilePart> + use<>> {
    let mut file = File::open(path)?;
    let first = FilePart {
        sha256: hash.to_vec(),
        content: Vec::new(),
    };
    let contents = std::iter::from_fn(move || {
        let mut content = Vec::new();
        let read = (&mut file).take(PART).read_to_end(&mut content);
        read.ok().filter(|read| *read > 0).map(|_| FilePart {
            sha256: Vec::new(),
            content,
        })
    });
    Ok(std::iter::once(first).chain(contents))
}

/// Waits for the reply to a request.
async fn within<T>(
    timeout: Duration,
    reply: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> io::Result<tonic::Response<T>> {
    match tokio::time::timeout(timeout, reply).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(status)) => Err(io::Error::other(channel::reason(&status))),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The receiving side of a session.
struct Session {
    agent: AgentAddress,
    client: AgentClient<Channel>,
    run: String,
    /// The process of the agent.
    instance: String,
    /// Number of bytes of each log that this process has sent.
    positions: HashMap<String, u64>,
    lost_after: Duration,
}

type Reports = Streaming<AgentReport>;

impl Session {
    /// Begins or continues the session. Tries again until `deadline`.
    async fn attach_until(&mut self, deadline: Instant) -> io::Result<(Attached, Reports)> {
        loop {
            let error = match tokio::time::timeout_at(deadline, self.attach()).await {
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

    async fn attach(&mut self) -> Result<(Attached, Reports), Status> {
        let logs = self.positions.iter().map(|(node, bytes)| LogPosition {
            node: node.clone(),
            bytes: *bytes,
        });
        let request = AttachRequest {
            run: self.run.clone(),
            logs: logs.collect(),
            instance: self.instance.clone(),
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
                    Some(Report::Node(reported)) => self.note(reported, &link, &known).await,
                    Some(Report::Log(part)) => self.append(part, &known),
                    Some(Report::Attached(_)) | None => {}
                }
            }
            let again = self.attach_until(Instant::now() + self.lost_after).await;
            let Some(known) = known.upgrade() else { return };
            match again {
                Ok((attached, next)) => {
                    let is_same = attached.instance == self.instance;
                    let has = |node: &str| is_same && attached.nodes.iter().any(|name| name == node);
                    lose(&known, &link, has).await;
                    if !is_same {
                        self.positions.clear();
                    }
                    self.instance = attached.instance;
                    reports = next;
                }
                Err(error) => {
                    tracing::error!("an agent is lost, so its nodes count as ended: {error}");
                    link.lost.store(true, Ordering::Release);
                    lose(&known, &link, |_| false).await;
                    return;
                }
            }
        }
    }

    /// Notes the state of a node.
    async fn note(&self, reported: NodeReported, link: &Arc<Link>, known: &Known) {
        let (name, incarnation) = (reported.node, reported.incarnation);
        let is_current = |node: &Node| node.incarnation == incarnation && Arc::ptr_eq(&node.link, link);
        let state = match reported.state {
            Some(State::Starting(_)) | None => ProcessState::Starting,
            Some(State::Listening(at)) => match (at.address.parse(), at.liveness.parse()) {
                (Ok(address), Ok(liveness)) => ProcessState::Listening(Listening { address, liveness }),
                _ => ProcessState::BadHandshake(format!("{} {}", at.address, at.liveness)),
            },
            Some(State::BadHandshake(written)) => ProcessState::BadHandshake(written),
            Some(State::Ended(ended)) => {
                let results = known
                    .nodes()
                    .get(&name)
                    .filter(|node| is_current(node) && !node.watched.has_ended())
                    .map(|node| node.results.clone());
                if let Some(results) = results {
                    if !results.is_empty()
                        && let Err(error) = self.fetch(&name, &results).await
                    {
                        tracing::error!(node = name, "the files of the node are lost: {error}");
                    }
                    end(known, &name, incarnation, &ended).await;
                }
                return;
            }
        };
        let mut nodes = known.nodes();
        let Some(node) = nodes.get_mut(&name) else { return };
        if !is_current(node) || node.watched.has_ended() {
            return;
        }
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

    /// Appends a part to the log of a node.
    fn append(&mut self, part: LogPart, known: &Known) {
        if !known.nodes().contains_key(&part.node) {
            return;
        }
        let path = known.log_of(&part.node);
        let appended = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&part.content));
        if let Err(error) = appended {
            tracing::warn!(node = part.node, "cannot write {}: {error}", path.display());
        }
        let end = part.position.saturating_add(part.content.len() as u64);
        self.positions.insert(part.node, end);
    }

    /// Fetches the files that a node has left for the run.
    async fn fetch(&self, node: &str, results: &[(String, PathBuf)]) -> io::Result<()> {
        let fetching = async {
            let request = FetchRequest {
                node: node.to_owned(),
            };
            let mut client = self.client.clone();
            let of_status = |status: Status| io::Error::other(channel::reason(&status));
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
        };
        tokio::time::timeout(RESULTS, fetching)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
                "the agent sent the file `{relative}`, which nobody asked for"
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
        self.file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Ends the nodes of an agent that it does not have.
async fn lose(known: &Known, link: &Arc<Link>, has: impl Fn(&str) -> bool) {
    let lost: Vec<(String, u32)> = known
        .nodes()
        .iter()
        .filter(|(name, node)| {
            Arc::ptr_eq(&node.link, link) && node.is_confirmed && !node.watched.has_ended() && !has(name)
        })
        .map(|(name, node)| (name.clone(), node.incarnation))
        .collect();
    for (node, incarnation) in lost {
        let ended = NodeEnded {
            last_log: "(its agent was lost)".to_owned(),
            ..NodeEnded::default()
        };
        end(known, &node, incarnation, &ended).await;
    }
}

/// Notes the end of a node, and reports its exit.
async fn end(known: &Known, name: &str, incarnation: u32, ended: &NodeEnded) {
    let status = ended.status.unwrap_or_default().into();
    if let Some(node) = known.nodes().get(name) {
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
        last_log: LastLog(ended.last_log.clone()),
    };
    // The receiver may be gone when the run has ended.
    let _ = known.exits.send(exit).await;
}
