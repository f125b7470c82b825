//! The nodes of an agent.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mirror_cluster::local::LocalProcesses;
use mirror_cluster::{Exit, NodeSpec, Placement, PlacementError, ProcessState};
use tokio::sync::{mpsc, watch};

/// The nodes of an agent. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Nodes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    placement: LocalProcesses,
    nodes: Mutex<BTreeMap<String, Started>>,
    /// Held while a node is started.
    spawning: tokio::sync::Mutex<()>,
    /// Number of changes of any node's state.
    changes: watch::Sender<u64>,
    /// Number of sessions that a coordinator has begun, and whether the last one is open.
    session: watch::Sender<(u64, bool)>,
}

/// The last incarnation of a node.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) incarnation: u32,
    /// Number of requests to start this incarnation. After another request, its state is reported again.
    pub(crate) requests: u32,
    /// Its exit, once it has ended.
    pub(crate) exit: Option<Exit>,
}

impl Nodes {
    /// Takes the exits of the nodes of `placement`.
    pub(crate) fn start(placement: LocalProcesses, mut exits: mpsc::Receiver<Exit>) -> Self {
        let nodes = Self(Arc::new(Inner {
            placement,
            nodes: Mutex::default(),
            spawning: tokio::sync::Mutex::default(),
            changes: watch::Sender::new(0),
            session: watch::Sender::new((0, false)),
        }));
        let weak = Arc::downgrade(&nodes.0);
        tokio::spawn(async move {
            while let Some(exit) = exits.recv().await {
                let Some(inner) = weak.upgrade() else { return };
                let nodes = Self(inner);
                if let Some(started) = nodes.lock().get_mut(&exit.node)
                    && started.incarnation == exit.incarnation
                {
                    started.exit = Some(exit);
                }
                nodes.note_change();
            }
        });
        nodes
    }

    pub(crate) fn placement(&self) -> &LocalProcesses {
        &self.0.placement
    }

    /// Starts a node, unless this incarnation was started before.
    pub(crate) async fn spawn(&self, spec: &NodeSpec, incarnation: u32) -> Result<(), PlacementError> {
        let _turn = self.0.spawning.lock().await;
        if let Some(started) = self.lock().get_mut(&spec.name)
            && started.incarnation == incarnation
        {
            started.requests += 1;
            self.note_change();
            return Ok(());
        }
        let started = Started {
            incarnation,
            requests: 1,
            exit: None,
        };
        // Its exit may arrive before `spawn_as` returns.
        let before = self.lock().insert(spec.name.clone(), started);
        if let Err(error) = self.0.placement.spawn_as(spec, incarnation).await {
            let mut nodes = self.lock();
            match before {
                Some(before) => nodes.insert(spec.name.clone(), before),
                None => nodes.remove(&spec.name),
            };
            return Err(error);
        }
        if let Some(mut state) = self.0.placement.watch(&spec.name) {
            let changes = self.0.changes.clone();
            tokio::spawn(async move {
                while !matches!(*state.borrow_and_update(), ProcessState::Ended(_))
                    && state.changed().await.is_ok()
                {
                    changes.send_modify(|changes| *changes += 1);
                }
            });
        }
        self.note_change();
        Ok(())
    }

    /// Returns the last incarnation of each node that was started.
    pub(crate) fn all(&self) -> BTreeMap<String, Started> {
        self.lock().clone()
    }

    /// Returns whether this incarnation of a node is the last one.
    pub(crate) fn is_current(&self, node: &str, incarnation: u32) -> bool {
        self.lock()
            .get(node)
            .is_some_and(|started| started.incarnation == incarnation)
    }

    /// Returns the number of changes of any node's state, to wait for the next one.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn note_change(&self) {
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    /// Begins a session of the coordinator, which ends the previous one.
    pub(crate) fn begin_session(&self) -> Session {
        let mut number = 0;
        self.0.session.send_modify(|session| {
            *session = (session.0 + 1, true);
            number = session.0;
        });
        Session {
            number,
            session: self.0.session.clone(),
        }
    }

    /// Ends the session of the coordinator, which receives no more reports.
    pub(crate) fn end_session(&self) {
        drop(self.begin_session());
    }

    /// Waits until no session is open, at most for `time`. Returns whether the agent can take another run: the session
    /// has ended, and all nodes with it. The nodes of a coordinator that has lost its connection still run.
    pub(crate) async fn is_free_within(&self, time: Duration) -> bool {
        let mut session = self.0.session.subscribe();
        let ended = session.wait_for(|(_, is_open)| !is_open);
        let has_ended = tokio::time::timeout(time, ended).await.is_ok();
        has_ended && self.lock().values().all(|started| started.exit.is_some())
    }

    /// Kills all nodes that are not in `running`.
    pub(crate) async fn kill_others(&self, running: &[String]) {
        let nodes = self.all();
        for node in nodes.keys().filter(|node| !running.contains(node)) {
            if let Err(error) = self.0.placement.kill(node).await {
                tracing::warn!("{error}");
            }
        }
    }

    /// Waits until the coordinator has been away for `absence` since it left.
    pub(crate) async fn abandoned(&self, absence: Duration) {
        let mut session = self.0.session.subscribe();
        loop {
            let left = session.wait_for(|(number, is_open)| *number > 0 && !is_open);
            if left.await.is_err() {
                pending::<()>().await;
            }
            let returned = session.wait_for(|(_, is_open)| *is_open);
            if tokio::time::timeout(absence, returned).await.is_err() {
                return;
            }
        }
    }

    /// Stops all nodes, concurrently.
    pub(crate) async fn stop_all(&self, grace: Duration) {
        let nodes = self.all();
        let waves = [nodes.into_keys().collect()];
        let now = tokio_util::sync::CancellationToken::new();
        for error in mirror_cluster::fleet::stop_in_order(&self.0.placement, &waves, grace, &now).await {
            tracing::warn!("{error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Started>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session of the coordinator. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    number: u64,
    session: watch::Sender<(u64, bool)>,
}

impl Session {
    /// Waits until another session has begun.
    pub(crate) async fn replaced(&self) {
        let mut session = self.session.subscribe();
        let number = self.number;
        // The sender is a field, so it exists.
        let _ = session.wait_for(|(current, _)| *current > number).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.session.send_modify(|(current, is_open)| {
            if *current == self.number {
                *is_open = false;
            }
        });
    }
}
