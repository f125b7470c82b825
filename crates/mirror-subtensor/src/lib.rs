//! The chain as a node: [`mirror_chain::Chain`] behind gRPC, with a log that makes what was acknowledged durable.
//!
//! One task owns the chain, the barrier and the log; calls reach it through a channel and are worked off in batches.
//! What a batch changed is in the log, by one write to the operating system, before any of it is answered. A node that
//! finds a log where its launch description says continues from it: it begins with the genesis or a snapshot, and
//! replaying the other records leads to the state that was acknowledged last. Beside the log is the history, every
//! version of the metagraph, so that memory holds the last ones only.
//!
//! With `block_time: per_step` blocks close at the validators' barrier, else by the clock. The clock starts
//! with `Begin`, or with the node if that has begun before, and never catches up: blocks are at least the block time
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
use mirror_node::reporter::DRAIN_TIMEOUT;
use mirror_proto::mirror::v1::Hello;
use mirror_seed::Seed;
use mirror_spec::launch::{Launch, SubtensorLaunch};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::reports::Reports;

/// Serves the chain on `listener` until `shutdown` is cancelled, continuing from the log in its launch description's
/// folder.
///
/// # Errors
/// A launch description that contradicts itself, a log that is damaged or of another genesis, and a log that cannot be
/// written any more: the node ends rather than acknowledge what it cannot keep. Likewise when it cannot tell the
/// coordinator what became of its blocks.
pub async fn serve(
    launch: Launch<SubtensorLaunch>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Launch {
        node,
        incarnation,
        seed,
        role,
        ..
    } = launch;
    let clock = launch::clock(&role)?;
    let (ledger, log) = log::open(&role)?;
    tracing::info!(
        block = ledger.chain().block().0,
        neurons = ledger.chain().metagraph().neurons.len(),
        state = %ledger.chain().state_hash(),
        "the chain stands"
    );
    let tracer = Tracer::new(&Seed::root(seed), &node, incarnation);
    let hello = Hello { node, incarnation };
    let recorded = role.coordinator.zip(log.unreported().cloned());
    let (reports, desk) = recorded
        .map(|(coordinator, unreported)| Reports::open(coordinator, tracer, hello, unreported))
        .unzip();
    let ending = shutdown.child_token();
    let (handle, node) = node::new(ledger, log, clock, reports);
    let routes = service::routes(handle, ending.clone());
    let ends_the_server = ending.clone().drop_guard();
    let node = tokio::spawn(async move {
        let _ends_the_server = ends_the_server;
        node.run().await
    });
    let reporting = tokio::spawn(async move {
        match desk {
            Some(desk) => desk.work().await,
            None => Ok(()),
        }
    });
    server::serve(listener, routes, Limits::default(), ending.cancelled_owned())
        .await
        .context("cannot serve")?;
    let ends = async {
        let ran = node.await.context("the node's task failed")?;
        let reported = reporting.await.context("the reporter broke down")?;
        reported.context("the chain cannot report")?;
        ran
    };
    let ended = tokio::time::timeout(DRAIN_TIMEOUT, ends).await;
    ended.context("the coordinator did not acknowledge the last records")?
}
