//! What every node does before and around serving: its launch description, its lifeline, its log, its listener, its
//! answers to health checks, and its reports ([`reporter`]).
//!
//! A node's `main` is one call of [`run`] with its `serve`. The node ends
//!
//! - when `serve` returns, which it is asked to on SIGTERM by the token it was given;
//! - at once, when the process that started it is gone, however it went. Two mechanisms see to that, for neither is
//!   enough alone. The kernel's death signal also ends a stopped node, but counts only from the moment it was asked
//!   for. The end of standard input is noticed by a thread of its own, also while the main thread is busy in native
//!   code.
//!
//! Health checks are answered on an address of their own by a thread of their own, so that a node counts as hung only
//! when its process stands still, and not when its work takes long.
//!
//! SIGINT is left as it is: whoever starts a node puts it in a process group of its own, where a terminal's Ctrl-C
//! does not arrive, and ends it in the right order.

mod lifeline;
mod liveness;
pub mod reporter;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use mirror_spec::launch::{Launch, Listening};
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status of a node that was not told properly what to be.
const BAD_LAUNCH: u8 = 2;

/// Runs a node: reads its launch description, ties it to the life of the process that started it, binds, says where it
/// listens, and serves on a runtime of one thread until `serve` returns. The token is cancelled by SIGTERM.
///
/// The exit status is 0 when `serve` did well, 1 when it failed or the node could not listen, 2 when the launch
/// description was missing or wrong; the reason stands on standard error.
pub fn run<R: DeserializeOwned>(
    serve: impl AsyncFnOnce(Launch<R>, TcpListener, CancellationToken) -> anyhow::Result<()>,
) -> ExitCode {
    let launch = match be_launched::<R>() {
        Ok(launch) => launch,
        Err(error) => {
            eprintln!("no launch description to follow: {error:#}; nodes are started by `mirror run`");
            return ExitCode::from(BAD_LAUNCH);
        }
    };
    let node = launch.node.clone();
    match listen_and_serve(launch, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{node}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn be_launched<R: DeserializeOwned>() -> anyhow::Result<Launch<R>> {
    lifeline::end_with_parent()?;
    let line = lifeline::first_line()?;
    let launch: Launch<R> = serde_json::from_slice(&line).context("standard input")?;
    ensure!(
        lifeline::parent() == launch.parent,
        "it comes from process {}, which is not the parent of this one any more",
        launch.parent
    );
    mirror_telemetry::init(&launch.log)?;
    Ok(launch)
}

fn listen_and_serve<R>(
    launch: Launch<R>,
    serve: impl AsyncFnOnce(Launch<R>, TcpListener, CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        let shutdown = shutdown_on_terminate()?;
        let listener = TcpListener::bind(launch.listen)
            .await
            .with_context(|| format!("cannot listen on {}", launch.listen))?;
        let address = listener.local_addr().context("cannot tell where it listens")?;
        let liveness = liveness::start(address)?;
        announce(address, liveness).context("cannot say where it listens")?;
        tracing::info!(%address, %liveness, "listens");
        serve(launch, listener, shutdown).await
    });
    // Native work that is still going on in the background shall not hold the process.
    runtime.shutdown_background();
    outcome
}

fn shutdown_on_terminate() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let shutdown = CancellationToken::new();
    let requested = shutdown.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        requested.cancel();
    });
    Ok(shutdown)
}

/// Writes the one line of standard output. What is printed afterwards, by native libraries say, goes to the log.
fn announce(address: SocketAddr, liveness: SocketAddr) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, &Listening { address, liveness })?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(())
}
