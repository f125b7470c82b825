//! `mirror-agent`: runs nodes of one run at a time on a machine or in a pod, for the coordinator of the run.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mirror_agent::{Settings, credentials_in, run};
use mirror_output::message;

/// Runs the nodes of one run at a time, for its coordinator, which starts and signals them over gRPC.
///
/// The agent ends a minute after the coordinator has left, or when it receives SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "mirror-agent", version)]
struct Arguments {
    /// The IP address at which the agent and its nodes listen. Other machines must reach it.
    #[arg(long, env = "MIRROR_AGENT_ADDRESS")]
    address: Ipv4Addr,
    /// The port at which the agent listens.
    #[arg(long, default_value_t = 7070)]
    port: u16,
    /// The port for gRPC health checks without TLS, as Kubernetes makes them. If absent: none.
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// The folder with the certificate of the agent: `ca.crt`, `tls.crt` and `tls.key`.
    #[arg(long)]
    credentials: PathBuf,
    /// The folder in which the agent keeps the files of its nodes.
    #[arg(long)]
    folder: PathBuf,
    /// The folder with the programs of the nodes. If absent: that of this program.
    #[arg(long)]
    programs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    // The agent starts foreign programs by `mirror-agent shim -- PROGRAM …`; nothing else may run before it.
    if words.next_if(|first| first == "shim").is_some() {
        return mirror_cluster::shim::main(words.skip(1));
    }
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            message!("mirror-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let settings = Settings {
        listen: SocketAddrV4::new(arguments.address, arguments.port),
        health: arguments
            .health_port
            .map(|port| SocketAddrV4::new(arguments.address, port)),
        credentials: credentials_in(&arguments.credentials)?,
        folder: arguments.folder,
        programs: arguments.programs,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(settings));
    runtime.shutdown_background();
    outcome
}
