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
    /// Whether a fault by the clock has stopped nodes or connections in this run.
    is_untimed: bool,
}

/// The state that a node is to have.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a separate property of the node"
)]
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
    /// Whether a fault by the clock has stopped nodes or connections in this run, so that another run may not repeat
    /// which calls fail.
    pub(crate) is_untimed: bool,
    /// The behaviour that replaces that of a validator.
    pub(crate) validator: Option<ValidatorBehaviour>,
}

impl Active {
    /// Adds a fault. Returns `false` if too many are in effect.
    pub(crate) fn begin(&mut self, fault: ActiveFault) -> bool {
        if self.faults.len() >= MAX_ACTIVE {
            return false;
        }
        let acts_on_calls = matches!(fault.fault, Fault::Link(_));
        self.is_untimed |= fault.by_clock && !acts_on_calls || fault.fault.is_on_the_wire();
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
        state.is_untimed = self.is_untimed && !node.is_chain;
        let mut rules: Vec<&ActiveFault> = Vec::new();
        for fault in &self.faults {
            match &fault.fault {
                Fault::Link(_) => rules.push(fault),
                other => each_fault!(other, |kind| kind.shape(&node, fault, &mut state)),
            }
        }
        rules.sort_by_key(|fault| fault.occurrence);
        for fault in rules {
            each_fault!(&fault.fault, |kind| kind.shape(&node, fault, &mut state));
        }
        if node.is_outside() {
            state.take_message(&NodeState::default());
        }
        state
    }
}

impl NodeState {
    /// Returns whether the part of the state that the node itself puts into effect is the same.
    pub(crate) fn has_same_message(&self, other: &Self) -> bool {
        self.clock_skew == other.clock_skew
            && self.rules == other.rules
            && self.injections == other.injections
            && self.validator == other.validator
            && self.is_untimed == other.is_untimed
    }

    /// Copies the part of the state that the node itself puts into effect.
    pub(crate) fn take_message(&mut self, from: &Self) {
        self.clock_skew = from.clock_skew;
        self.rules.clone_from(&from.rules);
        self.injections.clone_from(&from.injections);
        self.validator.clone_from(&from.validator);
        self.is_untimed = from.is_untimed;
    }

    /// Returns the part of the state that the node itself puts into effect.
    pub(crate) fn message(&self, revision: u64) -> FaultState {
        let json = |value: serde_json::Result<Vec<u8>>| value.expect("rules and behaviours are valid JSON");
        FaultState {
            revision,
            clock_skew: self.clock_skew,
            untimed: self.is_untimed,
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
