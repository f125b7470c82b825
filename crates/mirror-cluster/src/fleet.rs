//! Many nodes at once: all started and ready, all ended in order.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::{NodeSpec, Placement, PlacementError};

/// Nodes that are between their start and their readiness at one time. More would compete for the processors and lose
/// their time in the queue.
const STARTING_AT_ONCE: usize = 64;

/// Starts nodes and waits until all are ready, each at most `timeout` from its own start. Their addresses come in the
/// order of `nodes`. At the first failure the others stay as they are: end them by [`stop_in_order`].
pub async fn start_all<P: Placement>(
    placement: &P,
    nodes: &[NodeSpec],
    timeout: Duration,
) -> Result<Vec<SocketAddr>, PlacementError> {
    stream::iter(nodes)
        .map(async |node| {
            placement.spawn(node).await?;
            placement.ready(&node.name, timeout).await
        })
        .buffered(STARTING_AT_ONCE)
        .try_collect()
        .await
}

/// Ends nodes, one wave after the other, those of a wave together. Each has `grace` to end by itself; once `now` is
/// cancelled none has any left. Returns what could not be done.
pub async fn stop_in_order<P: Placement>(
    placement: &P,
    waves: &[Vec<String>],
    grace: Duration,
    now: &CancellationToken,
) -> Vec<PlacementError> {
    let mut failures = Vec::new();
    for wave in waves {
        let endings = wave.iter().map(async |node| {
            tokio::select! {
                biased;
                () = now.cancelled() => placement.kill(node).await,
                ended = placement.stop(node, grace) => ended,
            }
        });
        failures.extend(join_all(endings).await.into_iter().filter_map(Result::err));
    }
    failures
}
