//! The first state of a chain.

use mirror_identity::{Coldkey, Hotkey};

use crate::{Block, Hyperparameters, MAX_UIDS, Rao};

/// The first state of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Which subnet; shifts the blocks at which its epochs fall.
    pub netuid: u16,
    /// The block that closes first, 1..=4,294,967,295. Block 0 is the genesis itself.
    pub first_block: Block,
    /// The rules.
    pub hyperparameters: Hyperparameters,
    /// Neurons that are registered from the start, by uid.
    pub neurons: Vec<GenesisNeuron>,
    /// Stake that others gave to these neurons.
    pub nominations: Vec<Nomination>,
}

/// A neuron that is registered from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisNeuron {
    /// Speaks for the neuron.
    pub hotkey: Hotkey,
    /// Owns it.
    pub coldkey: Coldkey,
    /// The owner's own stake.
    pub stake: Rao,
    /// May set weights for others.
    pub validator_permit: bool,
}

/// Stake that a coldkey gives to a hotkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nomination {
    /// Who is nominated.
    pub hotkey: Hotkey,
    /// Whose stake it is.
    pub coldkey: Coldkey,
    /// How much.
    pub stake: Rao,
}

impl Genesis {
    /// A chain of subnet 1 without neurons whose first block is 1.
    pub fn empty(hyperparameters: Hyperparameters) -> Self {
        Self {
            netuid: 1,
            first_block: Block(1),
            hyperparameters,
            neurons: Vec::new(),
            nominations: Vec::new(),
        }
    }
}

/// A genesis that no chain can start from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The number of the first block is out of range.
    #[error("the first block is numbered 1 to 4,294,967,295, not {}", block.0)]
    FirstBlock {
        /// The number given.
        block: Block,
    },
    /// `max_uids` is out of range.
    #[error("max_uids is 1 to {MAX_UIDS}, not {max_uids}")]
    MaxUids {
        /// The number given.
        max_uids: u32,
    },
    /// More neurons than the subnet has room for.
    #[error("{count} neurons do not fit: the subnet has room for {max_uids}")]
    TooManyNeurons {
        /// Neurons given.
        count: usize,
        /// Room there is.
        max_uids: u32,
    },
    /// Two neurons have one hotkey.
    #[error("neurons {first} and {second} have the same hotkey {hotkey}")]
    DuplicateHotkey {
        /// The hotkey.
        hotkey: Hotkey,
        /// Uid of the one.
        first: usize,
        /// Uid of the other.
        second: usize,
    },
    /// A nomination of a hotkey that is no neuron's.
    #[error("coldkey {coldkey} nominates {hotkey}, which is the hotkey of no neuron")]
    UnknownNominee {
        /// The hotkey.
        hotkey: Hotkey,
        /// Who nominates it.
        coldkey: Coldkey,
    },
    /// The stake of one hotkey is more than 2^64 - 1 rao.
    #[error("the stake of hotkey {hotkey} is more than 18,446,744,073,709,551,615 rao in all")]
    StakeOverflow {
        /// The hotkey.
        hotkey: Hotkey,
    },
}
