//! The state machine: transactions go into the open block, and closing it applies them.

use std::cmp::Ordering;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey, PublicKey};
use serde::{Deserialize, Serialize};

use crate::block_hash::{BlockHash, BlockHashes};
use crate::metagraph::History;
use crate::past_accounts::{Holdings, PastAccounts};
use crate::pool::{Pool, Remembered, Taken};
use crate::state::State;
use crate::state_hash::CallHash;
use crate::{
    Asked, Block, DispatchError, Genesis, GenesisError, Issuance, Metadata, Metagraph, Nonce, NotHeld,
    PaidEpoch, Rao, Submitted, SubnetOwner, Transaction, Uid, Version,
};

/// The chain of one subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The last closed block.
    pub(crate) closed: Block,
    pub(crate) history: History,
    pub(crate) state: State,
    pub(crate) pool: Pool,
    pub(crate) remembered: Remembered,
    pub(crate) hashes: BlockHashes,
    pub(crate) past_accounts: PastAccounts,
}

/// A block that has just closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedBlock {
    /// Its number.
    pub block: Block,
    /// Its transactions, in the order (signer, nonce).
    pub applied: Vec<Applied>,
    /// What they asked for, beside `applied`.
    pub asked: Vec<Asked>,
    /// The epoch that came with it, if one did.
    pub epoch: Option<PaidEpoch>,
    /// Whether the metagraph has a new version.
    pub metagraph_changed: bool,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Whom it spoke for.
    pub signer: PublicKey,
    /// Which of the signer's it was.
    pub nonce: Nonce,
    /// Whether it took effect, or why not.
    pub outcome: Result<(), DispatchError>,
}

impl Chain {
    /// The chain before its first block. Its metagraph has version 1 and is that of the block before the first.
    pub fn genesis(genesis: Genesis) -> Result<Self, GenesisError> {
        let (state, closed) = genesis.state()?;
        let version = Metagraph {
            version: Version(1),
            since: closed,
            hyperparameters: state.rules.clone(),
            neurons: state.neurons.clone(),
        };
        let mut chain = Self {
            closed,
            history: History::new(version, closed),
            state,
            pool: Pool::default(),
            remembered: Remembered::default(),
            hashes: BlockHashes::default(),
            past_accounts: PastAccounts::new(closed),
        };
        chain.hashes.push(BlockHash(chain.state_hash().bytes()));
        Ok(chain)
    }

    /// Takes a transaction into the open block. The same transaction again changes nothing and is answered with the
    /// block it was taken in before.
    ///
    /// # Errors
    /// [`DispatchError::Stale`] for another call under a nonce that the signer has used, and for a nonce below the
    /// highest of the signer's closed blocks whose answer is no longer remembered (after
    /// [`REMEMBERED_BLOCKS`](crate::REMEMBERED_BLOCKS), or
    /// [`REMEMBERED_TRANSACTIONS`](crate::REMEMBERED_TRANSACTIONS) others); [`DispatchError::ExhaustsResources`] for a
    /// full block. All other refusals come with the block's closing.
    pub fn submit(&mut self, transaction: Transaction) -> Result<Submitted, DispatchError> {
        let block = self.open_block();
        match self.pool.call(&transaction) {
            Some(call) if *call == transaction.call => return Ok(Submitted::Repeated { block }),
            Some(_) => return Err(DispatchError::Stale),
            None => {}
        }
        if let Some(taken) = self.remembered.taken(&transaction) {
            return taken.answer(&transaction.call);
        }
        if let Some(spent) = self.state.spent.get(&transaction.signer) {
            match transaction.nonce.cmp(&spent.nonce) {
                Ordering::Less => return Err(DispatchError::Stale),
                Ordering::Equal => return spent.taken.answer(&transaction.call),
                Ordering::Greater => {}
            }
        }
        self.pool.take(transaction)?;
        Ok(Submitted::Taken { block })
    }

    /// Closes the open block: applies its transactions in the order (signer, nonce), mints its reward, then runs the
    /// epoch if one is due. (The real chain does the last two before a block's transactions, so that here an epoch sees
    /// what was said in its own block.)
    pub fn close_block(&mut self) -> ClosedBlock {
        let block = self.open_block();
        self.closed = block;
        self.history.forget(block);
        let state = &mut self.state;
        state.registrations.begin_block(&state.rules, block);
        let (mut applied, mut asked) = (Vec::new(), Vec::new());
        let mut hash = self.hashes.begin(block);
        for transaction in self.pool.drain() {
            let Transaction { signer, nonce, .. } = transaction;
            asked.push(Asked::of(&transaction.call));
            let taken = Taken {
                call: CallHash::of(&transaction.call),
                block,
            };
            hash.add(signer, nonce, taken.call);
            let outcome = state.apply(transaction, taken);
            self.remembered.remember(signer, nonce, taken);
            applied.push(Applied {
                signer,
                nonce,
                outcome,
            });
        }
        self.remembered.forget(block);
        self.hashes.push(hash.finish());
        state.accounts.mint_block_reward(state.rules.block_emission);
        let epoch = epoch_is_due(block, state.netuid, state.rules.tempo).then(|| state.run_epoch(block));
        self.past_accounts.push(block, state.accounts.take_before());
        let metagraph_changed = self.keep_version(block);
        ClosedBlock {
            block,
            applied,
            asked,
            epoch,
            metagraph_changed,
        }
    }

    /// Makes the next version of the metagraph, if anything is not as it was.
    fn keep_version(&mut self, block: Block) -> bool {
        let before = self.history.newest();
        // Neurons that nobody touched are the same allocation, which makes this cheap.
        let changed = self.state.neurons != before.neurons || self.state.rules != before.hyperparameters;
        if changed {
            let version = Metagraph {
                version: before.version.next(),
                since: block,
                hyperparameters: self.state.rules.clone(),
                neurons: self.state.neurons.clone(),
            };
            self.history.push(version);
        }
        changed
    }

