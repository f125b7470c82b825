//! The fault state of a node, which the coordinator changes while the node runs. The service answers on the thread of
//! the health checks, so a busy node applies a new state at once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror_net::server::{Callers, Services};
use mirror_net::tls::Identity;
use mirror_proto::mirror::v1::node_control_server::{NodeControl, NodeControlServer};
use mirror_proto::mirror::v1::{FaultState, FaultStateApplied};
use mirror_proto::protocol::{COORDINATOR, FAULT_STATE_LIMIT};
use mirror_telemetry::clock;
use tonic::{Request, Response, Status};

/// Handles a new fault state. Returns once it is in effect, or with the reason why it cannot be applied.
type Handler = Box<dyn Fn(&FaultState) -> Result<(), String> + Send>;

/// The fault state of this node.
///
/// The node applies the offset of its clock itself. For the rest, its role registers a handler with
/// [`on_apply`](Self::on_apply).
#[derive(Clone, Default)]
pub struct Control(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    state: FaultState,
    handler: Option<Handler>,
}

impl Control {
    /// Registers the handler of new fault states, in place of an earlier one. If a state is already in effect, the
    /// handler receives it before this function returns.
    ///
    /// Later states reach the handler on the thread of the health checks, one at a time. It must return once the state
    /// is in effect, and soon, because the node does not answer health checks meanwhile.
    ///
    /// # Errors
    /// Returns the handler's error about the state in effect. The handler is then not registered.
    pub fn on_apply(
        &self,
        handler: impl Fn(&FaultState) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let mut inner = self.lock();
        if inner.state.revision > 0 {
            handler(&inner.state)?;
        }
        inner.handler = Some(Box::new(handler));
        Ok(())
    }

    /// Applies a state, unless its revision is not above the one in effect. Returns the revision in effect.
    ///
    /// # Errors
    /// Returns the reason why the state cannot be applied. The previous state then remains in effect.
    fn apply(&self, state: FaultState) -> Result<u64, String> {
        let mut inner = self.lock();
        if state.revision > inner.state.revision {
            clock::check_skew(state.clock_skew).map_err(|error| error.to_string())?;
            if let Some(handler) = &inner.handler {
                handler(&state)?;
            }
            clock::set_skew(state.clock_skew).map_err(|error| error.to_string())?;
            tracing::info!(revision = state.revision, "applied a fault state");
            inner.state = state;
        }
        Ok(inner.state.revision)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state is replaced only after a handler has returned, so a handler that panicked left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// The service that changes the fault state.
struct ControlService(Control);

/// Returns the service that changes the fault state, which admits only the coordinator.
pub(crate) fn services(control: Control, identity: Identity) -> Services {
    let service =
        NodeControlServer::new(ControlService(control)).max_decoding_message_size(FAULT_STATE_LIMIT);
    Services::new(Some(identity)).only(Callers::Named(&[COORDINATOR]), service)
}

#[tonic::async_trait]
impl NodeControl for ControlService {
    async fn apply(&self, request: Request<FaultState>) -> Result<Response<FaultStateApplied>, Status> {
        match self.0.apply(request.into_inner()) {
            Ok(revision) => Ok(Response::new(FaultStateApplied { revision })),
            Err(reason) => Err(Status::invalid_argument(reason)),
        }
    }
}
