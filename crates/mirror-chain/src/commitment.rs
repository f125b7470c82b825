//! Commit-reveal: a validator first publishes a hash of its weights and reveals the weights some epochs later, so that
//! they cannot be copied while they are useful. As on the real chain since 2024, the commitment is a hash that its
//! author must reveal.

use std::collections::VecDeque;
use std::fmt;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use mirror_identity::Hotkey;
use serde::{Deserialize, Serialize};

use crate::{Block, DispatchError, Weights};

/// Maximum number of unrevealed commitments of a hotkey.
pub const MAX_UNREVEALED_COMMITS: usize = 10;

/// The hash of a hotkey, its weights and a salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment(pub [u8; 32]);

/// Formats the hash in hexadecimal.
impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Commitment {
    /// Returns the commitment: BLAKE2b-256 of hotkey, netuid, uids, weights, salt and version key in SCALE encoding,
    /// the hash that bittensor commits to.
    pub fn new(hotkey: &Hotkey, netuid: u16, weights: &Weights, salt: &[u16]) -> Self {
        let mut hasher = Blake2b::<U32>::new();
        hasher.update(hotkey.bytes());
        hasher.update(netuid.to_le_bytes());
        update_list(&mut hasher, weights.uids.iter().map(|uid| uid.0));
        update_list(&mut hasher, weights.weights.iter().copied());
        update_list(&mut hasher, salt.iter().copied());
        hasher.update(weights.version_key.to_le_bytes());
        Self(hasher.finalize().into())
    }
}

fn update_list(hasher: &mut Blake2b<U32>, numbers: impl ExactSizeIterator<Item = u16>) {
    let (compact, width) = compact_length(numbers.len());
    hasher.update(&compact[..width]);
    for number in numbers {
        hasher.update(number.to_le_bytes());
    }
}

/// Returns a length in SCALE's compact encoding, and the number of bytes that the encoding takes.
fn compact_length(length: usize) -> ([u8; 4], usize) {
    let (mode, width) = match length {
        0..64 => (0, 1),
        64..16_384 => (1, 2),
        _ => (2, 4),
    };
    (((length as u32) << 2 | mode).to_le_bytes(), width)
}

/// The parameters that determine in which epoch a commitment can be revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevealPeriod {
    /// Number of the subnet, which shifts its epochs.
    pub netuid: u16,
    /// Length of an epoch in blocks, minus one.
    pub tempo: u64,
    /// Number of epochs from a commitment to its reveal.
    pub epochs: u64,
}

/// The unrevealed commitments of a hotkey, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Commits(VecDeque<(Block, Commitment)>);

impl RevealPeriod {
    /// Returns the number of the epoch that contains a block.
    pub fn epoch(self, block: Block) -> u64 {
        let shifted = block.0.saturating_add(u64::from(self.netuid) + 1);
        shifted / self.tempo.saturating_add(1)
    }

    /// Returns the only epoch in which a commitment made in block `committed` can be revealed.
    pub fn reveal_epoch(self, committed: Block) -> u64 {
        self.epoch(committed).saturating_add(self.epochs)
    }

    fn is_expired(self, committed: Block, now: Block) -> bool {
        self.epoch(now) > self.reveal_epoch(committed)
    }
}

impl Commits {
    /// Records a commitment and removes expired ones.
    ///
    /// # Errors
    /// Returns [`DispatchError::TooManyUnrevealedCommits`] if [`MAX_UNREVEALED_COMMITS`] others are unrevealed.
    pub(crate) fn commit(
        &mut self,
        commitment: Commitment,
        now: Block,
        period: RevealPeriod,
    ) -> Result<(), DispatchError> {
        self.0
            .retain(|&(committed, _)| !period.is_expired(committed, now));
        if self.0.len() >= MAX_UNREVEALED_COMMITS {
            return Err(DispatchError::TooManyUnrevealedCommits);
        }
        self.0.push_back((now, commitment));
        Ok(())
    }

