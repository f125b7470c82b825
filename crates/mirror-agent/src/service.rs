//! The service of an agent.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mirror_cluster::{DiskSpace, NodeLimits, NodeSpec, Placement, PlacementError};
use mirror_proto::mirror::v1::agent_server::Agent;
use mirror_proto::mirror::v1::{
    AgentReport, AttachRequest, Attached, FetchRequest, FetchedPart, FileHashes, FilePart, FileStored,
    LimitReply, LimitRequest, LimitUnsupported, NodeSignal, SignalReply, SignalRequest, SpawnFailure,
    SpawnReply, SpawnRequest, limit_reply, signal_reply,
};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use crate::files::{self, Files, Hash, Receiving};
use crate::nodes::Nodes;
use crate::reports::Reports;

/// Number of reports, or parts of files, that wait until the coordinator takes them.
const WAITING: usize = 16;

/// Size of the parts of a file in bytes.
const PART: u64 = 1 << 20;

/// Maximum number of files of which parts are missing.
const MAX_RECEIVING: usize = 64;

/// Maximum number of hashes in a message.
const MAX_HASHES: usize = 10_000;

pub(crate) struct Service {
    nodes: Nodes,
    files: Files,
    address: IpAddr,
    /// Identifies this process among those that have run at this address.
    instance: String,
    /// Id of the run whose nodes this agent runs.
    run: OnceLock<String>,
    /// Cancelled when the coordinator of another run takes the agent over.
    next_run: CancellationToken,
    /// The files of which parts are missing.
    receiving: Mutex<HashMap<Hash, Receiving>>,
}

impl Service {
    pub(crate) fn new(nodes: Nodes, files: Files, address: IpAddr, next_run: CancellationToken) -> Self {
        Self {
            next_run,
            nodes,
            files,
            address,
            instance: instance(),
            run: OnceLock::new(),
            receiving: Mutex::default(),
        }
    }

    fn attached(&self) -> Attached {
        Attached {
            address: self.address.to_string(),
            folder: self.files.folder().to_string_lossy().into_owned(),
            instance: self.instance.clone(),
            nodes: self.nodes.all().into_keys().collect(),
        }
    }
}

/// Time within which the session of a run must end after the coordinator of another run has called.
const SESSION_END: Duration = Duration::from_secs(3);

