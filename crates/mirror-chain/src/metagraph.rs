//! The state of the subnet as neurons see it, and its versions over the last blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::epoch::Bond;
use crate::{Axon, Block, Hyperparameters, Rao, Uid, Version, Weight};

/// Maximum number of blocks whose metagraph is held in memory, including the last closed one.
pub const HISTORY_BLOCKS: u64 = 1_024;

/// Maximum memory of these versions, in bytes, not counting neurons that a version shares with the previous one. If the
/// versions take more, fewer blocks are held, but always the newest version.
pub const HISTORY_BYTES: usize = 32 << 20;

/// One version of the subnet's state. Neurons that did not change are shared between versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metagraph {
    /// Increases whenever any other field but `since` changes.
    pub version: Version,
    /// The block whose closing created this version.
    pub since: Block,
    /// The hyperparameters.
    pub hyperparameters: Hyperparameters,
    /// The neurons, by uid.
    pub neurons: Vec<Arc<Neuron>>,
}

/// The chain's data about a neuron.
///
/// Shares are u16, of which 65,535 is 1. Values of the last epoch are 0 until the neuron's first epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neuron {
    /// The hotkey of the neuron.
    pub hotkey: Hotkey,
    /// The coldkey that owns the neuron.
    pub coldkey: Coldkey,
    /// The stake of the owner and the nominators.
    pub stake: Rao,
    /// Stakes by coldkey, including the owner's, in the order of coldkeys.
    pub nominators: Arc<[(Coldkey, Rao)]>,
    /// Address of its axon. `None` if it has not announced one.
    pub axon: Option<Axon>,
    /// Address of its Prometheus endpoint. `None` if it has not announced one.
    pub prometheus: Option<Axon>,
    /// Whether it may set weights for others.
    pub validator_permit: bool,
    /// Block in which it last set or committed to weights. The block of its registration if it never did.
    pub last_update: Block,
    /// Block in which it was registered.
    pub block_at_registration: Block,
    /// As of the last epoch: whether it had set weights within the activity cutoff. `true` for a newcomer.
    pub active: bool,
    /// As of the last epoch, 0 under rules without it: its rank, which equals its incentive.
    pub rank: u16,
    /// As of the last epoch, 0 under rules without it: the share of its rank that is within the consensus.
    pub trust: u16,
    /// As of the last epoch: the weight on which the validators agree for it.
    pub consensus: u16,
    /// As of the last epoch: its share of the emission for the weights given to it.
    pub incentive: u16,
    /// As of the last epoch: its share of the emission for its bonds.
    pub dividends: u16,
    /// As of the last epoch: the share of the weights set by it that is within the consensus.
    pub validator_trust: u16,
    /// As of the last epoch: its emission.
    pub emission: Rao,
    /// As of the last epoch, 0 under rules without it: the pruning score. The neuron with the lowest one is replaced
    /// first. 65,535 for a newcomer that replaced a neuron.
    pub pruning_score: u16,
    /// The weights that it last set, as stored: the largest is 65,535.
    pub weights: Arc<[Weight]>,
    /// As of the last epoch: its bonds in other neurons.
    pub bonds: Arc<[Bond]>,
}

impl Neuron {
    /// Creates a neuron that has just been registered.
    pub(crate) fn registered(hotkey: Hotkey, coldkey: Coldkey, block: Block) -> Self {
        Self {
            hotkey,
            coldkey,
            stake: Rao(0),
            nominators: Arc::new([]),
            axon: None,
            prometheus: None,
            validator_permit: false,
            last_update: block,
            block_at_registration: block,
            active: true,
            rank: 0,
            trust: 0,
            consensus: 0,
            incentive: 0,
            dividends: 0,
            validator_trust: 0,
            emission: Rao(0),
            pruning_score: 0,
            weights: Arc::new([]),
            bonds: Arc::new([]),
        }
    }

    /// Returns its size in memory, in bytes, if it shares its rows with no other neuron.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&self.nominators[..])
            + size_of_val(&self.weights[..])
            + size_of_val(&self.bonds[..])
    }
}

impl Metagraph {
    /// Returns the neuron with this uid. `None` if there is none.
    pub fn neuron(&self, uid: Uid) -> Option<&Neuron> {
        self.neurons.get(uid.index()).map(AsRef::as_ref)
    }
}

