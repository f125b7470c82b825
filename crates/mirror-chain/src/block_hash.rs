//! Block hashes. The hash of a block covers all earlier blocks: equal hashes mean equal histories.

use std::collections::VecDeque;
use std::fmt;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use mirror_identity::PublicKey;
use serde::{Deserialize, Serialize};

use crate::state_hash::CallHash;
use crate::{Block, BlockUnavailable, Nonce};

/// Number of closed blocks whose hashes are held, including the last one, as on the real chain.
pub const HELD_HASHES: usize = 4_096;

/// BLAKE2b-256 of the hash of the previous block, the block's number, and its transactions (signer, nonce, hash of the
/// call) in the order in which they were applied. The genesis has the hash of its state.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHash(pub [u8; 32]);

/// The hashes of the last closed blocks, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct BlockHashes(VecDeque<BlockHash>);

/// The unfinished hash of a block that is being closed.
pub(crate) struct OpenHash(Blake2b<U32>);

impl BlockHashes {
    /// Begins the hash of the block that follows the last one.
    pub(crate) fn begin(&self, block: Block) -> OpenHash {
        let mut hasher = Blake2b::new();
        if let Some(parent) = self.0.back() {
            hasher.update(parent.0);
        }
        hasher.update(block.0.to_le_bytes());
        OpenHash(hasher)
    }

    pub(crate) fn push(&mut self, hash: BlockHash) {
        if self.0.len() == HELD_HASHES {
            self.0.pop_front();
        }
        self.0.push_back(hash);
    }

    /// Returns the hash of `block`. `last` is the last closed block.
    pub(crate) fn at(&self, block: Block, last: Block) -> Result<BlockHash, BlockUnavailable> {
        let Some(back) = last.0.checked_sub(block.0) else {
            return Err(BlockUnavailable::NotClosed { block, last });
        };
        let oldest = Block((last.0 + 1).saturating_sub(self.0.len() as u64));
        let hash = usize::try_from(back)
            .ok()
            .and_then(|back| self.0.iter().nth_back(back));
        hash.copied().ok_or(BlockUnavailable::TooOld { block, oldest })
    }
}

impl OpenHash {
    pub(crate) fn add(&mut self, signer: PublicKey, nonce: Nonce, call: CallHash) {
        self.0.update(signer.bytes());
        self.0.update(nonce.0.to_le_bytes());
        self.0.update(call.0);
    }

    pub(crate) fn finish(self) -> BlockHash {
        BlockHash(self.0.finalize().into())
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}
