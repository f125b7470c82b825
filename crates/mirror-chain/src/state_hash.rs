//! A short name for a whole state, to compare two chains that are not in one place.

use std::fmt;
use std::net::IpAddr;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};

use crate::{Call, Chain, Hyperparameters, Neuron, Weight};

/// BLAKE2b-256 of all that decides how a chain goes on: metagraph, stake, nonces, the open block, and the answers that
/// are remembered. Earlier versions of the metagraph are not in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StateHash([u8; 32]);

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

impl Chain {
    /// The hash of the state. Takes time in proportion to the state.
    pub fn state_hash(&self) -> StateHash {
        let mut hasher = Hasher(Blake2b::new());
        hasher.number(self.netuid);
        hasher.number(self.closed.0);
        let metagraph = self.metagraph();
        hasher.number(metagraph.version.0);
        hasher.number(metagraph.since.0);
        hasher.hyperparameters(&metagraph.hyperparameters);
        hasher.count(metagraph.neurons.len());
        for (neuron, spent) in metagraph.neurons.iter().zip(&self.spent) {
            hasher.neuron(neuron);
            hasher.count(spent.iter().len());
            hasher.number(spent.map_or(0, |nonce| nonce.0));
        }
        hasher.count(self.stake.len());
        for ((hotkey, coldkey), stake) in &self.stake {
            hasher.bytes(&hotkey.bytes());
            hasher.bytes(&coldkey.bytes());
            hasher.number(stake.0);
        }
        hasher.count(self.pool.iter().count());
        for (hotkey, nonce, call) in self.pool.iter() {
            hasher.bytes(&hotkey.bytes());
            hasher.number(nonce.0);
            hasher.call(call);
        }
        for (hotkey, nonce, block) in self.remembered.iter() {
            hasher.bytes(&hotkey.bytes());
            hasher.number(nonce.0);
            hasher.number(block.0);
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

    fn hyperparameters(&mut self, rules: &Hyperparameters) {
        self.number(rules.tempo);
        self.number(rules.validator_epoch_length);
        self.number(rules.min_allowed_weights);
        self.number(rules.max_weight_limit);
        self.number(rules.validator_exclude_quantile);
        self.number(rules.weights_set_rate_limit);
        self.number(rules.weights_version_key);
        self.number(rules.max_uids);
    }

    fn neuron(&mut self, neuron: &Neuron) {
        self.bytes(&neuron.hotkey.bytes());
        self.bytes(&neuron.coldkey.bytes());
        self.number(neuron.stake.0);
        match neuron.axon {
            None => self.count(0),
            Some(axon) => {
                self.count(1);
                self.axon(axon.ip, axon.port.get());
            }
        }
        self.number(neuron.validator_permit);
        self.number(neuron.last_update.0);
        self.number(neuron.block_at_registration.0);
        self.number(neuron.incentive);
        self.count(neuron.weights.len());
        for Weight { uid, weight } in neuron.weights.iter() {
            self.number(uid.0);
            self.number(*weight);
        }
    }

    fn axon(&mut self, ip: IpAddr, port: u16) {
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
        self.number(port);
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Register { coldkey } => {
                self.number(0_u8);
                self.bytes(&coldkey.bytes());
            }
            Call::ServeAxon(axon) => {
                self.number(1_u8);
                self.axon(axon.ip, axon.port.get());
            }
            Call::SetWeights {
                uids,
                weights,
                version_key,
            } => {
                self.number(2_u8);
                self.count(uids.len());
                for uid in uids {
                    self.number(uid.0);
                }
                self.count(weights.len());
                for &weight in weights {
                    self.number(weight);
                }
                self.number(*version_key);
            }
        }
    }
}
