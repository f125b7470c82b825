//! The state machine: transactions are added to the open block, and closing the block applies them.

use std::cmp::Ordering;
use std::sync::Arc;

use mirror_identity::{Coldkey, Hotkey, PublicKey};
use serde::{Deserialize, Serialize};

use crate::block_hash::{BlockHash, BlockHashes};
use crate::metagraph::History;
use crate::past_accounts::{Holdings, PastAccounts};
use crate::pool::{Included, Pool, RecentTxs};
use crate::state::State;
use crate::state_hash::CallHash;
use crate::{
    Block, BlockUnavailable, CallSummary, DispatchError, Genesis, GenesisError, Issuance, Metadata,
    Metagraph, Nonce, PaidEpoch, Rao, Submitted, SubnetOwner, Transaction, Uid, Version,
};

/// The chain of one subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The last closed block.
    pub(crate) closed: Block,
    pub(crate) history: History,
    pub(crate) state: State,
    pub(crate) pool: Pool,
    pub(crate) recent_txs: RecentTxs,
    pub(crate) hashes: BlockHashes,
    pub(crate) past_accounts: PastAccounts,
}

/// The result of closing a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedBlock {
    /// Number of the block.
    pub block: Block,
    /// Results of its transactions, in the order (signer, nonce).
    pub applied: Vec<Applied>,
    /// Summaries of the calls of these transactions, parallel to `applied`.
    pub asked: Vec<CallSummary>,
    /// The epoch that ran in this block. `None` if none was due.
    pub epoch: Option<PaidEpoch>,
    /// Whether the metagraph has a new version.
    pub metagraph_changed: bool,
}

/// The result of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The signer of the transaction.
    pub signer: PublicKey,
    /// The nonce of the transaction.
    pub nonce: Nonce,
    /// `Ok` if the call took effect, otherwise the reason why it did not.
    pub outcome: Result<(), DispatchError>,
}

