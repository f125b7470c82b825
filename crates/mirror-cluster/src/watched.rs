//! The state of one node as its placement sees it, independent of where the node runs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mirror_spec::launch::Listening;
use tokio::sync::watch;

use crate::readiness::ReadySign;
use crate::{HealthProbe, LastLog, Liveness, NodeLimits, NodeState, PlacementError, Status};

/// Initial and maximum pause between two checks of a node that is not ready. The pause doubles each time.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// The state of the process of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessState {
    /// The process has not reported its listen address.
    Starting,
    /// The process listens.
    Listening(Listening),
    /// The process printed this in place of its listen address.
    BadHandshake(String),
    /// The process has ended.
    Ended(Status),
}

/// A node that was started.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Whether it is a foreign program.
    foreign: bool,
    state: watch::Receiver<ProcessState>,
    /// Whether the placement has paused it.
    paused: AtomicBool,
    /// Whether it was paused at any time since [`take_was_paused`](Self::take_was_paused).
    was_paused: AtomicBool,
    limits: Mutex<NodeLimits>,
    /// Sends health checks, once the node has reported its address for them.
    health: OnceLock<HealthProbe>,
}

impl Watched {
    pub(crate) fn new(foreign: bool, state: watch::Receiver<ProcessState>) -> Self {
        Self {
            foreign,
            state,
            paused: AtomicBool::new(false),
            was_paused: AtomicBool::new(false),
            limits: Mutex::default(),
            health: OnceLock::new(),
        }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.was_paused.store(true, Ordering::Relaxed);
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Returns whether the node was paused at any time since the previous call.
    fn take_was_paused(&self) -> bool {
        self.was_paused.swap(self.is_paused(), Ordering::Relaxed)
    }

    pub(crate) fn set_limits(&self, limits: NodeLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Returns the limits in effect.
    pub(crate) fn limits(&self) -> NodeLimits {
        if self.has_ended() {
            return NodeLimits::default();
        }
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state of the node for people, and its listen address. `None` if it has not reported it or has ended.
    pub(crate) fn seen(&self) -> (NodeState, Option<SocketAddr>) {
        // The borrow is a lock, which `address` takes again.
        let state = self.state.borrow().clone();
        match state {
            ProcessState::Ended(status) => (NodeState::Ended(status), None),
            _ if self.is_paused() => (NodeState::Paused, self.address()),
            ProcessState::Listening(listening) => (NodeState::Running, Some(listening.address)),
            ProcessState::Starting | ProcessState::BadHandshake(_) => (NodeState::Starting, None),
        }
    }

    fn listening(&self) -> Option<Listening> {
        match *self.state.borrow() {
            ProcessState::Listening(listening) => Some(listening),
            ProcessState::Starting | ProcessState::BadHandshake(_) | ProcessState::Ended(_) => None,
        }
    }

    /// Returns the listen address. `None` unless the node listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listening().map(|listening| listening.address)
    }

    /// Returns the address of the node's control service. `None` for a foreign program, and unless the node listens.
    pub(crate) fn control(&self) -> Option<SocketAddr> {
        let listening = self.listening().filter(|_| !self.foreign)?;
        Some(listening.liveness)
    }

    /// Returns the health probe of the node. `None` before it has reported its listen address and after it has ended.
    fn health(&self) -> Option<HealthProbe> {
        let listening = self.listening()?;
        let probe = || HealthProbe::new(listening.liveness);
        Some(self.health.get_or_init(probe).clone())
    }

    pub(crate) fn state(&self) -> watch::Receiver<ProcessState> {
        self.state.clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.state.borrow(), ProcessState::Ended(_))
    }

    /// Returns a check of the node's liveness, which borrows nothing.
    pub(crate) fn liveness_check(&self) -> LivenessCheck {
        match (self.is_paused(), self.health()) {
            (true, _) => LivenessCheck::Paused,
            (false, Some(probe)) => LivenessCheck::Ask(probe),
            (false, None) => LivenessCheck::Unwatched,
        }
    }

    /// Corrects the result of a check by what has happened since it began: the time of a pause is not the node's
    /// silence.
    pub(crate) fn corrected(&self, found: Liveness) -> Liveness {
        let was_paused = self.take_was_paused();
        if found == Liveness::Silent && was_paused {
            return Liveness::Paused;
        }
        found
    }

    /// Returns the means to wait until the node is ready, which borrow nothing.
    pub(crate) fn readiness(&self) -> Readiness {
        Readiness {
            state: self.state(),
            sign: if self.foreign {
                ReadySign::Connection
            } else {
                ReadySign::Health
            },
        }
    }
}

/// A check of a node's liveness.
pub(crate) enum LivenessCheck {
    Paused,
    Unwatched,
    Ask(HealthProbe),
}

impl LivenessCheck {
    pub(crate) async fn make(self, deadline: Duration) -> Liveness {
        match self {
            Self::Paused => Liveness::Paused,
            Self::Unwatched => Liveness::Unwatched,
            Self::Ask(probe) => probe.check(deadline).await,
        }
    }
}

/// The means to wait until a node is ready.
pub(crate) struct Readiness {
    state: watch::Receiver<ProcessState>,
    sign: ReadySign,
}

impl Readiness {
    /// Waits at most `timeout` until the node is ready, and returns its address.
    ///
    /// # Errors
    ///
    /// Returns an error if the node ends, is not a node of this project, or is not ready in time.
    pub(crate) async fn wait(
        mut self,
        node: &str,
        timeout: Duration,
        last_log: impl Fn() -> LastLog,
    ) -> Result<SocketAddr, PlacementError> {
        let node = || node.to_owned();
        let mut reason = "it has not reported its listen address".to_owned();
        match tokio::time::timeout(timeout, self.until_ready(&mut reason)).await {
            Ok(ProcessState::Listening(listening)) => Ok(listening.address),
            Ok(ProcessState::Ended(status)) => Err(PlacementError::Ended {
                node: node(),
                status,
                last_log: last_log(),
            }),
            Ok(ProcessState::BadHandshake(written)) => Err(PlacementError::BadHandshake {
                node: node(),
                written,
                last_log: last_log(),
            }),
            Ok(ProcessState::Starting) | Err(_) => Err(PlacementError::NotReady {
                node: node(),
                timeout,
                reason,
                last_log: last_log(),
            }),
        }
    }