type Parts<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl Agent for Service {
    type AttachStream = Parts<AgentReport>;
    type FetchStream = Parts<FetchedPart>;

    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<Self::AttachStream>, Status> {
        let AttachRequest {
            run,
            logs,
            instance,
            running,
        } = request.into_inner();
        let of_agent = self.run.get_or_init(|| run.clone());
        if *of_agent != run {
            if !self.nodes.is_free_within(SESSION_END).await {
                return Err(Status::failed_precondition(format!(
                    "this agent runs the nodes of the run `{of_agent}`, not of `{run}`"
                )));
            }
            self.next_run.cancel();
            return Err(Status::unavailable("the agent ends its previous run"));
        }
        self.files.begin(&run).map_err(|error| of_disk(&error))?;
        self.nodes.kill_others(&running).await;
        let logs = logs.into_iter().filter(|_| instance == self.instance);
        let positions: HashMap<String, u64> = logs.map(|log| (log.node, log.bytes)).collect();
        let (sender, receiver) = mpsc::channel(WAITING);
        let reports = Reports {
            nodes: self.nodes.clone(),
            files: self.files.clone(),
            positions,
            receiver: sender,
        };
        tokio::spawn(reports.send(self.attached(), self.nodes.begin_session()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn find_missing(&self, request: Request<FileHashes>) -> Result<Response<FileHashes>, Status> {
        let hashes = request.into_inner().sha256;
        if hashes.len() > MAX_HASHES {
            return Err(Status::invalid_argument(format!("more than {MAX_HASHES} hashes")));
        }
        let mut missing = Vec::new();
        for bytes in hashes {
            if !self.files.has(&hash(&bytes)?) {
                missing.push(bytes);
            }
        }
        Ok(Response::new(FileHashes { sha256: missing }))
    }

    async fn store_file(&self, request: Request<FilePart>) -> Result<Response<FileStored>, Status> {
        let part = request.into_inner();
        let hash = hash(&part.sha256)?;
        let mut receiving = self.receiving.lock().await;
        if part.position == 0 {
            let file = self.files.receive(hash).map_err(|error| of_disk(&error))?;
            receiving.insert(hash, file);
        }
        if receiving.len() > MAX_RECEIVING {
            receiving.remove(&hash);
            return Err(Status::resource_exhausted(format!(
                "more than {MAX_RECEIVING} files are incomplete"
            )));
        }
        let Some(mut file) = receiving.remove(&hash) else {
            return Err(Status::failed_precondition(
                "the beginning of the file is missing",
            ));
        };
        file.write(part.position, &part.content)
            .map_err(|error| of_disk(&error))?;
        if part.is_last {
            file.finish().map_err(|error| of_disk(&error))?;
        } else {
            receiving.insert(hash, file);
        }
        Ok(Response::new(FileStored {}))
    }

    async fn spawn(&self, request: Request<SpawnRequest>) -> Result<Response<SpawnReply>, Status> {
        let SpawnRequest {
            spec,
            incarnation,
            files,
            instance,
        } = request.into_inner();
        if instance != self.instance {
            return Err(Status::failed_precondition("the agent has been started again"));
        }
        let spec: NodeSpec = serde_json::from_slice(&spec)
            .map_err(|error| Status::invalid_argument(format!("the specification: {error}")))?;
        if !spec.has_valid_name() {
            return Err(Status::invalid_argument("the name of the node is invalid"));
        }
        for file in files {
            self.files
                .place(&hash(&file.sha256)?, &file.path)
                .map_err(|error| of_disk(&error))?;
        }
        self.files
            .create_folders_of(&spec.name)
            .map_err(|error| of_disk(&error))?;
        let failure = match self.nodes.spawn(&spec, incarnation).await {
            Ok(()) => None,
            Err(PlacementError::Start { program, source, .. }) => Some(SpawnFailure {
                program,
                reason: source.to_string(),
            }),
            Err(PlacementError::Log { source, .. }) => Some(SpawnFailure {
                program: String::new(),
                reason: source.to_string(),
            }),
            Err(other) => return Err(Status::failed_precondition(other.to_string())),
        };
        let view = self.nodes.placement().inspect(&spec.name);
        let pid = view.and_then(|view| view.pid).unwrap_or_default();
        Ok(Response::new(SpawnReply { failure, pid }))
    }

    async fn signal(&self, request: Request<SignalRequest>) -> Result<Response<SignalReply>, Status> {
        let request = request.into_inner();
        let (node, signal) = (&*request.node, request.signal());
        let placement = self.nodes.placement();
        let outcome = if self.nodes.is_current(node, request.incarnation) {
            match signal {
                NodeSignal::Terminate => placement.terminate(node).await,
                NodeSignal::Kill => placement.kill(node).await.map(|_| ()),
                NodeSignal::Pause => placement.pause(node).await,
                NodeSignal::Resume => placement.resume(node).await,
                NodeSignal::Unspecified => return Err(Status::invalid_argument("no signal")),
            }
        } else {
            Err(not_running(node))
        };
        let outcome = match outcome {
            Ok(()) => signal_reply::Outcome::WasRunning(true),
            Err(PlacementError::NotRunning { .. } | PlacementError::Unknown { .. }) => {
                signal_reply::Outcome::WasRunning(false)
            }
            Err(PlacementError::Signal { source, .. }) => signal_reply::Outcome::Refused(source.to_string()),
            Err(other) => return Err(Status::internal(other.to_string())),
        };
        Ok(Response::new(SignalReply {
            outcome: Some(outcome),
        }))
    }

    async fn limit(&self, request: Request<LimitRequest>) -> Result<Response<LimitReply>, Status> {
        let request = request.into_inner();
        let limits = NodeLimits {
            cpu: request.cpu,
            memory: request.memory,
            disk: if request.full_disk {
                DiskSpace::Full
            } else {
                DiskSpace::Unlimited
            },
        };
        let outcome = if self.nodes.is_current(&request.node, request.incarnation) {
            self.nodes.placement().limit(&request.node, &limits).await
        } else {
            Err(not_running(&request.node))
        };
        let outcome = match outcome {
            Ok(()) => limit_reply::Outcome::WasRunning(true),
            Err(PlacementError::NotRunning { .. } | PlacementError::Unknown { .. }) => {
                limit_reply::Outcome::WasRunning(false)
            }
            Err(PlacementError::Limit { source, .. }) => limit_reply::Outcome::Refused(source.to_string()),
            Err(PlacementError::Unsupported { what, reason, .. }) => {
                limit_reply::Outcome::Unsupported(LimitUnsupported {
                    what: what.to_owned(),
                    reason,
                })
            }
            Err(other) => return Err(Status::internal(other.to_string())),
        };
        Ok(Response::new(LimitReply {
            outcome: Some(outcome),
        }))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let node = request.into_inner().node;
        if !self.nodes.all().contains_key(&node) {
            return Err(Status::not_found(format!("there is no node `{node}`")));
        }
        let found = self.files.results(&node).map_err(|error| of_disk(&error))?;
        let parts = found.into_iter().flat_map(|(path, relative)| {
            let parts = files::parts(&path, PART);
            let (parts, failed) = match parts {
                Ok(parts) => (Some(parts), None),
                Err(error) => (None, Some(Err(error))),
            };
            // The first part of each file has its path. An empty file has one part without content.
            let named = std::iter::once(Ok(FetchedPart {
                path: relative,
                content: Vec::new(),
            }));
            let contents = parts.into_iter().flatten().map(|part| {
                Ok(FetchedPart {
                    path: String::new(),
                    content: part?,
                })
            });
            named.chain(contents).chain(failed)
        });
        let parts = parts.map(|part: io::Result<FetchedPart>| part.map_err(|error| of_disk(&error)));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }
}

/// Returns a text that no other process of this machine has.
fn instance() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), since_1970.as_nanos())
}

fn not_running(node: &str) -> PlacementError {
    PlacementError::NotRunning {
        node: node.to_owned(),
    }
}

#[allow(clippy::result_large_err, reason = "the error of a gRPC call is a status")]
fn hash(bytes: &[u8]) -> Result<Hash, Status> {
    bytes
        .try_into()
        .map_err(|_| Status::invalid_argument("a SHA-256 has 32 bytes"))
}

fn of_disk(error: &io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge => {
            Status::invalid_argument(error.to_string())
        }
        _ => Status::internal(format!("the disk of the agent: {error}")),
    }
}
