//! Balances and stakes of past blocks, as far back as they are held. For each block, the previous values of all changed
//! entries are stored.

use std::collections::{BTreeMap, VecDeque};

use mirror_identity::{Coldkey, Hotkey};

use crate::accounts::Accounts;
use crate::{Block, BlockUnavailable, HISTORY_BLOCKS, Rao};

/// Maximum number of previous balances and stakes that are held.
pub const HELD_CHANGES: usize = 65_536;

/// The holdings of a coldkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// The free balance.
    pub free: Rao,
    /// The stake with each hotkey.
    pub stakes: BTreeMap<Hotkey, Rao>,
}

/// Previous values of changed balances and stakes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Before {
    pub(crate) balances: BTreeMap<Coldkey, Rao>,
    pub(crate) stakes: BTreeMap<(Hotkey, Coldkey), Rao>,
}

/// The changes of the last blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastAccounts {
    /// Oldest first. Blocks without changes are left out.
    blocks: VecDeque<(Block, Before)>,
    /// Total number of stored balances and stakes.
    changes: usize,
    /// The oldest block whose accounts are known.
    first: Block,
}

impl Before {
    fn len(&self) -> usize {
        self.balances.len() + self.stakes.len()
    }
}

impl PastAccounts {
    /// Creates a history that begins with the accounts after block `first`.
    pub(crate) fn new(first: Block) -> Self {
        Self {
            blocks: VecDeque::new(),
            changes: 0,
            first,
        }
    }

    /// Records the changes of a block.
    pub(crate) fn push(&mut self, block: Block, before: Before) {
        if before.len() > 0 {
            self.changes += before.len();
            self.blocks.push_back((block, before));
        }
        let oldest = block.0.saturating_sub(HISTORY_BLOCKS - 1);
        while let Some((changed, before)) = self.blocks.front()
            && (changed.0 <= oldest || self.changes > HELD_CHANGES)
        {
            self.changes -= before.len();
            self.first = *changed;
            self.blocks.pop_front();
        }
        self.first = self.first.max(Block(oldest));
    }

    /// Returns the holdings of a coldkey when `block` closed. `last` is the last closed block.
    ///
    /// # Errors
    /// Returns [`BlockUnavailable`] if the block is not closed or no longer held.
    pub(crate) fn at(
        &self,
        coldkey: Coldkey,
        block: Block,
        last: Block,
        now: &Accounts,
    ) -> Result<Holdings, BlockUnavailable> {
        if block > last {
            return Err(BlockUnavailable::NotClosed { block, last });
        }
        if block < self.first {
            let oldest = self.first;
            return Err(BlockUnavailable::TooOld { block, oldest });
        }
        let mut held = now.holdings(coldkey);
        let later = self
            .blocks
            .iter()
            .rev()
            .take_while(|(changed, _)| *changed > block);
        for (_, before) in later {
            if let Some(&free) = before.balances.get(&coldkey) {
                held.free = free;
            }
            let stakes = before.stakes.iter().filter(|((_, of), _)| *of == coldkey);
            for (&(hotkey, _), &stake) in stakes {
                if stake == Rao(0) {
                    held.stakes.remove(&hotkey);
                } else {
                    held.stakes.insert(hotkey, stake);
                }
            }
        }
        Ok(held)
    }
}
