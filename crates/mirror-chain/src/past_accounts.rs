//! What accounts were in past blocks, as far back as is held: what each block changed, as it was before.

use std::collections::{BTreeMap, VecDeque};

use mirror_identity::{Coldkey, Hotkey};

use crate::accounts::Accounts;
use crate::{Block, BlockUnavailable, HISTORY_BLOCKS, Rao};

/// Most balances and stakes, as they were before a block, that are held.
pub const HELD_CHANGES: usize = 65_536;

/// What a coldkey has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// Free to use.
    pub free: Rao,
    /// Staked, and with whom.
    pub stakes: BTreeMap<Hotkey, Rao>,
}

/// Balances and stakes as they were before they changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Before {
    pub(crate) balances: BTreeMap<Coldkey, Rao>,
    pub(crate) stakes: BTreeMap<(Hotkey, Coldkey), Rao>,
}

/// What the last blocks changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastAccounts {
    /// Oldest first; blocks that changed nothing are left out.
    blocks: VecDeque<(Block, Before)>,
    /// How many balances and stakes these are.
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
    /// That begins with what accounts are after block `first`.
    pub(crate) fn new(first: Block) -> Self {
        Self {
            blocks: VecDeque::new(),
            changes: 0,
            first,
        }
    }

    /// Notes what a block has changed.
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

    /// What a coldkey had when `block` closed, where `last` is the last closed one.
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
