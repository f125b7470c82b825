//! The kinds of faults. Each has a file, which states how it changes the state of a node.

mod clock;
mod inject;
mod limit;
mod link;
mod membership;
mod process;
pub(super) mod wire;

use mirror_spec::NodeSet;

use super::{ActiveFault, NodeState};
use crate::network_spec::{self, NetworkSpec, SUBTENSOR};

/// A node whose state is determined.
pub(crate) struct Node<'a> {
    pub(crate) spec: &'a NetworkSpec,
    /// The uids that the node hosts. Empty for the chain.
    pub(crate) uids: Vec<u32>,
    pub(crate) is_chain: bool,
}

/// The effect of a kind of fault.
pub(crate) trait FaultKind {
    /// Returns the sets of nodes whose state the fault changes. `None` for all nodes.
    fn changed_nodes(&self) -> Option<Vec<NodeSet>>;

    /// Changes the state of `node` as the fault requires. `fault` is the fault in effect.
    fn shape(&self, node: &Node<'_>, fault: &ActiveFault, state: &mut NodeState);
}

impl<'a> Node<'a> {
    /// Returns the node with this name. `None` if there is none.
    pub(crate) fn named(name: &str, spec: &'a NetworkSpec) -> Option<Self> {
        let is_chain = name == SUBTENSOR;
        let uids = if is_chain {
            Vec::new()
        } else if let Some(index) = network_spec::validator_index(name) {
            vec![spec.validator_uid(index)?]
        } else {
            spec.uids_of_process(name)
        };
        Some(Self { spec, uids, is_chain })
    }

    /// Returns whether the node is a program of others, which puts no part of its state into effect itself.
    pub(crate) fn is_outside(&self) -> bool {
        self.uids.iter().any(|uid| self.spec.outside(*uid).is_some())
    }

    /// Returns whether one of these sets contains the node.
    pub(crate) fn is_in(&self, sets: &[NodeSet]) -> bool {
        self.is_chain && sets.contains(&NodeSet::Chain) || !self.uids_in(sets).is_empty()
    }

    /// Returns the uids of the node in these sets.
    pub(crate) fn uids_in(&self, sets: &[NodeSet]) -> Vec<u32> {
        let named = self.spec.uids_of(sets);
        self.uids
            .iter()
            .copied()
            .filter(|uid| named.contains(uid))
            .collect()
    }
}
