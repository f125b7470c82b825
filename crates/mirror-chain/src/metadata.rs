//! What neurons keep on the chain for others to read: bytes that mean nothing to it, such as the name of a model.

use std::collections::BTreeMap;

use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::{Block, DispatchError};

/// Most bytes that a hotkey can publish at once.
pub const MAX_METADATA: usize = 128;

/// Most bytes that a hotkey can publish between two epochs, as on the real chain.
const EPOCH_BYTES: u64 = 3_100;

/// What is counted of less.
const MIN_BYTES: u64 = 100;

/// What a hotkey has published last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The bytes, at most [`MAX_METADATA`].
    pub data: Vec<u8>,
    /// In which block.
    pub block: Block,
}

/// Of those neurons that have published something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct MetadataStore(BTreeMap<Hotkey, MetadataEntry>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetadataEntry {
    pub(crate) metadata: Metadata,
    /// Published since the last epoch, bytes.
    pub(crate) bytes: u64,
    /// Which epoch that is.
    pub(crate) epoch: u64,
}

impl MetadataStore {
    pub(crate) fn of(&self, hotkey: &Hotkey) -> Option<&Metadata> {
        self.0.get(hotkey).map(|metadata| &metadata.metadata)
    }

    pub(crate) fn forget(&mut self, hotkey: &Hotkey) {
        self.0.remove(hotkey);
    }
}

impl State {
    pub(crate) fn publish_metadata(
        &mut self,
        hotkey: Hotkey,
        data: Vec<u8>,
        block: Block,
    ) -> Result<(), DispatchError> {
        if !self.uids.contains_key(&hotkey) {
            return Err(DispatchError::AccountNotAllowedCommit);
        }
        let epoch = self.reveal_period().epoch(block);
        let before = self
            .metadata
            .0
            .get(&hotkey)
            .filter(|before| before.epoch == epoch);
        let bytes = before.map_or(0, |before| before.bytes) + MIN_BYTES.max(data.len() as u64);
        if data.len() > MAX_METADATA || bytes > EPOCH_BYTES {
            return Err(DispatchError::SpaceLimitExceeded);
        }
        let metadata = MetadataEntry {
            metadata: Metadata { data, block },
            bytes,
            epoch,
        };
        self.metadata.0.insert(hotkey, metadata);
        Ok(())
    }
}
