//! The state of the subnet as neurons see it, and its versions over the last blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey};
use serde::{Deserialize, Serialize};

use crate::epoch::Bond;
use crate::{Axon, Block, Hyperparameters, Rao, Uid, Version, Weight};

/// Most blocks, the last closed one included, whose metagraph is held in memory.
pub const HISTORY_BLOCKS: u64 = 1_024;

/// What the versions of those blocks may take in memory beside the newest, bytes, as far as they share nothing; where
/// they take more, fewer blocks can be asked for.
pub const HISTORY_BYTES: usize = 32 << 20;

/// One version of the subnet's state. Neurons that did not change are shared between versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metagraph {
    /// Rises whenever anything below changes.
    pub version: Version,
    /// The block with whose closing it came to be.
    pub since: Block,
    /// The rules.
    pub hyperparameters: Hyperparameters,
    /// By uid.
    pub neurons: Vec<Arc<Neuron>>,
}

/// What the chain knows about a neuron.
///
/// Shares are u16, 65,535 is 1. What is of the last epoch is 0 before a neuron's first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neuron {
    /// Speaks for it.
    pub hotkey: Hotkey,
    /// Owns it.
    pub coldkey: Coldkey,
    /// The owner's and the nominators' stake.
    pub stake: Rao,
    /// Whose the stake is, its owner's among them; in the order of coldkeys.
    pub nominators: Arc<[(Coldkey, Rao)]>,
    /// Where it serves, if it does.
    pub axon: Option<Axon>,
    /// Where its figures are served, if they are.
    pub prometheus: Option<Axon>,
    /// May set weights for others.
    pub validator_permit: bool,
    /// When it set weights last, or committed to some; before it ever did, when it was registered.
    pub last_update: Block,
    /// When it was registered.
    pub block_at_registration: Block,
    /// As of the last epoch: whether it had set weights within the activity cutoff; a newcomer has.
    pub active: bool,
    /// As of the last epoch, where the rules still have it: the same as its incentive.
    pub rank: u16,
    /// As of the last epoch, where the rules still have it: what part of the weights given to it was within consensus.
    pub trust: u16,
    /// As of the last epoch: the weight that validators agree on for it.
    pub consensus: u16,
    /// As of the last epoch: its share of what is paid for what was given to it.
    pub incentive: u16,
    /// As of the last epoch: its share of what is paid for what it gave.
    pub dividends: u16,
    /// As of the last epoch: what part of the weights that it gave was within consensus.
    pub validator_trust: u16,
    /// As of the last epoch: what it was paid.
    pub emission: Rao,
    /// As of the last epoch, where the rules still have it: who has the lowest is replaced first.
    pub pruning_score: u16,
    /// What it set last, as stored: 65,535 is its largest.
    pub weights: Arc<[Weight]>,
    /// As of the last epoch: what it has in others.
    pub bonds: Arc<[Bond]>,
}

impl Neuron {
    /// One that has just joined.
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

    /// What it takes in memory, if it shares its rows with no other.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&self.nominators[..])
            + size_of_val(&self.weights[..])
            + size_of_val(&self.bonds[..])
    }
}

impl Metagraph {
    /// The neuron with this uid.
    pub fn neuron(&self, uid: Uid) -> Option<&Neuron> {
        self.neurons.get(uid.index()).map(AsRef::as_ref)
    }
}

/// A block of which what is asked for is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockUnavailable {
    /// Not closed yet.
    #[error("block {block} has not closed, the last that has is {last}")]
    NotClosed {
        /// The block asked for.
        block: Block,
        /// The last closed block.
        last: Block,
    },
    /// Too long ago.
    #[error("what was at block {block} is not held any more, the oldest held is of block {oldest}")]
    TooOld {
        /// The block asked for.
        block: Block,
        /// The oldest block of which it is held.
        oldest: Block,
    },
}

/// The versions of the last blocks; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    newest: Held,
    /// Before the newest, oldest first.
    earlier: VecDeque<Held>,
    /// Of all that are held, bytes.
    bytes: usize,
    /// As of this block the oldest was made, or read back.
    first: Block,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    version: Arc<Metagraph>,
    /// What it takes beside what it shares with the version before.
    bytes: usize,
}

impl History {
    /// That begins with this version, as of block `first`.
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

    /// Lets go of versions that no block reaching back from `last` has.
    pub(crate) fn forget(&mut self, last: Block) {
        let oldest = self.oldest(last);
        while self.second().is_some_and(|second| second <= oldest) {
            self.forget_oldest();
        }
    }

    /// The version that block `block` had when it closed, where `last` is the last closed one.
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
            .expect("the oldest version is not younger than the oldest block held");
        Ok(&self.earlier[index].version)
    }

    fn oldest(&self, last: Block) -> Block {
        self.first.max(Block(last.0.saturating_sub(HISTORY_BLOCKS - 1)))
    }

    /// Since when there is the version after the oldest.
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

/// What a version takes in memory beside the neurons that it shares with the one before, bytes.
fn added_bytes(version: &Metagraph, before: &[Arc<Neuron>]) -> usize {
    let added = version.neurons.iter().enumerate().filter(|(uid, neuron)| {
        let shared = before.get(*uid).is_some_and(|before| Arc::ptr_eq(before, neuron));
        !shared
    });
    let added: usize = added.map(|(_, neuron)| neuron.bytes()).sum();
    size_of::<Metagraph>() + size_of_val(&version.neurons[..]) + added
}
