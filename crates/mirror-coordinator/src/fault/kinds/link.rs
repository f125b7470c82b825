//! The fault that disturbs single calls.

use mirror_spec::launch::LinkRule;
use mirror_spec::{LinkFault, NodeSet, Uids};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

impl FaultKind for LinkFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        self.link.from.clone()
    }

    fn shape(&self, node: &Node<'_>, fault: &ActiveFault, state: &mut NodeState) {
        let callers = self.link.from.as_ref().map(|from| node.uids_in(from));
        if node.is_chain || callers.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        // Calls of all uids of the process need no condition.
        let callers = callers.filter(|callers| callers.len() < node.uids.len());
        let called = node.spec.uids_of(&self.link.to);
        state.rules.push(LinkRule {
            id: fault.id.clone(),
            callers: callers.and_then(uids),
            to: uids(called),
            to_chain: self.link.to.contains(&NodeSet::Chain),
            from_step: fault.from_step,
            by_clock: fault.by_clock,
            effects: self.effects.clone(),
        });
    }
}

/// Returns the set of these uids, which are in ascending order. `None` if there are none.
fn uids(uids: impl IntoIterator<Item = u32>) -> Option<Uids> {
    Uids::of_ranges(uids.into_iter().map(|uid| uid..=uid)).ok()
}
