//! Health checks of nodes, so that a node that hangs is detected and named.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mirror_cluster::supervise::{Health, Watch, WatchTimes};
use mirror_cluster::{HealthProbe, Liveness, Placement};
use tokio::sync::{Semaphore, mpsc};

/// Maximum number of concurrent health checks, over all nodes.
const CHECKS_AT_ONCE: usize = 64;

/// Checks nodes at the given intervals, with a limit on concurrent checks.
#[derive(Clone)]
pub(crate) struct Watcher {
    times: WatchTimes,
    turns: Arc<Semaphore>,
}

/// The target of a watch.
pub(crate) enum WatchedNode<P> {
    /// A node of a placement, by name.
    Node(Arc<P>, String),
    /// A chain that the run did not start.
    RunningChain(HealthProbe),
}

/// The latest period in which the subtensor was known to be unreachable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage(Arc<Mutex<OutageState>>);

#[derive(Debug, Default)]
struct OutageState {
    lasts: bool,
    ended: Option<Instant>,
}

impl Watcher {
    pub(crate) fn new(hang_timeout: Duration) -> Self {
        Self {
            times: WatchTimes::new(hang_timeout),
            turns: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        }
    }

    /// Watches a node that is ready, until it hangs or can no longer be watched. Sends each change of its health as the
    /// event that `event` makes of it.
    pub(crate) async fn watch<P: Placement, N>(
        self,
        watched: WatchedNode<P>,
        events: mpsc::Sender<N>,
        event: impl Fn(Health) -> N,
    ) {
        let mut watch = Watch::new(self.times);
        loop {
            let paused = Instant::now();
            tokio::time::sleep(watch.pause()).await;
            let Ok(turn) = self.turns.acquire().await else {
                return;
            };
            watch.paused(paused.elapsed());
            let asked = Instant::now();
            let found = watched.check(self.times.deadline).await;
            drop(turn);
            let Some(health) = watch.checked(found, asked.elapsed()) else {
                continue;
            };
            let last = matches!(health, Health::Hung(_) | Health::Unwatched);
            if events.send(event(health)).await.is_err() || last {
                return;
            }
        }
    }
}

impl<P: Placement> WatchedNode<P> {
    /// Creates the target for a chain at `address` that the run did not start.
    pub(crate) fn running_chain(address: SocketAddr) -> Self {
        Self::RunningChain(HealthProbe::new(address))
    }

    async fn check(&self, deadline: Duration) -> Liveness {
        match self {
            Self::Node(placement, node) => placement.check_liveness(node, deadline).await,
            Self::RunningChain(probe) => probe.check(deadline).await,
        }
    }
}

impl Outage {
    /// Records that the subtensor is unreachable from now on.
    pub(crate) fn begins(&self) {
        self.state().lasts = true;
    }

    /// Records that the subtensor is reachable again.
    pub(crate) fn ends(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.lasts) {
            state.ended = Some(Instant::now());
        }
    }

    /// Returns whether the subtensor was unreachable at any time since `since`.
    pub(crate) fn touches(&self, since: Instant) -> bool {
        let state = self.state();
        state.lasts || state.ended.is_some_and(|ended| ended >= since)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, OutageState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_counts_while_it_lasts_and_for_waits_that_began_before_its_end() {
        let outage = Outage::default();
        let before = Instant::now();
        assert!(!outage.touches(before));
        outage.begins();
        assert!(outage.touches(Instant::now()));
        outage.ends();
        assert!(outage.touches(before));
        std::thread::sleep(Duration::from_millis(1));
        assert!(!outage.touches(Instant::now()));
    }
}
