//! Answers gRPC health checks on a thread of its own, with a listener and a runtime of its own, so that a node that is
//! busy (a long forward of a model, native code) is told apart from one that has hung.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use anyhow::Context;
use mirror_net::server::{self, Limits};
use tonic::service::Routes;

/// Stack of the thread: there is one in each of a thousand miners.
const STACK: usize = 256 << 10;

/// Starts the thread and says where it answers: beside the address `beside`, on a port that the kernel gives.
pub(crate) fn start(beside: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((beside.ip(), 0))
        .with_context(|| format!("cannot listen for health checks on {}", beside.ip()))?;
    let address = listener
        .local_addr()
        .context("cannot tell where health checks are answered")?;
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
            if let Err(error) = runtime.block_on(answer(listener)) {
                tracing::error!("health checks are not answered any more: {error:#}");
            }
        })
        .context("cannot start the thread that answers health checks")?;
    Ok(address)
}

async fn answer(listener: TcpListener) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    server::serve(
        listener,
        Routes::default(),
        Limits::default(),
        std::future::pending(),
    )
    .await?;
    Ok(())
}
