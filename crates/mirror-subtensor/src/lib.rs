//! The chain's node: [`mirror_chain::Chain`] behind gRPC, with a log that makes acknowledged changes durable.
//!
//! One task owns the chain, the barrier and the log. Calls reach it through a channel and are processed in batches. The
//! changes of a batch are written to the log with one write to the operating system before any call of the batch is
//! answered. A node that finds a log in the folder of its launch config continues from it: it loads the genesis or a
//! snapshot and replays the remaining records, which restores the state that was acknowledged last. The folder of the
//! log also contains the history, every version of the metagraph, so that only the latest versions stay in memory.
//!
//! With `block_time: per_step` the validators' barrier closes blocks, otherwise the clock does. The clock starts with
//! `Begin`, or with the node if the chain has begun already, and never catches up: blocks are at least the block time
//! apart.

mod admission;
mod barrier;
mod history;
mod launch;
mod ledger;
mod log;
mod node;
mod reports;
mod service;
mod wire;

use anyhow::Context;
use mirror_net::server::{self, Limits};
use mirror_net::tracer::Tracer;
use mirror_node::Control;
use mirror_node::reporter::DRAIN_TIMEOUT;
use mirror_proto::mirror::v1::Hello;
use mirror_seed::Seed;
use mirror_spec::launch::{Launch, SubtensorLaunch};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::reports::Reports;

/// Serves the chain on `listener` until `shutdown` is cancelled, continuing from the log in the folder of its launch
/// config.
///
/// # Errors
/// Returns an error if the launch config is inconsistent, if the log is damaged or has another genesis, if the log
/// cannot be written (the node ends rather than acknowledge a change that is not durable), or if the records of its
/// blocks cannot be sent to the coordinator.
pub async fn serve(
    launch: Launch<SubtensorLaunch>,
    listener: TcpListener,
    shutdown: CancellationToken,
    _control: Control,
) -> anyhow::Result<()> {
    let Launch {
        node,
        incarnation,
        seed,
        credentials,
        role,
        ..
    } = launch;
    let identity = mirror_node::identity(&credentials)?;
    let reporters = launch::reporters(&role)?;
    let clock = launch::clock(&role)?;
    let (ledger, log) = log::open(&role)?;
    tracing::info!(
        block = ledger.chain().block().0,
        neurons = ledger.chain().metagraph().neurons.len(),
        state = %ledger.chain().state_hash(),
        "opened the chain"
    );
    let tracer = Tracer::new(&Seed::root(seed), &node, incarnation).identified(identity.clone());
    let hello = Hello { node, incarnation };
    let recorded = role.coordinator.zip(log.unreported().cloned());
    let (reports, stream) = recorded
        .map(|(coordinator, unreported)| Reports::open(coordinator, tracer, hello, unreported))
        .unzip();
    let ending = shutdown.child_token();
    let (handle, node) = node::new(ledger, Seed::root(seed), log, clock, reports);
    let services = service::services(handle, reporters, identity, ending.clone());
    let ends_the_server = ending.clone().drop_guard();
    let node = tokio::spawn(async move {
        let _ends_the_server = ends_the_server;
        node.run().await
    });
    let reporting = tokio::spawn(async move {
        match stream {
            Some(stream) => stream.work().await,
            None => Ok(()),
        }
    });
    server::serve(listener, services, Limits::chain(), ending.cancelled_owned())
        .await
        .context("cannot serve")?;
    let ends = async {
        let ran = node.await.context("the node's task failed")?;
        let reported = reporting.await.context("the report task failed")?;
        reported.context("cannot report to the coordinator")?;
        ran
    };
    let ended = tokio::time::timeout(DRAIN_TIMEOUT, ends).await;
    ended.context("the coordinator did not acknowledge the last records in time")?
}
