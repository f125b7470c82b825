//! The agents of the nodes of a run, found among its pods. It needs no DNS: pods are called at their IP addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mirror_cluster::agents::{AgentAddress, Directory};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::manifests::{AGENT_PORT, of_run};
use crate::plan::{Component, Plan};
use crate::pods::{self, PodState, PodView, Watched};

/// The name in the certificate of the agents.
pub const AGENT: &str = "agent";

/// The agents of a run.
#[derive(Debug)]
pub struct PodDirectory {
    /// The pod of each node.
    pods: BTreeMap<String, String>,
    /// Name of the node of the chain. `None` if the run starts no chain.
    chain: Option<String>,
    /// The address of the chain, once it was started.
    chain_address: Mutex<Option<IpAddr>>,
    watched: watch::Receiver<Watched>,
    /// Time within which a pod must be ready.
    start: Duration,
}

impl PodDirectory {
    /// Watches the pods of a run, each of which must be ready within `start` after it was asked for.
    pub fn new(cluster: &Cluster, plan: &Plan, start: Duration) -> Self {
        let chain = plan
            .groups
            .iter()
            .find(|group| group.component == Component::Subtensor);
        Self {
            pods: plan.pods_of_nodes(),
            chain: chain.and_then(|group| group.nodes.first().cloned()),
            chain_address: Mutex::default(),
            watched: pods::watch(cluster, &of_run(&plan.run)),
            start,
        }
    }

    /// Checks that the chain has the address that its nodes know.
    fn check_chain(&self, node: &str, ip: IpAddr) -> io::Result<()> {
        if self.chain.as_deref() != Some(node) {
            return Ok(());
        }
        let mut known = self.chain_address.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *known.get_or_insert(ip);
        if before == ip {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the pod of the chain was replaced and has the address {ip} in place of {before}, at which the other nodes \
             call it: start the run again"
        )))
    }
}

impl Directory for PodDirectory {
    async fn agent_of(&self, node: &str) -> io::Result<AgentAddress> {
        let pod = self
            .pods
            .get(node)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no pod runs {node}")))?;
        let mut watched = self.watched.clone();
        let found = pods::until(&mut watched, self.start, |watched| {
            let view = watched.pods.as_ref()?.get(pod)?;
            match (&view.state, view.ip) {
                (PodState::Ready, Some(ip)) => Some(Ok(ip)),
                (state, _) if state.needs_a_person() => Some(Err(state.in_words())),
                _ => None,
            }
        });
        let ip = match found.await {
            Some(Ok(ip)) => ip,
            Some(Err(state)) => return Err(io::Error::other(format!("the pod {pod} cannot start: {state}"))),
            None => return Err(io::Error::other(self.late(pod))),
        };
        self.check_chain(node, ip)?;
        Ok(AgentAddress {
            name: AGENT.to_owned(),
            address: SocketAddr::new(ip, AGENT_PORT),
        })
    }
}

impl PodDirectory {
    /// Returns why a pod is not ready.
    fn late(&self, pod: &str) -> String {
        let watched = self.watched.borrow();
        let state = match (&watched.problem, &watched.pods) {
            (Some(problem), _) => problem.clone(),
            (None, Some(pods)) => pods.get(pod).map_or_else(
                || "it does not exist; the events of its stateful set have the reason".to_owned(),
                in_words,
            ),
            (None, None) => "the API server has listed no pods".to_owned(),
        };
        format!(
            "the pod {pod} was not ready within {} s: {state}",
            self.start.as_secs()
        )
    }
}

/// Returns the state of a pod in words, with the reason of the last end of its container.
pub(crate) fn in_words(view: &PodView) -> String {
    let state = view.state.in_words();
    match &view.last_end {
        Some(reason) if view.restarts > 0 => {
            format!(
                "{state} (started again {} times, at last after: {reason})",
                view.restarts
            )
        }
        _ => state,
    }
}
