//! The calls that the chain accepts, and the transactions that carry them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use mirror_identity::{Coldkey, Hotkey, PublicKey};
use serde::{Deserialize, Serialize};

use crate::commitment::Commitment;
use crate::{Nonce, Rao, Uid};

/// Maximum number of weights that are printed for one call.
const WEIGHTS_SHOWN: usize = 8;

/// A call made by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The key that makes the call: a hotkey or a coldkey, depending on the call.
    pub signer: PublicKey,
    /// Number that increases with each transaction of the signer. A repeated transaction is applied only once.
    pub nonce: Nonce,
    /// The call.
    pub call: Call,
}

/// A call to the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// By a hotkey: register in the subnet without a price, if the rules allow it.
    Register {
        /// The coldkey that will own the neuron.
        coldkey: Coldkey,
    },
    /// By a coldkey: register a hotkey in the subnet for the current price.
    BurnedRegister {
        /// The hotkey of the new neuron.
        hotkey: Hotkey,
    },
    /// By a hotkey: announce the address of the neuron's axon.
    ServeAxon(Axon),
    /// By a hotkey: announce the address of the neuron's Prometheus endpoint.
    ServePrometheus(Axon),
    /// By a hotkey: set weights for other neurons.
    SetWeights(Weights),
    /// By a hotkey: commit to weights that are revealed later.
    CommitWeights(Commitment),
    /// By a hotkey: reveal weights that were committed to.
    RevealWeights {
        /// The weights.
        weights: Weights,
        /// The salt that makes the commitment hard to guess.
        salt: Vec<u16>,
    },
    /// By a coldkey: stake with a hotkey that it owns or with a delegate.
    AddStake {
        /// The hotkey to stake with.
        hotkey: Hotkey,
        /// The amount of the stake.
        amount: Rao,
    },
    /// By a coldkey: withdraw stake.
    RemoveStake {
        /// The hotkey to withdraw from.
        hotkey: Hotkey,
        /// The amount to withdraw.
        amount: Rao,
    },
    /// By a coldkey: make a hotkey that it owns a delegate, which accepts stake from other coldkeys.
    BecomeDelegate {
        /// The hotkey.
        hotkey: Hotkey,
        /// The share of its nominators' dividends that the delegate keeps; 65,535 is all. `None` for the subnet's
        /// default.
        take: Option<u16>,
    },
    /// By a coldkey: transfer coins from its balance to another coldkey. There is no fee.
    Transfer {
        /// The receiving coldkey.
        to: Coldkey,
        /// The amount to transfer.
        amount: Rao,
    },
    /// By a hotkey: publish metadata on the chain.
    PublishMetadata {
        /// At most [`MAX_METADATA`](crate::MAX_METADATA) bytes.
        data: Vec<u8>,
    },
    /// By the subnet's owner: change a hyperparameter.
    SetHyperparameter {
        /// Name of the hyperparameter, one of [`Hyperparameters::NAMES`](crate::Hyperparameters::NAMES).
        name: String,
        /// The new value.
        value: u64,
    },
    /// By the subnet's owner: set the balance of a coldkey. Coins are granted or burned for the difference.
    ForceSetBalance {
        /// The coldkey.
        coldkey: Coldkey,
        /// The new balance.
        free: Rao,
    },
    /// By the subnet's owner: register a neuron without price and limits, and grant it coins.
    ForceRegister {
        /// The hotkey of the new neuron.
        hotkey: Hotkey,
        /// The coldkey that will own it.
        coldkey: Coldkey,
        /// The stake of the coldkey with the new neuron.
        stake: Rao,
        /// The amount that is added to the coldkey's balance.
        free: Rao,
    },
}

/// The weights that a neuron sets for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// The uids that receive weight.
    pub uids: Vec<Uid>,
    /// The weights, parallel to `uids`. Only their proportions count.
    pub weights: Vec<u16>,
    /// The version of the weight-setting rules of the validator.
    pub version_key: u64,
}

/// The listen address of an axon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axon {
    /// The IP address.
    pub ip: IpAddr,
    /// The port.
    pub port: NonZeroU16,
}