    /// Checks that a commitment was made and can be revealed now. Returns its position.
    pub(crate) fn revealable(
        &self,
        commitment: Commitment,
        now: Block,
        period: RevealPeriod,
    ) -> Result<usize, DispatchError> {
        let made = |&(_, other): &(Block, Commitment)| other == commitment;
        let live = |&&(committed, _): &&(Block, Commitment)| !period.is_expired(committed, now);
        // The oldest commitments expire first.
        let expired = self.0.len() - self.0.iter().filter(live).count();
        let Some(place) = self.0.iter().skip(expired).position(made) else {
            let was_made = self.0.iter().any(made);
            return Err(match (was_made, expired == self.0.len()) {
                (true, _) => DispatchError::ExpiredWeightCommit,
                (false, true) => DispatchError::NoWeightsCommitFound,
                (false, false) => DispatchError::InvalidRevealCommitHashNotMatch,
            });
        };
        let place = expired + place;
        let (committed, _) = self.0[place];
        if period.epoch(now) < period.reveal_epoch(committed) {
            return Err(DispatchError::RevealTooEarly);
        }
        Ok(place)
    }

    /// Removes the commitment at this position and all older ones.
    pub(crate) fn forget_to(&mut self, place: usize) {
        self.0.drain(..=place);
    }

    /// Returns the block of the oldest commitment that has not expired.
    pub(crate) fn oldest_live(&self, now: Block, period: RevealPeriod) -> Option<Block> {
        let mut blocks = self.0.iter().map(|&(committed, _)| committed);
        blocks.find(|&committed| !period.is_expired(committed, now))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_encoded_as_in_scale() {
        // Examples of the SCALE specification, and the first value of the four-byte mode.
        let encoded = |length| {
            let (bytes, width) = compact_length(length);
            bytes[..width].to_vec()
        };
        assert_eq!(encoded(0), [0x00]);
        assert_eq!(encoded(1), [0x04]);
        assert_eq!(encoded(42), [0xa8]);
        assert_eq!(encoded(69), [0x15, 0x01]);
        assert_eq!(encoded(16_384), [0x02, 0x00, 0x01, 0x00]);
    }

    #[test]
    fn a_commitment_is_revealed_one_period_later() {
        // With netuid 1 and tempo 9 an epoch ends each 10 blocks: blocks 8 … 17 are epoch 1.
        let period = RevealPeriod {
            netuid: 1,
            tempo: 9,
            epochs: 1,
        };
        assert_eq!(
            [7, 8, 17, 18].map(|block| period.epoch(Block(block))),
            [0, 1, 1, 2]
        );
        let mut commits = Commits::default();
        let one = Commitment([1; 32]);
        let other = Commitment([2; 32]);
        assert_eq!(
            commits.revealable(one, Block(9), period),
            Err(DispatchError::NoWeightsCommitFound)
        );
        assert_eq!(commits.commit(one, Block(9), period), Ok(()));
        let at = |block| commits.revealable(one, Block(block), period);
        assert_eq!(at(17), Err(DispatchError::RevealTooEarly));
        assert_eq!(at(18), Ok(0));
        assert_eq!(at(27), Ok(0));
        assert_eq!(at(28), Err(DispatchError::ExpiredWeightCommit));
        assert_eq!(
            commits.revealable(other, Block(18), period),
            Err(DispatchError::InvalidRevealCommitHashNotMatch)
        );
        assert_eq!(
            commits.revealable(other, Block(28), period),
            Err(DispatchError::NoWeightsCommitFound)
        );
        assert_eq!(commits.oldest_live(Block(27), period), Some(Block(9)));
        assert_eq!(commits.oldest_live(Block(28), period), None);
    }

    #[test]
    fn at_most_ten_commitments_are_unrevealed() {
        let period = RevealPeriod {
            netuid: 1,
            tempo: 9,
            epochs: 1,
        };
        let mut commits = Commits::default();
        for number in 0..10 {
            let commitment = Commitment([number; 32]);
            assert_eq!(commits.commit(commitment, Block(9), period), Ok(()));
        }
        let eleventh = Commitment([10; 32]);
        assert_eq!(
            commits.commit(eleventh, Block(20), period),
            Err(DispatchError::TooManyUnrevealedCommits)
        );
        assert_eq!(commits.commit(eleventh, Block(28), period), Ok(()));
        assert_eq!(commits.0.len(), 1);
    }
}
