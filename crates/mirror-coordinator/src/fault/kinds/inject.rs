//! Faults that replace behaviours.

use mirror_spec::launch::Injection;
use mirror_spec::{InjectFault, InjectValidatorsFault, NodeSet};

use super::{FaultKind, Node};
use crate::fault::{ActiveFault, NodeState};

impl FaultKind for InjectFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(vec![NodeSet::Uids(self.inject.clone())])
    }

    fn shape(&self, node: &Node<'_>, fault: &ActiveFault, state: &mut NodeState) {
        let uids = node.uids.iter().filter(|uid| self.inject.contains(uid));
        let behaviours = || std::iter::once(&self.behaviour).chain(&self.over);
        state.injections.extend(uids.map(|uid| {
            Injection {
                id: fault.id.clone(),
                uid: *uid,
                group: self.inject.clone(),
                behaviours: node
                    .spec
                    .with_honest_bottom(*uid, behaviours().cloned().collect()),
            }
        }));
    }
}

impl FaultKind for InjectValidatorsFault {
    fn changed_nodes(&self) -> Option<Vec<NodeSet>> {
        Some(vec![NodeSet::Validators(self.inject_validators.clone())])
    }

    fn shape(&self, node: &Node<'_>, _fault: &ActiveFault, state: &mut NodeState) {
        if node.is_in(&[NodeSet::Validators(self.inject_validators.clone())]) {
            state.validator = Some(self.behaviour.clone());
        }
    }
}
