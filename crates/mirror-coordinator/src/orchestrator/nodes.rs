//! The list of nodes for a person who looks at a running network.

use mirror_cluster::Placement;
use mirror_proto::mirror::v1::{NodeList, RunningNode};

use super::Orchestrator;
use crate::network_spec::{self, SUBTENSOR};

impl<P: Placement + 'static> Orchestrator<P> {
    /// Returns all nodes of the network: the chain, the miners and the validators.
    pub(super) fn list_nodes(&self) -> NodeList {
        let spec = &self.ops.spec;
        let chain = spec.has_own_chain().then(|| SUBTENSOR.to_owned());
        let nodes = chain.into_iter().chain(spec.all_nodes());
        let (steps_done, steps_total) = self.progress.steps();
        NodeList {
            nodes: nodes.map(|node| self.running_node(node)).collect(),
            subtensor: self.ops.subtensor_address.borrow().to_string(),
            steps_done,
            steps_total,
        }
    }

    fn running_node(&self, name: String) -> RunningNode {
        let address = self.ops.placement.address(&name);
        let uids = match network_spec::validator_index(&name) {
            Some(index) => self.ops.spec.validator_uid(index).map(|uid| uid.to_string()),
            None => uids_of(&name),
        };
        RunningNode {
            state: if address.is_some() { "running" } else { "ended" }.to_owned(),
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            pid: None,
            memory: None,
            cpu_time: None,
            incarnation: self.ops.incarnation(&name),
            uids: uids.unwrap_or_default(),
            faults: self.faults_on(&name),
            name,
        }
    }
}

/// Returns the uids in the name of a miner process. `None` if the node is the chain.
fn uids_of(name: &str) -> Option<String> {
    let (_, uids) = name.split_once('-')?;
    Some(uids.to_owned())
}
