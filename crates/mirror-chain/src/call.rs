//! What can be asked of the chain, and who asks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use mirror_identity::{Coldkey, Hotkey, PublicKey};
use serde::{Deserialize, Serialize};

use crate::commitment::Commitment;
use crate::{Nonce, Rao, Uid};

/// Weights that are told of a call that sets more.
const WEIGHTS_TOLD: usize = 8;

/// A call in the name of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Whom it speaks for: a hotkey or a coldkey, as the call has it.
    pub signer: PublicKey,
    /// Rises with each transaction of the signer. The same one again acts once.
    pub nonce: Nonce,
    /// What is asked.
    pub call: Call,
}

/// What is asked of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Of a hotkey: join the subnet for nothing, where that is allowed.
    Register {
        /// Who will own the neuron.
        coldkey: Coldkey,
    },
    /// Of a coldkey: join the subnet for the price of the moment.
    BurnedRegister {
        /// Which will speak for the neuron.
        hotkey: Hotkey,
    },
    /// Of a hotkey: say where the neuron's axon listens.
    ServeAxon(Axon),
    /// Of a hotkey: say where the neuron's figures are served.
    ServePrometheus(Axon),
    /// Of a hotkey: say what other neurons are worth.
    SetWeights(Weights),
    /// Of a hotkey: say what other neurons are worth, so that nobody can read it yet.
    CommitWeights(Commitment),
    /// Of a hotkey: say what was committed to.
    RevealWeights {
        /// What other neurons are worth.
        weights: Weights,
        /// What made the commitment hard to guess.
        salt: Vec<u16>,
    },
    /// Of a coldkey: stake with a hotkey, its own or a delegate.
    AddStake {
        /// With whom.
        hotkey: Hotkey,
        /// How much.
        amount: Rao,
    },
    /// Of a coldkey: take stake back.
    RemoveStake {
        /// From whom.
        hotkey: Hotkey,
        /// How much.
        amount: Rao,
    },
    /// Of a coldkey: let others stake with a hotkey of its own.
    BecomeDelegate {
        /// With which.
        hotkey: Hotkey,
        /// The share of its nominators' dividends that it keeps, 65,535 is all; `None`: the subnet's default.
        take: Option<u16>,
    },
    /// Of a coldkey: give from its balance to another's. The fee is nothing.
    Transfer {
        /// To whom.
        to: Coldkey,
        /// How much.
        amount: Rao,
    },
    /// Of a hotkey: keep something on the chain for others to read.
    PublishMetadata {
        /// At most [`MAX_METADATA`](crate::MAX_METADATA) bytes.
        data: Vec<u8>,
    },
    /// Of the subnet's owner: change a rule.
    SetHyperparameter {
        /// Its name, one of [`Hyperparameters::NAMES`](crate::Hyperparameters::NAMES).
        name: String,
        /// What it shall be.
        value: u64,
    },
    /// Of the subnet's owner: give a coldkey a balance. Coins are granted or burned for it.
    ForceSetBalance {
        /// Whose.
        coldkey: Coldkey,
        /// What it shall be.
        free: Rao,
    },
    /// Of the subnet's owner: seat a neuron, without price and limits, and give it coins.
    ForceRegister {
        /// Which will speak for the neuron.
        hotkey: Hotkey,
        /// Who will own it.
        coldkey: Coldkey,
        /// What the owner will have staked with it.
        stake: Rao,
        /// What is added to the owner's balance.
        free: Rao,
    },
}

/// What a neuron says others are worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// For whom.
    pub uids: Vec<Uid>,
    /// How much, beside `uids`; only their proportions count.
    pub weights: Vec<u16>,
    /// The version of the rules by which they were made.
    pub version_key: u64,
}

/// Where an axon listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axon {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
}

/// A call in short, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    /// Its name: `set_weights`.
    pub call: &'static str,
    /// Its arguments, of many weights the first: `0:65535 3:120 (2 uids, version key 0)`.
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

/// The first few by uid, and how many there are.
impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (uid, weight) in self.uids.iter().zip(&self.weights).take(WEIGHTS_TOLD) {
            write!(f, "{uid}:{weight} ")?;
        }
        if self.uids.len() > WEIGHTS_TOLD {
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
    fn a_call_is_told_in_short() {
        let weights = |count: u16| Weights {
            uids: (0..count).map(Uid).collect(),
            weights: (0..count).map(|uid| 100 + uid).collect(),
            version_key: 3,
        };
        let told = |call| {
            let CallSummary { call, arguments } = CallSummary::of(&call);
            format!("{call} {arguments}")
        };
        assert_eq!(
            told(Call::SetWeights(weights(2))),
            "set_weights 0:100 1:101 (2 uids, version key 3)"
        );
        assert_eq!(
            told(Call::RevealWeights {
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
            told(Call::SetWeights(unequal)),
            "set_weights 0:7 (2 uids, 1 weights, version key 3)"
        );
        let axon = Axon {
            ip: [127, 0, 0, 1].into(),
            port: NonZeroU16::MIN,
        };
        assert_eq!(told(Call::ServeAxon(axon)), "serve_axon 127.0.0.1:1");
    }
}
