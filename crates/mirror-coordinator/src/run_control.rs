//! The service through which a person controls a running network, and the file that says where it is.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mirror_proto::mirror::v1::run_control_server::{RunControl, RunControlServer};
use mirror_proto::mirror::v1::{
    AddFaultReply, AddFaultRequest, ClearFaultsReply, ClearFaultsRequest, FaultList, ListFaultsRequest,
    ListNodesRequest, NodeList, ShutdownReply, ShutdownRequest,
};
use mirror_runs::Layout;
use mirror_spec::Fault;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use crate::orchestrator::ManualRequest;

/// Maximum size of a request in bytes.
const REQUEST_LIMIT: usize = 1 << 20;

/// Maximum number of requests that wait for the orchestrator.
pub(crate) const WAITING: usize = 64;

/// Reads an entry of `faults` for the network of the run. Returns the fault with warnings about it, or the problems in
/// words.
pub type ReadFault = Arc<dyn Fn(&str) -> Result<(Fault, Vec<String>), String> + Send + Sync>;

/// The contents of the file through which a person finds a running network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlFile {
    /// Address of the service.
    pub address: SocketAddr,
    /// Process id of the coordinator.
    pub pid: u32,
}

/// The file of a run, which is removed when it is dropped.
pub(crate) struct Published(PathBuf);

impl ControlFile {
    /// Writes the file, which only the owner can read.
    pub(crate) fn publish(&self, layout: &Layout) -> anyhow::Result<Published> {
        let path = layout.control();
        crate::certificates::write_private(&path, &serde_json::to_string(self)?)?;
        Ok(Published(path))
    }

    /// Reads the file of a run. `None` if the run has none, because it has ended.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, for example because it belongs to another user, or is invalid.
    pub fn read(layout: &Layout) -> io::Result<Option<Self>> {
        match std::fs::read(layout.control()) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the control file of the run");
        }
    }
}

/// The service.
pub(crate) struct Service {
    requests: mpsc::Sender<ManualRequest>,
    read_fault: ReadFault,
    stop: CancellationToken,
}

impl Service {
    pub(crate) fn server(
        requests: mpsc::Sender<ManualRequest>,
        read_fault: ReadFault,
        stop: CancellationToken,
    ) -> RunControlServer<Self> {
        RunControlServer::new(Self {
            requests,
            read_fault,
            stop,
        })
        .max_decoding_message_size(REQUEST_LIMIT)
    }

    /// Passes a request to the orchestrator and waits for the answer.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> ManualRequest) -> Result<T, Status> {
        let ended = || Status::unavailable("the run is ending");
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

#[async_trait]
impl RunControl for Service {
    async fn add_fault(&self, request: Request<AddFaultRequest>) -> Result<Response<AddFaultReply>, Status> {
        let AddFaultRequest { fault } = request.into_inner();
        let read = self.read_fault.clone();
        let (fault, warnings) = tokio::task::spawn_blocking(move || read(&fault))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(Status::invalid_argument)?;
        let reply = self
            .ask(|reply| ManualRequest::Add(Box::new(fault), reply))
            .await?;
        let reply = reply.map_err(Status::failed_precondition)?;
        Ok(Response::new(AddFaultReply { warnings, ..reply }))
    }

    async fn list_faults(&self, _: Request<ListFaultsRequest>) -> Result<Response<FaultList>, Status> {
        let faults = self.ask(ManualRequest::List).await?;
        Ok(Response::new(FaultList { faults }))
    }

    async fn clear_faults(
        &self,
        request: Request<ClearFaultsRequest>,
    ) -> Result<Response<ClearFaultsReply>, Status> {
        let ClearFaultsRequest { id } = request.into_inner();
        let reply = self.ask(|reply| ManualRequest::Clear(id, reply)).await?;
        Ok(Response::new(reply.map_err(Status::not_found)?))
    }

    async fn list_nodes(&self, _: Request<ListNodesRequest>) -> Result<Response<NodeList>, Status> {
        Ok(Response::new(self.ask(ManualRequest::Nodes).await?))
    }

    async fn shutdown(&self, _: Request<ShutdownRequest>) -> Result<Response<ShutdownReply>, Status> {
        self.stop.cancel();
        Ok(Response::new(ShutdownReply {}))
    }
}
