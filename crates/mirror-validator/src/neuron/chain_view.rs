//! A validator's view of the chain.

use std::collections::BTreeSet;

use mirror_chain::RevealPeriod;
use mirror_identity::Coldkey;
use mirror_proto::protocol::METAGRAPH_SYNC_BLOCKS;
use mirror_subtensor_client::Metagraph;

/// The chain as a validator knows it: the metagraph of its last synchronisation, and the blocks from which it counts.
#[derive(Debug, Default)]
pub struct ChainView {
    /// The last closed block that the validator knows of.
    block: u64,
    /// Block of the metagraph.
    synced_block: u64,
    /// Last closed block when weights were last submitted, or when the validator first synchronised.
    epoch_block: u64,
    metagraph: Metagraph,
    /// Stake on the validator's hotkey from coldkeys other than its owner's, by coldkey, in rao.
    nominators: Vec<(Coldkey, u64)>,
    /// The uids whose hotkeys have changed since the resets were last taken.
    resets: BTreeSet<u32>,
}

impl ChainView {
    /// Returns the last closed block that the validator knows of.
    pub fn block(&self) -> u64 {
        self.block
    }

    /// Returns the block of the metagraph.
    pub fn synced_block(&self) -> u64 {
        self.synced_block
    }

    /// Returns the last closed block when weights were last submitted, or when the validator first synchronised. The
    /// next weights are due an epoch later.
    pub fn epoch_block(&self) -> u64 {
        self.epoch_block
    }

    /// Returns the metagraph. It has no neurons before the first synchronisation.
    pub fn metagraph(&self) -> &Metagraph {
        &self.metagraph
    }

    /// Returns the stake on the validator's hotkey from coldkeys other than its owner's, by coldkey, in rao.
    pub fn nominators(&self) -> &[(Coldkey, u64)] {
        &self.nominators
    }

    /// Sets the last closed block.
    pub(crate) fn advance(&mut self, block: u64) {
        self.block = block;
    }

    /// Starts a weights epoch at `block`.
    pub(crate) fn begin_epoch(&mut self, block: u64) {
        self.epoch_block = block;
    }

    /// Replaces the metagraph with a newer one, and adds the uids whose hotkeys differ to the pending resets.
    pub(crate) fn update_metagraph(&mut self, metagraph: Metagraph) {
        self.resets.extend(metagraph.changed_hotkeys(&self.metagraph));
        self.synced_block = metagraph.block;
        self.metagraph = metagraph;
    }

    /// Replaces the nominators.
    pub(crate) fn update_nominators(&mut self, nominators: Vec<(Coldkey, u64)>) {
        self.nominators = nominators;
    }

    /// Takes the uids whose hotkeys have changed since the last call, in ascending order.
    pub(crate) fn take_resets(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.resets).into_iter().collect()
    }

    /// Returns whether the metagraph is due to be fetched again.
    pub(crate) fn is_sync_due(&self) -> bool {
        self.block >= self.synced_block + METAGRAPH_SYNC_BLOCKS
    }

    /// Returns whether weights are due, if they are set every `epoch_length` blocks.
    pub(crate) fn is_epoch_over(&self, epoch_length: u64) -> bool {
        self.block >= self.epoch_block + epoch_length
    }

    /// Returns the reveal period of commitments in the subnet `netuid`. `None` if the chain accepts weights in the
    /// open.
    pub(crate) fn reveal_period(&self, netuid: u16) -> Option<RevealPeriod> {
        let hyperparameters = &self.metagraph.hyperparameters;
        Some(RevealPeriod {
            netuid,
            tempo: hyperparameters.tempo,
            epochs: hyperparameters.reveal_epochs()?,
        })
    }
}
