//! Faults that the proxy carries out: they change no node.

use mirror_spec::{NodeSet, PartitionFault, WireFault};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

impl FaultKind for WireFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(Vec::new())
    }

    fn shape(&self, _node: &Node<'_>, _fault: &ActiveFault, _state: &mut NodeState) {}
}

impl FaultKind for PartitionFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(Vec::new())
    }

    fn shape(&self, _node: &Node<'_>, _fault: &ActiveFault, _state: &mut NodeState) {}
}