    /// The last closed block; before the first, the one before it.
    pub fn block(&self) -> Block {
        self.closed
    }

    /// The block that takes transactions now.
    pub fn open_block(&self) -> Block {
        self.closed.next()
    }

    /// The metagraph as of the last closed block.
    pub fn metagraph(&self) -> &Arc<Metagraph> {
        self.history.newest()
    }

    /// The metagraph as of an earlier block, one of the last [`HISTORY_BLOCKS`](crate::HISTORY_BLOCKS) while their
    /// versions take no more than [`HISTORY_BYTES`](crate::HISTORY_BYTES). A chain that was read from a snapshot has
    /// none from before.
    pub fn metagraph_at(&self, block: Block) -> Result<&Arc<Metagraph>, NotHeld> {
        self.history.at(block, self.closed)
    }

    /// The last block that an epoch came with, if there was one.
    pub fn last_epoch(&self) -> Option<Block> {
        self.state.last_epoch
    }

    /// The uid of a hotkey.
    pub fn uid(&self, hotkey: &Hotkey) -> Option<Uid> {
        self.state.uids.get(hotkey).copied()
    }

    /// Whose stake a hotkey has, its owner's among them, and how much; in the order of coldkeys. A hotkey can have
    /// stake that is a neuron no longer.
    pub fn nominators(&self, hotkey: &Hotkey) -> impl Iterator<Item = (Coldkey, Rao)> {
        self.state.accounts.nominators(*hotkey)
    }

    /// Who takes stake from others, and what share of their dividends each keeps, 65,535 is all; in the order of
    /// hotkeys.
    pub fn delegates(&self) -> impl Iterator<Item = (Hotkey, u16)> {
        self.state.takes.iter().map(|(&hotkey, &take)| (hotkey, take))
    }

    /// What a coldkey has free to use.
    pub fn balance(&self, coldkey: &Coldkey) -> Rao {
        self.state.accounts.balance(coldkey)
    }

    /// What a coldkey had when an earlier block closed, one of the last [`HISTORY_BLOCKS`](crate::HISTORY_BLOCKS) while
    /// no more than [`HELD_CHANGES`](crate::HELD_CHANGES) balances and stakes have changed since. A chain that was read
    /// from a snapshot knows none from before.
    pub fn holdings_at(&self, coldkey: Coldkey, block: Block) -> Result<Holdings, NotHeld> {
        self.past_accounts
            .at(coldkey, block, self.closed, &self.state.accounts)
    }

    /// The hash of a closed block, one of the last [`HELD_HASHES`](crate::HELD_HASHES).
    pub fn block_hash(&self, block: Block) -> Result<BlockHash, NotHeld> {
        self.hashes.at(block, self.closed)
    }

    /// What a hotkey has published last.
    pub fn metadata(&self, hotkey: &Hotkey) -> Option<&Metadata> {
        self.state.published.of(hotkey)
    }

    /// The number of the subnet.
    pub fn netuid(&self) -> u16 {
        self.state.netuid
    }

    /// Who may change the rules.
    pub fn owner(&self) -> Option<&SubnetOwner> {
        self.state.owner.as_ref()
    }

    /// All that coldkeys have free to use, in their order; none has nothing.
    pub fn balances(&self) -> impl Iterator<Item = (Coldkey, Rao)> {
        let balances = self.state.accounts.balances().iter();
        balances.map(|(&coldkey, &free)| (coldkey, free))
    }

    /// All that coldkeys have staked with hotkeys, in the order (hotkey, coldkey); none has nothing.
    pub fn stakes(&self) -> impl Iterator<Item = (Hotkey, Coldkey, Rao)> {
        let stakes = self.state.accounts.stakes().iter();
        stakes.map(|(&(hotkey, coldkey), &stake)| (hotkey, coldkey, stake))
    }

    /// Where all coins have come from and gone to.
    pub fn issuance(&self) -> Issuance {
        self.state.accounts.issuance()
    }

    /// What a registration costs in the open block, unless others come before.
    pub fn burn(&self) -> Rao {
        self.state.registrations.burn
    }
}

/// Blocks that a node closes by itself after the last step, at most, until an epoch comes; with a tempo of as many or
/// more it closes none.
pub const SETTLING_BLOCKS: u64 = 10_001;

/// The first block of `from` and those after it with which an epoch comes. `None` if none ever does.
pub fn next_epoch(from: Block, netuid: u16, tempo: u64) -> Option<Block> {
    let epoch = tempo.saturating_add(1);
    let shift = u64::from(netuid) + 1;
    let number = from.0.saturating_add(shift).div_ceil(epoch);
    (tempo != 0).then(|| Block(number.saturating_mul(epoch).saturating_sub(shift)))
}

/// Epochs fall on blocks as they do on the real chain: each `tempo + 1` blocks, shifted by the number of the subnet.
fn epoch_is_due(block: Block, netuid: u16, tempo: u64) -> bool {
    tempo != 0 && (block.0 + u64::from(netuid) + 1).is_multiple_of(tempo.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_epoch_is_the_first_block_that_is_due() {
        for (netuid, tempo) in [(0, 1), (1, 9), (1, 10), (7, 99), (65_535, 360)] {
            for from in (1..1_000).map(Block) {
                let due = (from.0..from.0 + 1_000)
                    .map(Block)
                    .find(|&block| epoch_is_due(block, netuid, tempo));
                assert_eq!(next_epoch(from, netuid, tempo), due);
            }
        }
        assert_eq!(next_epoch(Block(1), 1, 0), None);
    }
}
