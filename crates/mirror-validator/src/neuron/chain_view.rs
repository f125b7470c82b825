//! What a validator knows of the chain.

use std::collections::BTreeSet;

use mirror_chain::RevealPeriod;
use mirror_identity::Coldkey;
use mirror_proto::protocol::METAGRAPH_SYNC_BLOCKS;
use mirror_subtensor_client::Metagraph;

/// The chain as a validator knows it: the metagraph of its last synchronisation, and the blocks that it counts from.
#[derive(Debug, Default)]
pub struct ChainView {
    /// The block that closed last, as far as the validator knows.
    block: u64,
    /// The block of the metagraph.
    synced_block: u64,
    /// The block in which weights were set last.
    epoch_block: u64,
    metagraph: Metagraph,
    /// The stake behind the validator's hotkey that is not its owner's, by coldkey, in rao.
    nominators: Vec<(Coldkey, u64)>,
    /// The uids whose hotkeys changed since the last event that took them.
    resets: BTreeSet<u32>,
}

impl ChainView {
    /// The block that closed last, as far as the validator knows.
    pub fn block(&self) -> u64 {
        self.block
    }

    /// The block of the metagraph.
    pub fn synced_block(&self) -> u64 {
        self.synced_block
    }

    /// The block in which weights were set last.
    pub fn epoch_block(&self) -> u64 {
        self.epoch_block
    }

    /// The metagraph. Without neurons before the first synchronisation.
    pub fn metagraph(&self) -> &Metagraph {
        &self.metagraph
    }

    /// The stake behind the validator's hotkey that is not its owner's, by coldkey, in rao.
    pub fn nominators(&self) -> &[(Coldkey, u64)] {
        &self.nominators
    }

    /// Notes that `block` has closed.
    pub(crate) fn advance(&mut self, block: u64) {
        self.block = block;
    }

    /// Notes that `block` is the last in which weights were set.
    pub(crate) fn begin_epoch(&mut self, block: u64) {
        self.epoch_block = block;
    }

    /// Replaces the metagraph by a newer one, and adds the uids whose hotkeys differ between the two to those that are
    /// to be reset.
    pub(crate) fn update_metagraph(&mut self, metagraph: Metagraph) {
        self.resets.extend(metagraph.changed_hotkeys(&self.metagraph));
        self.synced_block = metagraph.block;
        self.metagraph = metagraph;
    }

    /// Replaces the nominators.
    pub(crate) fn update_nominators(&mut self, nominators: Vec<(Coldkey, u64)>) {
        self.nominators = nominators;
    }

    /// Takes the uids whose hotkeys changed since this was called last, in ascending order.
    pub(crate) fn take_resets(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.resets).into_iter().collect()
    }

    /// Whether the metagraph is old enough to be fetched again.
    pub(crate) fn is_sync_due(&self) -> bool {
        self.block >= self.synced_block + METAGRAPH_SYNC_BLOCKS
    }

    /// Whether weights are to be set, where that is done every `epoch_length` blocks.
    pub(crate) fn is_epoch_over(&self, epoch_length: u64) -> bool {
        self.block >= self.epoch_block + epoch_length
    }

    /// When commitments of the subnet `netuid` are revealed. `None` if the chain takes weights in the open.
    pub(crate) fn reveal_period(&self, netuid: u16) -> Option<RevealPeriod> {
        let hyperparameters = &self.metagraph.hyperparameters;
        Some(RevealPeriod {
            netuid,
            tempo: hyperparameters.tempo,
            epochs: hyperparameters.reveal_epochs()?,
        })
    }
}
