//! What can be asked of the chain, and who asks.

use std::net::IpAddr;
use std::num::NonZeroU16;

use mirror_identity::{Coldkey, Hotkey, PublicKey};

use crate::commitment::Commitment;
use crate::{Nonce, Rao, Uid};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Of the subnet's owner: change a rule.
    SetHyperparameter {
        /// Its name, one of [`Hyperparameters::NAMES`](crate::Hyperparameters::NAMES).
        name: String,
        /// What it shall be.
        value: u64,
    },
}

/// What a neuron says others are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// For whom.
    pub uids: Vec<Uid>,
    /// How much, beside `uids`; only their proportions count.
    pub weights: Vec<u16>,
    /// The version of the rules by which they were made.
    pub version_key: u64,
}

/// Where an axon listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axon {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
}
