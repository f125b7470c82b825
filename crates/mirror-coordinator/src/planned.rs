//! The nodes that a run of an experiment needs, known before anything is prepared or started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mirror_certificates::Authority;
use mirror_metagraph_file::MetagraphFile;
use mirror_runs::Layout;
use mirror_spec::{Experiment, Model, NodeSet};

use crate::data::{self, Prepared};
use crate::network_spec::{NetworkSpec, PROXY, SUBTENSOR, miner_name, validator_name};

/// A node that a run starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedNode {
    /// Name of the node, such as `miner-3`.
    pub name: String,
    /// Kind of the node.
    pub kind: PlannedKind,
    /// Label of its neurons in tables and plots. That of the first one if they have several, and the name of the node
    /// if it has no neuron.
    pub label: String,
    /// Number of axons. 0 if it is no miner.
    pub axons: u32,
}

/// The kinds of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlannedKind {
    /// The node of the chain.
    Subtensor,
    /// The proxy, through which connections go if faults concern the wire.
    Proxy,
    /// A validator.
    Validator,
    /// A process of miners, or a foreign program that is a miner.
    Miner,
}

/// Label of the miners that join during the run.
const NEWCOMER: &str = "newcomer";

/// A network of which nothing is prepared or started.
#[derive(Debug)]
pub struct PlannedNetwork(NetworkSpec);

impl PlannedNetwork {
    /// Plans the network of an experiment. Relative paths are resolved against `base`. Only the metagraph that the
    /// subnet starts from is read.
    ///
    /// # Errors
    ///
    /// Returns an error if the metagraph cannot be used, or the uids cannot be assigned.
    pub fn new(experiment: &Experiment, model: &Model, base: &Path) -> anyhow::Result<Self> {
        let metagraph = data::metagraph_of(experiment, base)?;
        Ok(Self(network_spec(experiment, model, metagraph)?))
    }

    /// Returns the nodes: the chain and the proxy if there are any, validators, miners by uid, and the miners that can
    /// join during the run.
    pub fn nodes(&self) -> Vec<PlannedNode> {
        let spec = &self.0;
        let without_neurons = |name: &str, kind| PlannedNode {
            name: name.to_owned(),
            kind,
            label: name.to_owned(),
            axons: 0,
        };
        let mut nodes = Vec::new();
        if spec.has_own_chain() {
            nodes.push(without_neurons(SUBTENSOR, PlannedKind::Subtensor));
        }
        if spec.has_proxy() {
            nodes.push(without_neurons(PROXY, PlannedKind::Proxy));
        }
        let neurons = spec.neurons();
        let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
        for neuron in &neurons {
            if let Some(node) = &neuron.node {
                labels.entry(node).or_insert(&neuron.label);
            }
        }
        let label_of = |name: &str| labels.get(name).copied().unwrap_or(name).to_owned();
        nodes.extend(
            (0..spec.validator_count())
                .map(validator_name)
                .map(|name| PlannedNode {
                    kind: PlannedKind::Validator,
                    label: label_of(&name),
                    axons: 0,
                    name,
                }),
        );
        nodes.extend(spec.miner_names().into_iter().map(|name| PlannedNode {
            kind: PlannedKind::Miner,
            label: label_of(&name),
            axons: spec.uids_of_process(&name).len() as u32,
            name,
        }));
        nodes.extend(spec.newcomer_uids().map(|uid| PlannedNode {
            name: miner_name(&(uid..=uid)),
            kind: PlannedKind::Miner,
            label: NEWCOMER.to_owned(),
            axons: 1,
        }));
        nodes
    }

    /// Returns the names of the nodes in these sets.
    pub fn nodes_in(&self, sets: &[NodeSet]) -> BTreeSet<String> {
        self.0.nodes_of(sets)
    }
}

/// Returns the specification of a network of which nothing is started. Of the data, only the metagraph affects which
/// nodes there are.
fn network_spec(
    experiment: &Experiment,
    model: &Model,
    metagraph: Option<MetagraphFile>,
) -> anyhow::Result<NetworkSpec> {
    let data = Prepared {
        gating_model: model.gating_model.clone(),
        reward_model: model.reward_model.clone(),
        answers: "".into(),
        questions: None,
        metagraph,
        chain_client: None,
        resume: Vec::new(),
        origins: Vec::new(),
    };
    let authority = Arc::new(Authority::new()?);
    NetworkSpec::new(experiment, model, &Layout::new(""), data, "", authority)
}
