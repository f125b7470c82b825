//! The miners that have joined the network during the run.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use mirror_runs::neurons::HONEST;
use mirror_runs::{Neuron, NeuronKind};
use mirror_spec::{BehaviourSpec, Newcomers, Uids};

use crate::network_spec::miner_name;

/// A miner that has joined.
#[derive(Debug, Clone)]
pub(crate) struct JoinedMiner {
    /// The uids of the miners that joined with it, including its uid.
    pub(crate) group: Uids,
    /// The fault with which it joined.
    pub(crate) newcomers: Newcomers,
}

/// The miners that have joined, by uid.
#[derive(Debug, Default)]
pub(crate) struct JoinedMiners(Mutex<BTreeMap<u32, JoinedMiner>>);

impl JoinedMiner {
    /// Returns the behaviours of the miner, the uppermost first.
    pub(crate) fn behaviours(&self) -> Vec<BehaviourSpec> {
        let behaviours = self.newcomers.behaviour.iter().chain(&self.newcomers.over);
        behaviours.cloned().collect()
    }

    /// Returns the label in tables and plots.
    fn label(&self) -> String {
        self.newcomers.label().unwrap_or_else(|| HONEST.to_owned())
    }

    fn neuron(&self, uid: u32) -> Neuron {
        Neuron {
            uid,
            kind: NeuronKind::Miner,
            role: self.newcomers.role().unwrap_or_else(|| HONEST.to_owned()),
            label: self.label(),
            control: self.newcomers.control.clone(),
            node: Some(miner_name(&(uid..=uid))),
        }
    }
}

impl JoinedMiners {
    pub(crate) fn add(&self, uid: u32, miner: JoinedMiner) {
        self.miners().insert(uid, miner);
    }

    /// Returns the miner with this uid. `None` if no miner has joined with it.
    pub(crate) fn get(&self, uid: u32) -> Option<JoinedMiner> {
        self.miners().get(&uid).cloned()
    }

    /// Returns all uids in ascending order.
    pub(crate) fn uids(&self) -> Vec<u32> {
        self.miners().keys().copied().collect()
    }

    /// Returns the uids of the miners with this label.
    pub(crate) fn with_label(&self, label: &str) -> Vec<u32> {
        let miners = self.miners();
        let labelled = miners.iter().filter(|(_, miner)| miner.label() == label);
        labelled.map(|(uid, _)| *uid).collect()
    }

    /// Returns the neurons in ascending order of uid.
    pub(crate) fn neurons(&self) -> Vec<Neuron> {
        let miners = self.miners();
        miners.iter().map(|(uid, miner)| miner.neuron(*uid)).collect()
    }

    fn miners(&self) -> MutexGuard<'_, BTreeMap<u32, JoinedMiner>> {
        self.0.lock().expect("no thread panics while it holds the lock")
    }
}
