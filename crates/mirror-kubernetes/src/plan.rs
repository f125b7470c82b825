//! The pods of a run: which there are, and which node each of them runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{RunName, part};

/// A node that a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name of the node.
    pub node: String,
    /// Kind of the node.
    pub component: Component,
    /// Label of the node in the tables of the run.
    pub label: String,
    /// Number of axons. 0 if it is no miner.
    pub axons: u32,
}

/// The kinds of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The coordinator.
    Coordinator,
    /// The node of the chain.
    Subtensor,
    /// The proxy.
    Proxy,
    /// A validator.
    Validator,
    /// A process of miners.
    Miner,
}

impl Component {
    /// Returns the word for it in labels and names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Subtensor => "subtensor",
            Self::Proxy => "proxy",
            Self::Validator => "validator",
            Self::Miner => "miner",
        }
    }
}

/// The pods of one stateful set, each of which runs one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name of the stateful set.
    pub name: String,
    /// Kind of the nodes.
    pub component: Component,
    /// Label of the nodes in the tables of the run.
    pub label: String,
    /// The node of each pod, by the number of the pod.
    pub nodes: Vec<String>,
    /// Number of axons of the node that has most.
    pub axons: u32,
}

impl Group {
    /// Returns the name of a pod.
    fn pod(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }
}

/// The pods of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Name of the run.
    pub run: RunName,
    /// The stateful sets: the chain, the proxy, the validators, and the miners by label.
    pub groups: Vec<Group>,
}

impl Plan {
    /// Assigns each node a pod of its own. Miners with the same label are in one stateful set.
    pub fn new(run: RunName, members: Vec<Member>) -> Self {
        let mut groups: BTreeMap<(Component, String), Group> = BTreeMap::new();
        for member in members {
            let name = match member.component {
                Component::Miner => format!("miner-{}", part(&member.label)),
                other => other.as_str().to_owned(),
            };
            let key = (member.component, name.clone());
            let group = groups.entry(key).or_insert_with(|| Group {
                name: run.object(&name),
                component: member.component,
                label: member.label,
                nodes: Vec::new(),
                axons: 0,
            });
            group.axons = group.axons.max(member.axons);
            group.nodes.push(member.node);
        }
        Self {
            run,
            groups: groups.into_values().collect(),
        }
    }

    /// Returns the number of pods with nodes.
    pub fn pods(&self) -> usize {
        self.groups.iter().map(|group| group.nodes.len()).sum()
    }

    /// Returns the nodes that resume from files of their pods, so that they need the same pods after a restart.
    pub fn nodes_with_state(&self) -> BTreeSet<String> {
        let groups = self.groups.iter();
        let with_state =
            groups.filter(|group| matches!(group.component, Component::Subtensor | Component::Validator));
        with_state.flat_map(|group| group.nodes.iter().cloned()).collect()
    }

    /// Returns the name of the pod of each node.
    pub fn pods_of_nodes(&self) -> BTreeMap<String, String> {
        let pods = self.groups.iter().flat_map(|group| {
            let nodes = group.nodes.iter().enumerate();
            nodes.map(|(number, node)| (node.clone(), group.pod(number)))
        });
        pods.collect()
    }
}
