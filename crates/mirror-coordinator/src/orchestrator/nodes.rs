//! The list of nodes for a person who looks at a running network.

use mirror_cluster::{NodeState, Placement};
use mirror_proto::mirror::v1::{NodeList, RunningNode};

use super::{Orchestrator, Phase};
use crate::network_spec::{self, PROXY, SUBTENSOR};

impl<P: Placement + 'static> Orchestrator<P> {
    /// Returns all nodes of the network: the chain, the miners and the validators.
    pub(super) fn list_nodes(&self) -> NodeList {
        let spec = &self.ops.spec;
        let chain = spec.has_own_chain().then(|| SUBTENSOR.to_owned());
        let proxy = spec.has_proxy().then(|| PROXY.to_owned());
        let nodes = proxy.into_iter().chain(chain).chain(spec.all_nodes());
        let (steps_done, steps_total) = self.progress.steps();
        NodeList {
            nodes: nodes.map(|node| self.running_node(node)).collect(),
            subtensor: self.ops.subtensor_address.borrow().to_string(),
            steps_done,
            steps_total,
            phase: match self.phase {
                Phase::Starting { .. } | Phase::Beginning => "starting",
                Phase::Working | Phase::Settling => "working",
                Phase::Standing | Phase::Settled => "standing",
            }
            .to_owned(),
        }
    }

    fn running_node(&self, name: String) -> RunningNode {
        let view = self.ops.placement.inspect(&name);
        let uids = match network_spec::validator_index(&name) {
            Some(index) => self.ops.spec.validator_uid(index).map(|uid| uid.to_string()),
            None => uids_of(&name),
        };
        RunningNode {
            state: match view.as_ref().map(|view| &view.state) {
                None => "not started",
                Some(NodeState::Starting) => "starting",
                Some(NodeState::Running) => "running",
                Some(NodeState::Paused) => "paused",
                Some(NodeState::Ended(_)) => "ended",
            }
            .to_owned(),
            address: view
                .as_ref()
                .and_then(|view| view.address)
                .map(|address| address.to_string())
                .unwrap_or_default(),
            pid: view.as_ref().and_then(|view| view.pid),
            memory: view
                .as_ref()
                .filter(|view| view.pid.is_some())
                .map(|view| view.memory),
            cpu_time: view
                .as_ref()
                .filter(|view| view.pid.is_some())
                .map(|view| view.cpu_time.as_secs_f64()),
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
