//! Answers gRPC health checks on a dedicated thread with its own listener and runtime, so that a busy node (a long
//! forward of a model, native code) can be distinguished from a hung one. Other services that a busy node must answer
//! are served there too.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use anyhow::Context;
use mirror_net::server::{self, Limits, Services};

/// Stack size of the thread, in bytes. A thousand miners have one such thread each.
const STACK: usize = 256 << 10;

/// Starts the thread, which serves `services` next to health checks, and returns its address: the IP address of
/// `beside` with a port chosen by the kernel.
pub(crate) fn start(beside: SocketAddr, services: Services) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((beside.ip(), 0))
        .with_context(|| format!("cannot listen for health checks on {}", beside.ip()))?;
    let address = listener
        .local_addr()
        .context("cannot determine the address of health checks")?;
    listener
        .set_nonblocking(true)
        .context("cannot prepare the listener for health checks")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime that answers health checks")?;
    thread::Builder::new()
        .name("liveness".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            if let Err(error) = runtime.block_on(answer(listener, services)) {
                tracing::error!("health checks have stopped: {error:#}");
            }
        })
        .context("cannot start the thread that answers health checks")?;
    Ok(address)
}

async fn answer(listener: TcpListener, services: Services) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    server::serve(listener, services, Limits::default(), std::future::pending()).await?;
    Ok(())
}
