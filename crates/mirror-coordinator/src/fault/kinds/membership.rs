//! Faults that change which miners the network has.

use mirror_spec::{JoinFault, LeaveFault, NodeSet};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

/// The orchestrator registers and starts the new miners.
impl FaultKind for JoinFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(Vec::new())
    }

    fn shape(&self, _node: &Node<'_>, _fault: &ActiveFault, _state: &mut NodeState) {}
}

impl FaultKind for LeaveFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.leave.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        state.is_dead |= node.is_in(&self.leave);
    }
}
