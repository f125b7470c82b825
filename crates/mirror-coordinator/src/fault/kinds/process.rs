//! Faults that stop processes: kill, crash loop, pause.

use std::time::Duration;

use mirror_spec::{CrashLoopFault, KillFault, NodeSet, PauseFault};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

impl FaultKind for KillFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.kill.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        state.is_dead |= node.is_in(&self.kill);
    }
}

impl FaultKind for CrashLoopFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.crash_loop.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        if node.is_in(&self.crash_loop) {
            state.crash_loop = Some(Duration::try_from_secs_f64(self.up).unwrap_or_default());
        }
    }
}

impl FaultKind for PauseFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(self.pause.clone())
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        state.is_paused |= node.is_in(&self.pause);
    }
}
