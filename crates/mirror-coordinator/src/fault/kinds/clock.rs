//! The fault that shifts the clock of a node.

use mirror_spec::{ClockFault, NodeSet};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

impl FaultKind for ClockFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.clock.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        if node.is_in(&self.clock) {
            state.clock_skew = self.skew;
        }
    }
}
