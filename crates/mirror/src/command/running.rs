//! The client of a running network: finds it by its run, and calls its service with the operator's certificate.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use mirror_coordinator::{ControlFile, operator};
use mirror_net::channel;
use mirror_net::tls::Identity;
use mirror_output::message;
use mirror_proto::mirror::v1::run_control_client::RunControlClient;
use mirror_proto::mirror::v1::{ListNodesRequest, NodeList};
use mirror_proto::protocol::COORDINATOR;
use mirror_runs::{Layout, Run, State};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{Misuse, place};

/// Time that the coordinator has to answer a question that it answers immediately.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after which a command prints that it is waiting.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// A running network.
pub(super) struct RunningNetwork {
    /// The name of the run in commands, which a person can type.
    pub(super) name: String,
    /// Process id of the coordinator.
    pub(super) pid: u32,
    layout: Layout,
    client: RunControlClient<Channel>,
}

impl RunningNetwork {
    /// Finds the network of the run named by a path, an id, the start of an id, or `last`. Must be called in a runtime.
    ///
    /// # Errors
    /// Returns an error if there is no such run, it has ended, or its control file cannot be read.
    pub(super) fn find(runs_dir: &Path, wanted: &str) -> anyhow::Result<Self> {
        let folder = place::run(runs_dir, wanted)?;
        Self::of(runs_dir, &folder)
    }

    /// Finds the network of the run in `folder`.
    pub(super) fn of(runs_dir: &Path, folder: &Path) -> anyhow::Result<Self> {
        let state = Run::state_of(folder)?;
        let (layout, name) = (Layout::new(folder), name_of(runs_dir, folder));
        let path = layout.control();
        match state {
            State::Running => {}
            State::Interrupted if path.exists() => bail!(
                "the run {name} is no longer running: its coordinator was killed (`mirror runs recover {name}` writes \
                 its tables)"
            ),
            ended => bail!(
                "the run {name} has ended, and its state is `{}`: `mirror up FILE` starts a network that stays",
                ended.name()
            ),
        }
        let file = ControlFile::read(&layout).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "only its owner can control the run",
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                    "it is not the file that the run wrote"
                }
                _ => "the run cannot be controlled without it",
            };
            anyhow!(error).context(format!("cannot read {}: {reason}", path.display()))
        })?;
        let file = file.with_context(|| {
            format!(
                "{} does not exist: the run {name} is just starting or ending",
                path.display()
            )
        })?;
        let identity = operator(&layout)
            .map_err(anyhow::Error::new)
            .and_then(|credentials| {
                let credentials = credentials.context("a certificate does not exist: the run is ending")?;
                Ok(Identity::new(&credentials)?)
            })
            .with_context(|| {
                format!(
                    "cannot use the certificates in {}",
                    layout.certificates().display()
                )
            })?;
        Ok(Self {
            client: RunControlClient::new(channel::secure(file.address, identity.connecting_to(COORDINATOR))),
            pid: file.pid,
            name,
            layout,
        })
    }

    /// Returns the folder of the run.
    pub(super) fn folder(&self) -> &Path {
        self.layout.root()
    }

    /// Returns a client of the coordinator.
    pub(super) fn client(&self) -> RunControlClient<Channel> {
        self.client.clone()
    }

    /// Returns a request that the coordinator answers immediately.
    pub(super) fn quick_request<T>(message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(ANSWER_TIMEOUT);
        request
    }

    /// Returns the nodes of the network.
    pub(super) async fn nodes(&self) -> anyhow::Result<NodeList> {
        let reply = self
            .client()
            .list_nodes(Self::quick_request(ListNodesRequest {}))
            .await;
        Ok(reply.map_err(|status| self.problem(&status))?.into_inner())
    }

    /// Returns the error of a call that failed with `status`.
    pub(super) fn problem(&self, status: &Status) -> anyhow::Error {
        let (name, said) = (&self.name, anyhow!("{}", channel::reason(status)));
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => said.context(format!(
                "the coordinator of the run {name} refused the certificate in {}",
                self.layout.certificates().display()
            )),
            Code::InvalidArgument | Code::NotFound => Misuse::of(said).into(),
            Code::FailedPrecondition => said,
            _ if Run::state_of(self.folder()).is_ok_and(|state| state != State::Running) => {
                anyhow!("the run {name} has just ended")
            }
            _ => said.context(format!("the coordinator of the run {name} does not answer")),
        }
    }
}

/// Returns the name of a run in commands: its id, or its path if it is not in the default folder.
pub(super) fn name_of(runs_dir: &Path, folder: &Path) -> String {
    let id = folder
        .file_name()
        .filter(|_| runs_dir == Path::new("runs") && folder.parent() == Some(runs_dir));
    id.map_or_else(
        || folder.display().to_string(),
        |id| id.to_string_lossy().into_owned(),
    )
}

/// Runs `work` to its end, and prints `notice` to standard error if that takes longer than a second.
pub(super) async fn with_notice<T>(notice: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(NOTICE_AFTER, &mut work).await {
        return done;
    }
    message!("{notice}");
    work.await
}

/// Runs a command that talks to a network.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}