/// The error returned when the data of a block is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockUnavailable {
    /// The block is not closed yet.
    #[error("block {block} is not closed yet: the last closed block is {last}")]
    NotClosed {
        /// The requested block.
        block: Block,
        /// The last closed block.
        last: Block,
    },
    /// The block is too old.
    #[error("the data of block {block} is no longer held: the oldest block held is {oldest}")]
    TooOld {
        /// The requested block.
        block: Block,
        /// The oldest block whose data is held.
        oldest: Block,
    },
}

/// The versions of the last blocks. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    newest: Held,
    /// The versions that precede the newest, oldest first.
    earlier: VecDeque<Held>,
    /// Size in memory of all held versions, in bytes.
    bytes: usize,
    /// The block as of which the oldest version was created or restored.
    first: Block,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    version: Arc<Metagraph>,
    /// Size in memory in bytes, without the data shared with the previous version.
    bytes: usize,
}

impl History {
    /// Creates a history that begins with this version, as of block `first`.
    pub(crate) fn new(version: Metagraph, first: Block) -> Self {
        let bytes = added_bytes(&version, &[]);
        Self {
            first,
            newest: Held {
                version: Arc::new(version),
                bytes,
            },
            earlier: VecDeque::new(),
            bytes,
        }
    }

    pub(crate) fn newest(&self) -> &Arc<Metagraph> {
        &self.newest.version
    }

    pub(crate) fn push(&mut self, version: Metagraph) {
        let bytes = added_bytes(&version, &self.newest.version.neurons);
        let newest = Held {
            version: Arc::new(version),
            bytes,
        };
        self.bytes += bytes;
        let previous = std::mem::replace(&mut self.newest, newest);
        self.earlier.push_back(previous);
        while self.bytes > HISTORY_BYTES
            && let Some(second) = self.second()
        {
            self.first = self.first.max(second);
            self.forget_oldest();
        }
    }

    /// Removes the versions that belong to none of the held blocks, where `last` is the last closed block.
    pub(crate) fn forget(&mut self, last: Block) {
        let oldest = self.oldest(last);
        while self.second().is_some_and(|second| second <= oldest) {
            self.forget_oldest();
        }
    }

    /// Returns the version of the metagraph when `block` closed. `last` is the last closed block.
    ///
    /// # Errors
    /// Returns [`BlockUnavailable`] if the block is not closed or no longer held.
    pub(crate) fn at(&self, block: Block, last: Block) -> Result<&Arc<Metagraph>, BlockUnavailable> {
        if block > last {
            return Err(BlockUnavailable::NotClosed { block, last });
        }
        let oldest = self.oldest(last);
        if block < oldest {
            return Err(BlockUnavailable::TooOld { block, oldest });
        }
        if self.newest().since <= block {
            return Ok(self.newest());
        }
        let later = self.earlier.partition_point(|held| held.version.since <= block);
        let index = later
            .checked_sub(1)
            .expect("the oldest version is not newer than the oldest block held");
        Ok(&self.earlier[index].version)
    }

    fn oldest(&self, last: Block) -> Block {
        self.first.max(Block(last.0.saturating_sub(HISTORY_BLOCKS - 1)))
    }

    /// Returns the block since which the second-oldest version exists.
    fn second(&self) -> Option<Block> {
        match self.earlier.len() {
            0 => None,
            1 => Some(self.newest().since),
            _ => self.earlier.get(1).map(|held| held.version.since),
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.earlier.pop_front() {
            self.bytes -= oldest.bytes;
        }
    }
}

/// Returns the size of a version in memory, in bytes, without the neurons that it shares with the previous one.
fn added_bytes(version: &Metagraph, before: &[Arc<Neuron>]) -> usize {
    let added = version.neurons.iter().enumerate().filter(|(uid, neuron)| {
        let shared = before.get(*uid).is_some_and(|before| Arc::ptr_eq(before, neuron));
        !shared
    });
    let added: usize = added.map(|(_, neuron)| neuron.bytes()).sum();
    size_of::<Metagraph>() + size_of_val(&version.neurons[..]) + added
}
