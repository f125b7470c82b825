//! Weights on their way to the chain: submitted and not yet applied, or committed to and not yet revealed.
//!
//! A validator stores them in its learning records, as of the start of a step. After a restart it makes the same calls
//! with the same nonces, which the chain recognises.

use mirror_chain::{Block, RevealPeriod};
use mirror_proto::mirror::v1::{Applied, WeightsSet};
use prost::Message;

/// All weights of a validator that are on their way to the chain.
#[derive(Clone, PartialEq, Message)]
pub struct InFlightWeights {
    /// The weights, oldest first.
    #[prost(message, repeated, tag = "1")]
    weights: Vec<InFlight>,
    /// The last nonce used.
    #[prost(uint64, tag = "2")]
    last_nonce: u64,
}

/// Weights and their progress.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InFlight {
    /// The record that is reported when the weights are settled.
    #[prost(message, required, tag = "1")]
    pub(crate) record: WeightsSet,
    #[prost(enumeration = "Stage", tag = "2")]
    stage: i32,
    /// Nonce of the last call about the weights.
    #[prost(uint64, tag = "3")]
    nonce: u64,
    /// Block in which the last call about the weights applies.
    #[prost(uint64, tag = "4")]
    block: u64,
}

/// The last call about some weights, and whether it is known to have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Stage {
    /// They were set in the open, and the block has not closed.
    Setting = 0,
    /// They were committed to, and the block has not closed.
    Committing = 1,
    /// They were committed to, and can be revealed in their epoch.
    Committed = 2,
    /// They were revealed, and the block has not closed.
    Revealing = 3,
}

impl InFlightWeights {
    /// Returns a nonce above all earlier ones. It is the number of `block`, the last closed block, if that is higher.
    pub(crate) fn next_nonce(&mut self, block: u64) -> u64 {
        self.last_nonce = block.max(self.last_nonce + 1);
        self.last_nonce
    }

    /// Adds weights whose call the chain has accepted and will apply in `block`.
    pub(crate) fn push(&mut self, record: WeightsSet, stage: Stage, nonce: u64, block: u64) {
        self.weights.push(InFlight {
            record,
            stage: stage.into(),
            nonce,
            block,
        });
    }

    /// Removes and returns the weights that can be revealed while the block `open` is open, and those whose reveal is
    /// overdue. Without a period, that is when the chain no longer requires commitments, all committed weights are
    /// returned.
    pub(crate) fn take_due(&mut self, open: Block, period: Option<RevealPeriod>) -> Vec<WeightsSet> {
        let is_due = |weights: &InFlight| {
            let committed = Block(weights.block);
            let in_time = |period: RevealPeriod| period.epoch(open) >= period.reveal_epoch(committed);
            weights.stage() == Stage::Committed && period.is_none_or(in_time)
        };
        let due = self.weights.extract_if(.., |weights| is_due(weights));
        due.map(|weights| weights.record).collect()
    }

    /// Handles the results of calls in a closed block. Returns the records of weights that were set or rejected.
    pub(crate) fn take_applied(&mut self, applied: &[Applied]) -> Vec<WeightsSet> {
        let mut settled = Vec::new();
        self.weights.retain_mut(|weights| {
            let applied_with = applied.iter().find(|applied| applied.nonce == weights.nonce);
            let Some(Applied { refusal, .. }) = applied_with.filter(|_| weights.stage() != Stage::Committed)
            else {
                return true;
            };
            if weights.stage() == Stage::Committing && refusal.is_none() {
                weights.set_stage(Stage::Committed);
                return true;
            }
            let mut record = std::mem::take(&mut weights.record);
            record.refusal = *refusal;
            settled.push(record);
            false
        });
        settled
    }
}

#[cfg(test)]
mod tests {
    use mirror_proto::mirror::v1::DispatchError;

    use super::*;

    fn record(step: u64) -> WeightsSet {
        WeightsSet {
            step,
            ..WeightsSet::default()
        }
    }

    fn applied_with(nonce: u64, refusal: Option<DispatchError>) -> Applied {
        Applied {
            nonce,
            refusal: refusal.map(i32::from),
        }
    }

    #[test]
    fn nonces_increase_within_a_block() {
        let mut waiting = InFlightWeights::default();
        let nonces = [7, 7, 7, 8, 20].map(|block| waiting.next_nonce(block));
        assert_eq!(nonces, [7, 8, 9, 10, 20]);
    }

    #[test]
    fn weights_in_the_open_are_settled_by_their_block() {
        let mut waiting = InFlightWeights::default();
        waiting.push(record(4), Stage::Setting, 6, 7);
        assert_eq!(waiting.take_applied(&[applied_with(5, None)]), []);
        let refused = WeightsSet {
            refusal: Some(DispatchError::DuplicateUids.into()),
            ..record(4)
        };
        assert_eq!(
            waiting.take_applied(&[applied_with(6, Some(DispatchError::DuplicateUids))]),
            [refused]
        );
        assert_eq!(waiting.take_applied(&[applied_with(6, None)]), []);
    }

    #[test]
    fn commitments_are_due_in_their_epoch() {
        // With netuid 1 and tempo 9, the blocks 8 … 17 are an epoch and 18 … 27 the next.
        let period = RevealPeriod {
            netuid: 1,
            tempo: 9,
            epochs: 1,
        };
        let mut waiting = InFlightWeights::default();
        waiting.push(record(4), Stage::Committing, 8, 9);
        assert_eq!(waiting.take_due(Block(20), Some(period)), []);
        assert_eq!(waiting.take_applied(&[applied_with(8, None)]), []);
        assert_eq!(waiting.take_due(Block(17), Some(period)), []);
        assert_eq!(waiting.take_due(Block(18), Some(period)), [record(4)]);
        assert_eq!(waiting.take_due(Block(18), Some(period)), []);
        waiting.push(record(5), Stage::Committed, 9, 10);
        assert_eq!(waiting.take_due(Block(11), None), [record(5)]);
    }
}
