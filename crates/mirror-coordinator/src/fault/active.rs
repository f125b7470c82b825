//! The faults in effect, and the state of a node that follows from them.

use std::net::IpAddr;
use std::time::Duration;

use mirror_proto::mirror::v1::{FaultState, WireRule};
use mirror_spec::launch::{Injection, LinkRule};
use mirror_spec::{Fault, ValidatorBehaviour, each_fault};

use super::kinds::{FaultKind, Node, wire};
use super::schedule::Occurrence;
use crate::network_spec::NetworkSpec;

/// Maximum number of faults that can be in effect together.
pub(crate) const MAX_ACTIVE: usize = 1_024;

/// A fault in effect.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActiveFault {
    pub(crate) occurrence: Occurrence,
    pub(crate) id: String,
    pub(crate) fault: Fault,
    /// The first step that the fault affects.
    pub(crate) from_step: u64,
    /// Whether the fault began by the clock, so that another run may affect other calls.
    pub(crate) by_clock: bool,
}

/// The faults in effect, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Active {
    faults: Vec<ActiveFault>,
}

/// The state that a node is to have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NodeState {
    /// Whether the node is not to run.
    pub(crate) is_dead: bool,
    /// The time from the readiness of the node until it is killed again. `None` without a crash loop.
    pub(crate) crash_loop: Option<Duration>,
    pub(crate) is_paused: bool,
    /// Share of one processor. `None` without a limit.
    pub(crate) cpu: Option<f64>,
    /// Bytes of memory. `None` without a limit.
    pub(crate) memory: Option<u64>,
    pub(crate) has_full_disk: bool,
    /// Difference of the node's clock to the true time in seconds.
    pub(crate) clock_skew: f64,
    /// The rules for the calls of the node.
    pub(crate) rules: Vec<LinkRule>,
    /// The behaviours that replace those of axons. The last one of an axon applies.
    pub(crate) injections: Vec<Injection>,
    /// The behaviour that replaces that of a validator.
    pub(crate) validator: Option<ValidatorBehaviour>,
}

impl Active {
    /// Adds a fault. Returns `false` if too many are in effect.
    pub(crate) fn begin(&mut self, fault: ActiveFault) -> bool {
        if self.faults.len() >= MAX_ACTIVE {
            return false;
        }
        self.faults.push(fault);
        true
    }

    /// Removes and returns a fault. `None` if it is not in effect.
    pub(crate) fn end(&mut self, occurrence: Occurrence) -> Option<ActiveFault> {
        let position = self
            .faults
            .iter()
            .position(|fault| fault.occurrence == occurrence)?;
        Some(self.faults.remove(position))
    }

    /// Returns the faults in effect, in the order in which they began.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ActiveFault> {
        self.faults.iter()
    }

    /// Returns the rules of the proxy. `source` returns the address from which the connections of a node come.
    pub(crate) fn wire_rules(
        &self,
        spec: &NetworkSpec,
        source: &dyn Fn(&str) -> Option<IpAddr>,
    ) -> Vec<WireRule> {
        let ends = wire::Ends { spec, source };
        self.faults
            .iter()
            .flat_map(|fault| wire::rules(fault, &ends))
            .collect()
    }

    /// Returns the state that a node is to have.
    pub(crate) fn state_of(&self, node: &str, spec: &NetworkSpec) -> NodeState {
        let mut state = NodeState::default();
        let Some(node) = Node::named(node, spec) else {
            return state;
        };
        for fault in &self.faults {
            each_fault!(&fault.fault, |kind| kind.shape(&node, fault, &mut state));
        }
        state.rules.sort_by_cached_key(|rule| {
            let position = self.faults.iter().find(|fault| fault.id == rule.id);
            position.map(|fault| fault.occurrence)
        });
        state
    }
}

impl NodeState {
    /// Returns the part of the state that the node itself puts into effect.
    pub(crate) fn message(&self, revision: u64) -> FaultState {
        let json = |value: serde_json::Result<Vec<u8>>| value.expect("rules and behaviours are valid JSON");
        FaultState {
            revision,
            clock_skew: self.clock_skew,
            rules: json(serde_json::to_vec(&self.rules)),
            injections: match &self.validator {
                Some(behaviour) => json(serde_json::to_vec(behaviour)),
                None if self.injections.is_empty() => Vec::new(),
                None => json(serde_json::to_vec(&self.injections)),
            },
        }
    }
}

/// Returns the names of the nodes whose state a fault changes.
pub(crate) fn nodes_of(fault: &Fault, spec: &NetworkSpec) -> Vec<String> {
    let sets = each_fault!(fault, |kind| kind.changed_nodes());
    match sets {
        Some(sets) => spec.nodes_of(&sets).into_iter().collect(),
        None => spec.all_nodes(),
    }
}