impl Chain {
    /// Creates the chain in the state before its first block. Its metagraph has version 1 and belongs to the block that
    /// precedes the first.
    ///
    /// # Errors
    /// Returns [`GenesisError`] if the genesis is invalid.
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
            recent_txs: RecentTxs::default(),
            hashes: BlockHashes::default(),
            past_accounts: PastAccounts::new(closed),
        };
        chain.hashes.push(BlockHash(chain.state_hash().bytes()));
        Ok(chain)
    }

    /// Adds a transaction to the open block. Repeating a transaction changes nothing and returns the block that first
    /// included it.
    ///
    /// # Errors
    /// Returns [`DispatchError::Stale`] if the signer has used the nonce for another call, or if the nonce is below the
    /// highest that the signer has used in a closed block and its answer is no longer remembered (after
    /// [`RECENT_TX_BLOCKS`](crate::RECENT_TX_BLOCKS) blocks or [`MAX_RECENT_TXS`](crate::MAX_RECENT_TXS) other
    /// transactions). Returns [`DispatchError::ExhaustsResources`] if the block is full. All other errors are reported
    /// when the block closes.
    pub fn submit(&mut self, transaction: Transaction) -> Result<Submitted, DispatchError> {
        let block = self.open_block();
        match self.pool.call(&transaction) {
            Some(call) if *call == transaction.call => return Ok(Submitted::Repeated { block }),
            Some(_) => return Err(DispatchError::Stale),
            None => {}
        }
        if let Some(included) = self.recent_txs.included(&transaction) {
            return included.answer(&transaction.call);
        }
        if let Some(nonces) = self.state.nonces.get(&transaction.signer) {
            match transaction.nonce.cmp(&nonces.nonce) {
                Ordering::Less => return Err(DispatchError::Stale),
                Ordering::Equal => return nonces.included.answer(&transaction.call),
                Ordering::Greater => {}
            }
        }
        self.pool.take(transaction)?;
        Ok(Submitted::Included { block })
    }

    /// Closes the open block: applies its transactions in the order (signer, nonce), mints its reward, then runs the
    /// epoch if one is due. (The real chain mints the reward and runs the epoch before the block's transactions. Here,
    /// an epoch includes the weights that were set in its block.)
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
            asked.push(CallSummary::of(&transaction.call));
            let included = Included {
                call: CallHash::of(&transaction.call),
                block,
            };
            hash.add(signer, nonce, included.call);
            let outcome = state.apply(transaction, included);
            self.recent_txs.remember(signer, nonce, included);
            applied.push(Applied {
                signer,
                nonce,
                outcome,
            });
        }
        self.recent_txs.forget(block);
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

    /// Adds a version of the metagraph if anything has changed. Returns whether it has.
    fn keep_version(&mut self, block: Block) -> bool {
        let before = self.history.newest();
        // Unchanged neurons share their allocation, which makes the comparison cheap.
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

    /// Returns the last closed block, or the block that precedes the first one if no block has closed.
    pub fn block(&self) -> Block {
        self.closed
    }

    /// Returns whether an epoch runs when the open block closes, unless a transaction of the block changes the tempo.
    pub fn runs_epoch(&self) -> bool {
        epoch_is_due(self.open_block(), self.state.netuid, self.state.rules.tempo)
    }

    /// Returns the block that currently accepts transactions.
    pub fn open_block(&self) -> Block {
        self.closed.next()
    }

    /// Returns the metagraph as of the last closed block.
    pub fn metagraph(&self) -> &Arc<Metagraph> {
        self.history.newest()
    }

    /// Returns the metagraph as of an earlier block. The last [`HISTORY_BLOCKS`](crate::HISTORY_BLOCKS) blocks are
    /// available, or fewer if their versions take more than [`HISTORY_BYTES`](crate::HISTORY_BYTES). A chain that was
    /// restored from a snapshot has no earlier versions.
    ///
    /// # Errors
    /// Returns [`BlockUnavailable`] if the block is not closed or no longer held.
    pub fn metagraph_at(&self, block: Block) -> Result<&Arc<Metagraph>, BlockUnavailable> {
        self.history.at(block, self.closed)
    }

    /// Returns the block of the last epoch. `None` if no epoch has run.
    pub fn last_epoch(&self) -> Option<Block> {
        self.state.last_epoch
    }

    /// Returns the uid of a hotkey. `None` if it is not registered.
    pub fn uid(&self, hotkey: &Hotkey) -> Option<Uid> {
        self.state.uids.get(hotkey).copied()
    }

    /// Returns the coldkeys with stake in a hotkey, including its owner, and their stakes, in the order of coldkeys. A
    /// hotkey that is no longer a neuron can still have stake.
    pub fn nominators(&self, hotkey: &Hotkey) -> impl Iterator<Item = (Coldkey, Rao)> {
        self.state.accounts.nominators(*hotkey)
    }

    /// Returns the delegates and the share of their nominators' dividends that each keeps (65,535 is all), in the order
    /// of hotkeys.
    pub fn delegates(&self) -> impl Iterator<Item = (Hotkey, u16)> {
        self.state.takes.iter().map(|(&hotkey, &take)| (hotkey, take))
    }

    /// Returns the free balance of a coldkey.
    pub fn balance(&self, coldkey: &Coldkey) -> Rao {
        self.state.accounts.balance(coldkey)
    }

    /// Returns the holdings of a coldkey when an earlier block closed. The last
    /// [`HISTORY_BLOCKS`](crate::HISTORY_BLOCKS) blocks are available, or fewer if more than
    /// [`HELD_CHANGES`](crate::HELD_CHANGES) balances and stakes have changed since. A chain that was restored from a
    /// snapshot has no earlier holdings.
    ///
    /// # Errors
    /// Returns [`BlockUnavailable`] if the block is not closed or no longer held.
    pub fn holdings_at(&self, coldkey: Coldkey, block: Block) -> Result<Holdings, BlockUnavailable> {
        self.past_accounts
            .at(coldkey, block, self.closed, &self.state.accounts)
    }

    /// Returns the hash of a closed block, one of the last [`HELD_HASHES`](crate::HELD_HASHES).
    ///
    /// # Errors
    /// Returns [`BlockUnavailable`] if the block is not closed or no longer held.
    pub fn block_hash(&self, block: Block) -> Result<BlockHash, BlockUnavailable> {
        self.hashes.at(block, self.closed)
    }

    /// Returns the metadata that a hotkey last published.
    pub fn metadata(&self, hotkey: &Hotkey) -> Option<&Metadata> {
        self.state.metadata.of(hotkey)
    }

    /// Returns the number of the subnet.
    pub fn netuid(&self) -> u16 {
        self.state.netuid
    }

    /// Returns the subnet's owner, who may change the hyperparameters.
    pub fn owner(&self) -> Option<&SubnetOwner> {
        self.state.owner.as_ref()
    }

    /// Returns all free balances, in the order of coldkeys. Balances of 0 are left out.
    pub fn balances(&self) -> impl Iterator<Item = (Coldkey, Rao)> {
        let balances = self.state.accounts.balances().iter();
        balances.map(|(&coldkey, &free)| (coldkey, free))
    }

    /// Returns all stakes, in the order (hotkey, coldkey). Stakes of 0 are left out.
    pub fn stakes(&self) -> impl Iterator<Item = (Hotkey, Coldkey, Rao)> {
        let stakes = self.state.accounts.stakes().iter();
        stakes.map(|(&(hotkey, coldkey), &stake)| (hotkey, coldkey, stake))
    }

    /// Returns the sources and sinks of all coins.
    pub fn issuance(&self) -> Issuance {
        self.state.accounts.issuance()
    }

    /// Returns the price of a registration as of the last closed block. In the open block, the adjustment at its
    /// beginning and earlier registrations may change it.
    pub fn burn(&self) -> Rao {
        self.state.registrations.burn
    }
}

/// Maximum number of blocks that a node closes after the last step until an epoch runs. With a tempo of this many
/// blocks or more it closes none.
pub const SETTLING_BLOCKS: u64 = 10_001;

/// Returns the first block, `from` or later, with which an epoch runs. `None` if none ever does.
pub fn next_epoch(from: Block, netuid: u16, tempo: u64) -> Option<Block> {
    let epoch = tempo.saturating_add(1);
    let shift = u64::from(netuid) + 1;
    let number = from.0.saturating_add(shift).div_ceil(epoch);
    (tempo != 0).then(|| Block(number.saturating_mul(epoch).saturating_sub(shift)))
}

/// Returns whether an epoch is due. As on the real chain, epochs run every `tempo + 1` blocks, shifted by the number of
/// the subnet. A tempo of 0 disables them.
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