    /// Waits until the node shows its sign ([`ProcessState::Listening`]) or can no longer become ready. Stores in
    /// `reason` why it is not ready yet.
    async fn until_ready(&mut self, reason: &mut String) -> ProcessState {
        let said = latest(&mut self.state, |state| *state != ProcessState::Starting).await;
        let ProcessState::Listening(listening) = said else {
            return said;
        };
        let sign = self.sign;
        let serving = async {
            let (mut pause, longest) = LOOK_AGAIN;
            while let Err(unready) = sign.check(listening.address).await {
                *reason = unready.to_string();
                tokio::time::sleep(pause).await;
                pause = longest.min(pause * 2);
            }
        };
        tokio::select! {
            () = serving => ProcessState::Listening(listening),
            end = latest(&mut self.state, |state| matches!(state, ProcessState::Ended(_))) => end,
        }
    }
}

/// Waits until a node has ended, and returns its exit status.
pub(crate) async fn ended(state: &mut watch::Receiver<ProcessState>) -> Status {
    match latest(state, |state| matches!(state, ProcessState::Ended(_))).await {
        ProcessState::Ended(status) => status,
        ProcessState::Starting | ProcessState::Listening(_) | ProcessState::BadHandshake(_) => {
            Status::Unknown
        }
    }
}

/// Waits for the first state for which `wanted` returns true. If no state can follow, the node has ended.
async fn latest(
    state: &mut watch::Receiver<ProcessState>,
    wanted: impl FnMut(&ProcessState) -> bool,
) -> ProcessState {
    match state.wait_for(wanted).await {
        Ok(state) => state.clone(),
        Err(_) => ProcessState::Ended(Status::Unknown),
    }
}
