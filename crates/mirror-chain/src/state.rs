//! The state that calls change: the neurons, the accounts, and the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey, PublicKey};
use serde::{Deserialize, Serialize};

use crate::accounts::Accounts;
use crate::commitment::{Commits, RevealPeriod};
use crate::metadata::MetadataStore;
use crate::pool::Included;
use crate::registration::Registrations;
use crate::serving::LastServed;
use crate::{Block, Call, DispatchError, Hyperparameters, Neuron, Nonce, Rao, SubnetOwner, Transaction, Uid};

/// The state of the chain without its history and the open block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) netuid: u16,
    pub(crate) owner: Option<SubnetOwner>,
    pub(crate) rules: Hyperparameters,
    /// The neurons, by uid.
    pub(crate) neurons: Vec<Arc<Neuron>>,
    pub(crate) uids: BTreeMap<Hotkey, Uid>,
    /// The owners of all hotkeys that were ever registered.
    pub(crate) owners: BTreeMap<Hotkey, Coldkey>,
    /// The share of its nominators' dividends that each delegate keeps; 65,535 is all.
    pub(crate) takes: BTreeMap<Hotkey, u16>,
    pub(crate) accounts: Accounts,
    pub(crate) registrations: Registrations,
    /// The commitments of all neurons that have any.
    pub(crate) commits: BTreeMap<Hotkey, Commits>,
    pub(crate) last_served: LastServed,
    /// The block in which each coldkey last moved stake.
    pub(crate) stake_moved: BTreeMap<Coldkey, Block>,
    /// Number of epochs so far.
    pub(crate) epochs: u64,
    /// Block of the last epoch.
    pub(crate) last_epoch: Option<Block>,
    pub(crate) metadata: MetadataStore,
    /// The nonces by key, of all keys that had a call take effect or that were registered hotkeys when a call failed.
    pub(crate) nonces: BTreeMap<PublicKey, UsedNonce>,
}

/// The highest nonce that a key has used, and the call that used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsedNonce {
    pub(crate) nonce: Nonce,
    pub(crate) included: Included,
}

impl State {
    /// Applies a transaction. After an error nothing has changed, except that the nonce is recorded as used if the
    /// signer is a neuron or has used a nonce earlier.
    pub(crate) fn apply(
        &mut self,
        transaction: Transaction,
        included: Included,
    ) -> Result<(), DispatchError> {
        let Transaction { signer, nonce, call } = transaction;
        let outcome = self.call(signer, call, included.block);
        if outcome.is_ok() || self.nonces.contains_key(&signer) || self.uids.contains_key(&signer) {
            self.nonces.insert(signer, UsedNonce { nonce, included });
        }
        outcome
    }

    fn call(&mut self, signer: PublicKey, call: Call, block: Block) -> Result<(), DispatchError> {
        match call {
            Call::Register { coldkey } => self.register(signer, coldkey, block),
            Call::BurnedRegister { hotkey } => self.burned_register(hotkey, signer, block),
            Call::ServeAxon(axon) => self.serve_axon(&signer, axon, block),
            Call::ServePrometheus(prometheus) => self.serve_prometheus(&signer, prometheus, block),
            Call::SetWeights(weights) => self.set_weights(&signer, &weights, block),
            Call::CommitWeights(commitment) => self.commit_weights(&signer, commitment, block),
            Call::RevealWeights { weights, salt } => self.reveal_weights(&signer, &weights, &salt, block),
            Call::AddStake { hotkey, amount } => self.add_stake(signer, hotkey, amount, block),
            Call::RemoveStake { hotkey, amount } => self.remove_stake(signer, hotkey, amount, block),
            Call::BecomeDelegate { hotkey, take } => self.become_delegate(&signer, hotkey, take),
            Call::Transfer { to, amount } => self.transfer(&signer, to, amount),
            Call::PublishMetadata { data } => self.publish_metadata(signer, data, block),
            Call::SetHyperparameter { name, value } => self.set_hyperparameter(&signer, &name, value),
            Call::ForceSetBalance { coldkey, free } => self.force_set_balance(&signer, coldkey, free),
            Call::ForceRegister {
                hotkey,
                coldkey,
                stake,
                free,
            } => self.force_register(&signer, hotkey, coldkey, stake, free, block),
        }
    }

    /// Returns the uid of the owner's hotkey. `None` if it is not a neuron.
    pub(crate) fn owner_uid(&self) -> Option<Uid> {
        let owner = self.owner.as_ref()?;
        self.uids.get(&owner.hotkey).copied()
    }

    pub(crate) fn reveal_period(&self) -> RevealPeriod {
        RevealPeriod {
            netuid: self.netuid,
            tempo: self.rules.tempo,
            epochs: self.rules.commit_reveal_period,
        }
    }

    /// Returns the neuron of a hotkey for modification.
    pub(crate) fn neuron_mut(&mut self, hotkey: &Hotkey) -> Result<&mut Arc<Neuron>, DispatchError> {
        let uid = self.uids.get(hotkey).ok_or(DispatchError::NotRegistered)?;
        self.neurons
            .get_mut(uid.index())
            .ok_or(DispatchError::NotRegistered)
    }

    /// Updates the stake and the nominators of the neuron of a hotkey, if it is a neuron.
    pub(crate) fn restake(&mut self, hotkey: Hotkey) {
        let nominators: Arc<[_]> = self.accounts.nominators(hotkey).collect();
        let Ok(neuron) = self.neuron_mut(&hotkey) else {
            return;
        };
        if neuron.nominators != nominators {
            let neuron = Arc::make_mut(neuron);
            neuron.stake = Rao(nominators.iter().map(|(_, stake)| stake.0).sum());
            neuron.nominators = nominators;
        }
    }
}
