//! A short name for a whole state, to compare two chains that are not in one place.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use mirror_identity::PublicKey;
use serde::{Deserialize, Serialize};

use crate::pool::Taken;
use crate::registration::Registrations;
use crate::{Axon, Bond, Call, Chain, Hyperparameters, Issuance, Neuron, Weight, Weights};

/// BLAKE2b-256 of all that decides how a chain goes on: neurons, rules, accounts, nonces, the open block, and the
/// answers that are remembered. Earlier versions of the metagraph are not in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StateHash([u8; 32]);

impl StateHash {
    /// Its bytes.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHash({self})")
    }
}

/// BLAKE2b-256 of a call: whether a nonce comes again with the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallHash(pub(crate) [u8; 32]);

impl CallHash {
    pub(crate) fn of(call: &Call) -> Self {
        let mut hasher = Hasher(Blake2b::new());
        hasher.call(call);
        Self(hasher.0.finalize().into())
    }
}

impl Chain {
    /// The hash of the state. Takes time in proportion to the state.
    pub fn state_hash(&self) -> StateHash {
        let mut hasher = Hasher(Blake2b::new());
        let state = &self.state;
        hasher.number(state.netuid);
        hasher.number(self.closed.0);
        hasher.number(self.metagraph().version.0);
        hasher.number(self.metagraph().since.0);
        hasher.count(state.owner.iter().len());
        if let Some(owner) = &state.owner {
            hasher.bytes(&owner.coldkey.bytes());
            hasher.bytes(&owner.hotkey.bytes());
        }
        hasher.hyperparameters(&state.rules);
        hasher.count(state.neurons.len());
        for neuron in &state.neurons {
            hasher.neuron(neuron);
        }
        hasher.map(&state.owners, |hasher, coldkey| hasher.bytes(&coldkey.bytes()));
        hasher.map(&state.takes, |hasher, &take| hasher.number(take));
        hasher.map(state.accounts.balances(), |hasher, free| hasher.number(free.0));
        hasher.count(state.accounts.stakes().len());
        for ((hotkey, coldkey), stake) in state.accounts.stakes() {
            hasher.bytes(&hotkey.bytes());
            hasher.bytes(&coldkey.bytes());
            hasher.number(stake.0);
        }
        hasher.issuance(&state.accounts.issuance());
        hasher.registrations(&state.registrations);
        hasher.map(&state.commits, |hasher, commits| {
            hasher.count(commits.iter().len());
            for (block, commitment) in commits.iter() {
                hasher.number(block.0);
                hasher.bytes(&commitment.0);
            }
        });
        for served in state.served.blocks() {
            hasher.map(served, |hasher, block| hasher.number(block.0));
        }
        hasher.map(&state.stake_moved, |hasher, block| hasher.number(block.0));
        hasher.number(state.epochs);
        hasher.count(state.last_epoch.iter().len());
        hasher.number(state.last_epoch.map_or(0, |block| block.0));
        hasher.map(state.published.all(), |hasher, published| {
            hasher.count(published.metadata.data.len());
            hasher.bytes(&published.metadata.data);
            hasher.number(published.metadata.block.0);
            hasher.number(published.bytes);
            hasher.number(published.epoch);
        });
        hasher.count(self.hashes.iter().len());
        for hash in self.hashes.iter() {
            hasher.bytes(&hash.0);
        }
        hasher.map(&state.spent, |hasher, spent| {
            hasher.number(spent.nonce.0);
            hasher.taken(&spent.taken);
        });
        hasher.count(self.pool.iter().count());
        for (signer, nonce, call) in self.pool.iter() {
            hasher.bytes(&signer.bytes());
            hasher.number(nonce.0);
            hasher.call(call);
        }
        for (signer, nonce, taken) in self.remembered.iter() {
            hasher.bytes(&signer.bytes());
            hasher.number(nonce.0);
            hasher.taken(taken);
        }
        StateHash(hasher.0.finalize().into())
    }
}

/// Feeds values in a fixed form: numbers as 8 bytes, little-endian; lists after their length.
struct Hasher(Blake2b<U32>);

