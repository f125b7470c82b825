//! Process setup shared by all nodes: launch config, lifeline, log, listener, health checks, fault state ([`Control`])
//! and reports ([`reporter`]).
//!
//! A node's `main` calls [`run`] with its `serve`. The node ends
//!
//! - when `serve` returns, which SIGTERM requests by cancelling the token that `serve` received;
//! - immediately, when the process that started it has exited, for whatever reason. Two mechanisms ensure this, because
//!   neither is sufficient on its own. The kernel's death signal also ends a stopped node, but takes effect only from
//!   the moment it was requested. The end of standard input is noticed by a dedicated thread, even while the main
//!   thread is busy in native code.
//!
//! Health checks are answered on a separate address by a dedicated thread, so that a node counts as hung only if its
//! process does not run, not if its work takes long. The same thread changes the fault state of the node.
//!
//! A node survives a full disk, which a limit on the size of its files imitates: its writes fail with EFBIG ("file too
//! large", not ENOSPC), and so do those to its log, whose lines are then lost.
//!
//! SIGINT keeps its default action. The program that starts a node puts it in a separate process group, which a
//! terminal's Ctrl-C does not reach, and shuts nodes down in the right order.

mod control;
mod lifeline;
mod liveness;
mod profile;
pub mod reporter;
mod telemetry;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use mirror_net::tls::Identity;
use mirror_output::message;
use mirror_spec::launch::{Credentials, Launch, Listening};
use mirror_telemetry::clock;
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use control::Control;

use self::profile::Profile;
use self::telemetry::Telemetry;

/// Exit status of a node without a valid launch config.
const BAD_LAUNCH: u8 = 2;

/// Runs a node: reads its launch config, ties it to the life of its parent process, binds its listener, prints its
/// listen address, and runs `serve` on a single-threaded runtime until it returns. SIGTERM cancels the token.
///
/// The exit status is 0 if `serve` succeeded, 1 if it failed or the node could not listen, and 2 if the launch config
/// was missing or invalid. The reason is printed to standard error.
pub fn run<R: DeserializeOwned>(
    serve: impl AsyncFnOnce(Launch<R>, TcpListener, CancellationToken, Control) -> anyhow::Result<()>,
) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            message!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let (launch, telemetry) = match be_launched::<R>() {
        Ok(launched) => launched,
        Err(error) => {
            message!("cannot read the launch config: {error:#} (nodes are started by `mirror run`)");
            return ExitCode::from(BAD_LAUNCH);
        }
    };
    let node = launch.node.clone();
    let profile = Profile::start(&launch);
    let outcome = listen_and_serve(runtime, launch, serve);
    telemetry.finish();
    if let Some(profile) = profile {
        profile.finish();
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            message!("{node}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Creates the runtime, and handles the signal of a write beyond the limit on the size of files, which would end the
/// process otherwise. The write itself then fails.
fn runtime() -> anyhow::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let _context = runtime.enter();
    // The handler stays in place when the receiver is dropped.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).context("cannot handle SIGXFSZ")?);
    Ok(runtime)
}

fn be_launched<R: DeserializeOwned>() -> anyhow::Result<(Launch<R>, Telemetry)> {
    lifeline::end_with_parent()?;
    let line = lifeline::first_line()?;
    let launch: Launch<R> = serde_json::from_slice(&line).context("standard input")?;
    ensure!(
        lifeline::parent() == launch.parent,
        "the launch config comes from process {}, which is not the parent of this process",
        launch.parent
    );
    clock::set_skew(launch.clock_skew)?;
    mirror_net::channel::connect_from(launch.source);
    let telemetry = Telemetry::start(&launch)?;
    Ok((launch, telemetry))
}

fn listen_and_serve<R>(
    runtime: Runtime,
    launch: Launch<R>,
    serve: impl AsyncFnOnce(Launch<R>, TcpListener, CancellationToken, Control) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let outcome = runtime.block_on(async {
        let shutdown = shutdown_on_terminate()?;
        let listener = TcpListener::bind(launch.listen)
            .await
            .with_context(|| format!("cannot listen on {}", launch.listen))?;
        let address = listener
            .local_addr()
            .context("cannot determine the listen address")?;
        let control = Control::default();
        let services = control::services(control.clone(), identity(&launch.credentials)?);
        let liveness = liveness::start(address, services)?;
        announce(address, liveness).context("cannot print the listen address")?;
        tracing::info!(%address, %liveness, "listening");
        serve(launch, listener, shutdown, control).await
    });
    // Native work that still runs in the background must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// Reads the identity of the node from its launch config.
///
/// # Errors
/// Returns an error if the certificate cannot be used.
pub fn identity(credentials: &Credentials) -> anyhow::Result<Identity> {
    Identity::new(credentials).context("the launch config has no valid certificate of the node")
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

/// Writes the only line of standard output. Later output, for example of native libraries, goes to the log.
fn announce(address: SocketAddr, liveness: SocketAddr) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, &Listening { address, liveness })?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(())
}
