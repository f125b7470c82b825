//! Faults that limit resources: processor, memory, disk.

use mirror_spec::{DiskFullFault, LimitFault, NodeSet};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

impl FaultKind for LimitFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.limit.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        if node.is_in(&self.limit) {
            state.cpu = self.cpu.or(state.cpu);
            state.memory = self.memory.map(|memory| memory.0).or(state.memory);
        }
    }
}

impl FaultKind for DiskFullFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.disk_full.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        state.has_full_disk |= node.is_in(&self.disk_full);
    }
}
