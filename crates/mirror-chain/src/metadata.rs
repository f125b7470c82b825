//! Metadata that neurons publish on the chain. The chain does not interpret the bytes, which can be, for example, the
//! name of a model.

use std::collections::BTreeMap;

use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::{Block, DispatchError};

/// Maximum size of one publication, in bytes.
pub const MAX_METADATA: usize = 128;

/// Maximum number of bytes that a hotkey can publish between two epochs, as on the real chain.
const EPOCH_BYTES: u64 = 3_100;

/// Number of bytes that a smaller publication counts as.
const MIN_BYTES: u64 = 100;

/// The metadata that a hotkey last published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The bytes, at most [`MAX_METADATA`].
    pub data: Vec<u8>,
    /// Block of the publication.
    pub block: Block,
}

/// The metadata of all neurons that have published any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct MetadataStore(BTreeMap<Hotkey, MetadataEntry>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetadataEntry {
    pub(crate) metadata: Metadata,
    /// Number of bytes published in the current epoch.
    pub(crate) bytes: u64,
    /// Number of that epoch.
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
