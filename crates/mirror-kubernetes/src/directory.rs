//! The agents of the nodes of a run, found among its pods. It needs no DNS: pods are called at their IP addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mirror_cluster::agents::{AgentAddress, Directory};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::manifests::{AGENT_PORT, of_run};
use crate::plan::Plan;
use crate::pods::{self, PodState, PodView, Watched};

/// The name in the certificate of the agents.
pub const AGENT: &str = "agent";

/// The agents of a run.
#[derive(Debug)]
pub struct PodDirectory {
    /// The pod of each node.
    pods: BTreeMap<String, String>,
    /// The nodes that resume from files of their pods.
    with_state: BTreeSet<String>,
    /// The pod of each of these nodes when it was first started, by its identifier.
    known: Mutex<HashMap<String, String>>,
    watched: watch::Receiver<Watched>,
    /// Time within which a pod must be ready.
    start: Duration,
}

impl PodDirectory {
    /// Watches the pods of a run, each of which must be ready within `start` after it was asked for.
    pub fn new(cluster: &Cluster, plan: &Plan, start: Duration) -> Self {
        Self {
            pods: plan.pods_of_nodes(),
            with_state: plan.nodes_with_state(),
            known: Mutex::default(),
            watched: pods::watch(cluster, &of_run(&plan.run)),
            start,
        }
    }

    /// Checks that a node that resumes from files of its pod has the same pod as before. The chain also keeps its
    /// address only in its pod.
    fn check_same(&self, node: &str, pod: &str, uid: &str) -> io::Result<()> {
        if !self.with_state.contains(node) {
            return Ok(());
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.entry(node.to_owned()).or_insert_with(|| uid.to_owned());
        if before == uid {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the pod {pod} was replaced, and the state of {node} was lost with it: start the run again"
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
                (PodState::Ready, Some(ip)) => Some(Ok((ip, view.uid.clone()))),
                (state, _) if state.needs_a_person() => Some(Err(state.in_words())),
                _ => None,
            }
        });
        let (ip, uid) = match found.await {
            Some(Ok(found)) => found,
            Some(Err(state)) => return Err(io::Error::other(format!("the pod {pod} cannot start: {state}"))),
            None => return Err(io::Error::other(self.late(pod))),
        };
        self.check_same(node, pod, &uid)?;
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