/// A summary of a call for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    /// Name of the call, such as `set_weights`.
    pub call: &'static str,
    /// Arguments of the call. Only the first few weights are included: `0:65535 3:120 (2 uids, version key 0)`.
    pub arguments: String,
}

impl CallSummary {
    pub(crate) fn of(call: &Call) -> Self {
        let (call, arguments) = match call {
            Call::Register { coldkey } => ("register", format!("coldkey {coldkey}")),
            Call::BurnedRegister { hotkey } => ("burned_register", format!("hotkey {hotkey}")),
            Call::ServeAxon(axon) => ("serve_axon", axon.to_string()),
            Call::ServePrometheus(prometheus) => ("serve_prometheus", prometheus.to_string()),
            Call::SetWeights(weights) => ("set_weights", weights.to_string()),
            Call::CommitWeights(commitment) => ("commit_weights", commitment.to_string()),
            Call::RevealWeights { weights, salt } => (
                "reveal_weights",
                format!("{weights} with a salt of {}", salt.len()),
            ),
            Call::AddStake { hotkey, amount } => ("add_stake", format!("{amount} with {hotkey}")),
            Call::RemoveStake { hotkey, amount } => ("remove_stake", format!("{amount} from {hotkey}")),
            Call::BecomeDelegate { hotkey, take } => {
                let take = take.map_or("the default".to_owned(), |take| take.to_string());
                ("become_delegate", format!("{hotkey}, take {take}"))
            }
            Call::Transfer { to, amount } => ("transfer", format!("{amount} to {to}")),
            Call::PublishMetadata { data } => ("publish_metadata", format!("{} bytes", data.len())),
            Call::SetHyperparameter { name, value } => ("set_hyperparameter", format!("{name} {value}")),
            Call::ForceSetBalance { coldkey, free } => ("force_set_balance", format!("{free} for {coldkey}")),
            Call::ForceRegister {
                hotkey,
                coldkey,
                stake,
                free,
            } => (
                "force_register",
                format!("hotkey {hotkey} of coldkey {coldkey}, {stake} staked, {free} free"),
            ),
        };
        Self { call, arguments }
    }
}

impl fmt::Display for Axon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port.get()).fmt(f)
    }
}

/// Formats the first few weights as `uid:weight`, and the number of uids.
impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (uid, weight) in self.uids.iter().zip(&self.weights).take(WEIGHTS_SHOWN) {
            write!(f, "{uid}:{weight} ")?;
        }
        if self.uids.len() > WEIGHTS_SHOWN {
            f.write_str("… ")?;
        }
        write!(f, "({} uids", self.uids.len())?;
        if self.weights.len() != self.uids.len() {
            write!(f, ", {} weights", self.weights.len())?;
        }
        write!(f, ", version key {})", self.version_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_summarised() {
        let weights = |count: u16| Weights {
            uids: (0..count).map(Uid).collect(),
            weights: (0..count).map(|uid| 100 + uid).collect(),
            version_key: 3,
        };
        let in_words = |call| {
            let CallSummary { call, arguments } = CallSummary::of(&call);
            format!("{call} {arguments}")
        };
        assert_eq!(
            in_words(Call::SetWeights(weights(2))),
            "set_weights 0:100 1:101 (2 uids, version key 3)"
        );
        assert_eq!(
            in_words(Call::RevealWeights {
                weights: weights(9),
                salt: vec![1, 2]
            }),
            "reveal_weights 0:100 1:101 2:102 3:103 4:104 5:105 6:106 7:107 … (9 uids, version key 3) with a salt of 2"
        );
        let unequal = Weights {
            weights: vec![7],
            ..weights(2)
        };
        assert_eq!(
            in_words(Call::SetWeights(unequal)),
            "set_weights 0:7 (2 uids, 1 weights, version key 3)"
        );
        let axon = Axon {
            ip: [127, 0, 0, 1].into(),
            port: NonZeroU16::MIN,
        };
        assert_eq!(in_words(Call::ServeAxon(axon)), "serve_axon 127.0.0.1:1");
    }
}
