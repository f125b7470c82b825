//! What a validator must remember to go on after its process was killed: of each acknowledged event, what moved its
//! weights and its gating model.
//!
//! Entries are written when the coordinator has acknowledged the event, so everything found here is in the run already.
//! A validator that starts again replays the finished steps and makes the unfinished one again: the same calls with the
//! same identities, which the coordinator recognises.

use std::path::Path;

use anyhow::Context;
use mirror_journal::{Reader, Writer};
use prost::Message;

use crate::weights::InFlightWeights;

/// Bytes of one segment.
const SEGMENT: u64 = 16 << 20;

/// What one event taught.
#[derive(Clone, PartialEq, Message)]
pub struct LearningRecord {
    /// Step of the query.
    #[prost(uint64, tag = "1")]
    pub step: u64,
    /// Forward within the step.
    #[prost(uint32, tag = "2")]
    pub forward_index: u32,
    /// The step is over with this event.
    #[prost(bool, tag = "3")]
    pub last_of_step: bool,
    /// uids that succeeded.
    #[prost(uint32, repeated, tag = "4")]
    pub uids: Vec<u32>,
    /// Their rewards, beside `uids`.
    #[prost(float, repeated, tag = "5")]
    pub rewards: Vec<f32>,
    /// Characters of their completions, beside `uids`.
    #[prost(uint32, repeated, tag = "6")]
    pub lengths: Vec<u32>,
    /// uids whose hotkey had changed since the event before.
    #[prost(uint32, repeated, tag = "7")]
    pub resets: Vec<u32>,
    /// Block of the metagraph that the step used.
    #[prost(uint64, tag = "8")]
    pub synced_block: u64,
    /// Block of the last setting of weights.
    #[prost(uint64, tag = "9")]
    pub epoch_block: u64,
    /// Weights on their way to the chain as the step began, if they are not as the event before has them.
    #[prost(message, optional, tag = "10")]
    pub waiting: Option<InFlightWeights>,
    /// The question that the gating model was trained on; absent where it was not.
    #[prost(string, optional, tag = "11")]
    pub trained_on: Option<String>,
}

/// Opens the journal in `folder`: what was learned in finished steps, in order, and the writer that goes on behind it.
pub fn open(folder: &Path) -> anyhow::Result<(Vec<LearningRecord>, Writer)> {
    let context = || format!("cannot read what was learned before, in {}", folder.display());
    let opened = Writer::open(folder, SEGMENT).with_context(context)?;
    let mut finished: Vec<LearningRecord> = Vec::new();
    let mut unfinished: Vec<LearningRecord> = Vec::new();
    for entry in Reader::open(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let learned = LearningRecord::decode(entry.bytes.as_slice()).with_context(context)?;
        if finished.last().is_some_and(|last| learned.step <= last.step) {
            continue;
        }
        if learned.forward_index == 0 {
            unfinished.clear();
        }
        let last_of_step = learned.last_of_step;
        unfinished.push(learned);
        if last_of_step {
            finished.append(&mut unfinished);
        }
    }
    Ok((finished, opened.writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(step: u64, forward_index: u32, last_of_step: bool) -> LearningRecord {
        LearningRecord {
            step,
            forward_index,
            last_of_step,
            ..LearningRecord::default()
        }
    }

    #[test]
    fn unfinished_steps_are_made_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |entries: &[LearningRecord]| {
            let (_, mut writer) = open(folder.path()).expect("opens");
            let encoded: Vec<Vec<u8>> = entries.iter().map(Message::encode_to_vec).collect();
            writer.append_batch(&encoded).expect("writes");
        };
        let found = || -> Vec<(u64, u32)> {
            let (found, _) = open(folder.path()).expect("opens");
            found
                .iter()
                .map(|learned| (learned.step, learned.forward_index))
                .collect()
        };
        assert_eq!(found(), []);
        write(&[learned(0, 0, false), learned(0, 1, true), learned(1, 0, false)]);
        assert_eq!(found(), [(0, 0), (0, 1)]);
        write(&[learned(1, 0, false), learned(1, 1, true), learned(2, 0, true)]);
        assert_eq!(found(), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]);
        write(&[learned(2, 0, true)]);
        assert_eq!(found().len(), 5);
    }
}
