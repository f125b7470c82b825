//! What a neuron can ask of the chain.

use std::net::IpAddr;
use std::num::NonZeroU16;

use mirror_identity::{Coldkey, Hotkey};

use crate::{Nonce, Uid};

/// A call in the name of a hotkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Whom it speaks for.
    pub hotkey: Hotkey,
    /// Rises with each transaction of the hotkey. The same one again acts once.
    pub nonce: Nonce,
    /// What is asked.
    pub call: Call,
}

/// What is asked of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Join the subnet with the next free uid.
    Register {
        /// Who will own the neuron.
        coldkey: Coldkey,
    },
    /// Say where the neuron's axon listens.
    ServeAxon(Axon),
    /// Say what other neurons are worth.
    SetWeights {
        /// For whom.
        uids: Vec<Uid>,
        /// How much, beside `uids`; only their proportions count.
        weights: Vec<u16>,
        /// The version of the rules by which they were made.
        version_key: u64,
    },
}

/// Where an axon listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axon {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
}
