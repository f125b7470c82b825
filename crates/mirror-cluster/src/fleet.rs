//! Operations on many nodes: starts nodes and waits until all are ready, or stops them in order.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::{NodeSpec, Placement, PlacementError};

/// Maximum number of nodes between start and readiness. More would compete for the processors and exceed their
/// timeouts.
const STARTING_AT_ONCE: usize = 64;

/// Starts nodes and waits until all are ready, each at most `timeout` from its start. Returns their addresses in the
/// order of `nodes`.
///
/// # Errors
///
/// Returns the first error. The other nodes keep running: stop them with [`stop_in_order`].
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

/// Stops nodes wave by wave. The nodes of a wave stop concurrently. Each node has `grace` to shut down. Once `now` is
/// cancelled, all nodes are killed. Returns the errors.
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
