//! The agent: a program that runs nodes of one run at a time for the coordinator of the run, on a machine that the
//! coordinator does not share. `proto/mirror/v1/agent.proto` describes its service.
//!
//! The nodes are processes of the agent ([`LocalProcesses`]), so that they behave as on the machine of a
//! coordinator: the lifeline, pauses, limits and logs. When the agent ends, they end.

mod files;
mod nodes;
mod reports;
mod service;

use std::future::pending;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_net::server::{Budget, Callers, Limits, Services, serve};
use mirror_net::tls::Identity;
use mirror_proto::mirror::v1::agent_server::AgentServer;
use mirror_proto::protocol::{AGENT_MESSAGE_LIMIT, COORDINATOR};
use mirror_spec::launch::Credentials;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::files::Files;
use self::nodes::Nodes;
use self::service::Service;

/// Time without a coordinator after which an agent that had one ends.
const ABANDONED: Duration = Duration::from_mins(1);

/// Time that the nodes have to shut down when the agent is asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// The settings of an agent.
#[derive(Debug)]
pub struct Settings {
    /// The listen address. The nodes listen on further ports of its IP address.
    pub listen: SocketAddrV4,
    /// The address at which the agent answers health checks without TLS. `None` if it answers them with TLS alone.
    pub health: Option<SocketAddrV4>,
    /// The certificate of the agent.
    pub credentials: Credentials,
    /// The folder of the files of the nodes.
    pub folder: PathBuf,
    /// The folder of the programs. `None` for that of the running program.
    pub programs: Option<PathBuf>,
}

/// Reads a certificate from a folder with the files of a Kubernetes Secret: `ca.crt`, `tls.crt` and `tls.key`.
///
/// # Errors
///
/// Returns an error that names the file that cannot be read.
pub fn credentials_in(folder: &Path) -> anyhow::Result<Credentials> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Credentials {
        authority: read("ca.crt")?,
        certificate: read("tls.crt")?,
        key: read("tls.key")?,
    })
}

/// Runs an agent until its coordinator has left for a minute, or until SIGTERM.
///
/// # Errors
///
/// Returns an error if the settings cannot be used, or the agent cannot listen.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    tokio::select! {
        served = serve_health(settings.health) => served?,
        served = serve_runs(&settings, &mut terminate) => served?,
    }
    Ok(())
}

/// Answers health checks without TLS, which orchestrators need. Waits without end if there is no address for them.
async fn serve_health(address: Option<SocketAddrV4>) -> anyhow::Result<()> {
    let Some(address) = address else {
        return pending().await;
    };
    let listener = listen(address).await?;
    Ok(serve(listener, Services::new(None), Limits::default(), pending()).await?)
}

/// Runs the nodes of one run after the other.
async fn serve_runs(settings: &Settings, terminate: &mut Signal) -> anyhow::Result<()> {
    let identity = Identity::new(&settings.credentials).context("the certificate of the agent")?;
    let folder = std::path::absolute(&settings.folder).context("cannot determine the working directory")?;
    let this_program = std::env::current_exe().context("cannot determine the path of this program")?;
    let binaries = match &settings.programs {
        Some(programs) => Binaries::in_folder(programs),
        None => Binaries::beside_this_program().context("cannot determine the path of this program")?,
    };
    let binaries = Binaries {
        // The shim of foreign programs.
        mirror: this_program,
        ..binaries
    };
    loop {
        let files = Files::new(folder.clone())?;
        let (placement, exits) =
            LocalProcesses::new(binaries.clone(), files.logs()).context("cannot start nodes")?;
        let nodes = Nodes::start(placement.at(*settings.listen.ip()), exits);
        let listener = listen(settings.listen).await?;
        let address = listener
            .local_addr()
            .context("cannot determine the listen address")?;
        tracing::info!(%address, name = identity.name(), "the agent waits for its coordinator");
        let next_run = CancellationToken::new();
        let service = Service::new(nodes.clone(), files, address.ip(), next_run.clone());
        let service = AgentServer::new(service).max_decoding_message_size(AGENT_MESSAGE_LIMIT);
        let services = Services::new(Some(identity.clone())).only(Callers::Named(&[COORDINATOR]), service);
        let is_last = tokio::select! {
            served = serve(listener, services, limits(), next_run.cancelled()) => {
                served?;
                tracing::info!("the coordinator of another run takes the agent over");
                false
            }
            () = nodes.abandoned(ABANDONED) => {
                tracing::info!("the coordinator has left");
                true
            }
            _ = terminate.recv() => {
                tracing::info!("asked to end");
                true
            }
        };
        // The exits that follow are not those that the coordinator requested.
        nodes.end_session();
        nodes.stop_all(GRACE).await;
        if is_last {
            return Ok(());
        }
    }
}

async fn listen(address: SocketAddrV4) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// The limits of the service, of which one coordinator is the only caller.
fn limits() -> Limits {
    Limits {
        bytes_per_connection: 2 * AGENT_MESSAGE_LIMIT,
        budget: Budget::new(64, 4 * AGENT_MESSAGE_LIMIT, 4 * AGENT_MESSAGE_LIMIT),
        connections: 64,
        connections_per_peer: 16,
        ..Limits::default()
    }
}