impl Hasher {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, number: impl Into<u64>) {
        self.0.update(number.into().to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn taken(&mut self, taken: &Taken) {
        self.bytes(&taken.call.0);
        self.number(taken.block.0);
    }

    fn map<T>(&mut self, map: &BTreeMap<PublicKey, T>, value: impl Fn(&mut Self, &T)) {
        self.count(map.len());
        for (key, mapped) in map {
            self.bytes(&key.bytes());
            value(self, mapped);
        }
    }

    fn hyperparameters(&mut self, rules: &Hyperparameters) {
        for (_, value) in rules.entries() {
            self.number(value);
        }
    }

    fn issuance(&mut self, issuance: &Issuance) {
        self.number(issuance.genesis.0);
        self.number(issuance.granted.0);
        self.number(issuance.minted.0);
        self.number(issuance.pending.0);
        self.number(issuance.lapsed.0);
        self.number(issuance.burned.0);
    }

    fn registrations(&mut self, registrations: &Registrations) {
        self.number(registrations.burn.0);
        self.number(registrations.this_block);
        self.number(registrations.this_interval);
        self.number(registrations.since.0);
    }

    fn neuron(&mut self, neuron: &Neuron) {
        self.bytes(&neuron.hotkey.bytes());
        self.bytes(&neuron.coldkey.bytes());
        for served in [neuron.axon, neuron.prometheus] {
            self.count(served.iter().len());
            if let Some(axon) = served {
                self.axon(axon);
            }
        }
        self.number(neuron.validator_permit);
        self.number(neuron.last_update.0);
        self.number(neuron.block_at_registration.0);
        self.number(neuron.active);
        self.number(neuron.rank);
        self.number(neuron.trust);
        self.number(neuron.consensus);
        self.number(neuron.incentive);
        self.number(neuron.dividends);
        self.number(neuron.validator_trust);
        self.number(neuron.emission.0);
        self.number(neuron.pruning_score);
        self.count(neuron.weights.len());
        for Weight { uid, weight } in neuron.weights.iter() {
            self.number(uid.0);
            self.number(*weight);
        }
        self.count(neuron.bonds.len());
        for Bond { uid, bond } in neuron.bonds.iter() {
            self.number(uid.0);
            self.number(*bond);
        }
    }

    fn axon(&mut self, Axon { ip, port }: Axon) {
        match ip {
            IpAddr::V4(ip) => {
                self.number(4_u8);
                self.bytes(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.number(6_u8);
                self.bytes(&ip.octets());
            }
        }
        self.number(port.get());
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Register { coldkey } => {
                self.number(0_u8);
                self.bytes(&coldkey.bytes());
            }
            Call::ServeAxon(axon) => {
                self.number(1_u8);
                self.axon(*axon);
            }
            Call::SetWeights(weights) => {
                self.number(2_u8);
                self.weights(weights);
            }
            Call::BurnedRegister { hotkey } => {
                self.number(3_u8);
                self.bytes(&hotkey.bytes());
            }
            Call::ServePrometheus(axon) => {
                self.number(4_u8);
                self.axon(*axon);
            }
            Call::CommitWeights(commitment) => {
                self.number(5_u8);
                self.bytes(&commitment.0);
            }
            Call::RevealWeights { weights, salt } => {
                self.number(6_u8);
                self.weights(weights);
                self.count(salt.len());
                for &number in salt {
                    self.number(number);
                }
            }
            Call::AddStake { hotkey, amount } => {
                self.number(7_u8);
                self.bytes(&hotkey.bytes());
                self.number(amount.0);
            }
            Call::RemoveStake { hotkey, amount } => {
                self.number(8_u8);
                self.bytes(&hotkey.bytes());
                self.number(amount.0);
            }
            Call::BecomeDelegate { hotkey, take } => {
                self.number(9_u8);
                self.bytes(&hotkey.bytes());
                self.count(take.iter().len());
                self.number(take.unwrap_or(0));
            }
            Call::Transfer { to, amount } => {
                self.number(10_u8);
                self.bytes(&to.bytes());
                self.number(amount.0);
            }
            Call::SetHyperparameter { name, value } => {
                self.number(11_u8);
                self.count(name.len());
                self.bytes(name.as_bytes());
                self.number(*value);
            }
            Call::PublishMetadata { data } => {
                self.number(12_u8);
                self.count(data.len());
                self.bytes(data);
            }
            Call::ForceSetBalance { coldkey, free } => {
                self.number(13_u8);
                self.bytes(&coldkey.bytes());
                self.number(free.0);
            }
            Call::ForceRegister {
                hotkey,
                coldkey,
                stake,
                free,
            } => {
                self.number(14_u8);
                self.bytes(&hotkey.bytes());
                self.bytes(&coldkey.bytes());
                self.number(stake.0);
                self.number(free.0);
            }
        }
    }

    fn weights(&mut self, set: &Weights) {
        self.count(set.uids.len());
        for uid in &set.uids {
            self.number(uid.0);
        }
        self.count(set.weights.len());
        for &weight in &set.weights {
            self.number(weight);
        }
        self.number(set.version_key);
    }
}
