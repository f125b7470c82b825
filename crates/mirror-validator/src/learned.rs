//! The state that a validator needs to resume after its process was killed: for each acknowledged event, the data that
//! changed its weights and its gating model.
//!
//! Entries are written when the coordinator has acknowledged the event, so every event found here is already in the
//! run. A restarted validator replays the finished steps and repeats the unfinished one: it makes the same calls with
//! the same identities, which the coordinator recognises.

use std::path::Path;

use anyhow::Context;
use mirror_journal::{Reader, Writer};
use prost::Message;

use crate::weights::InFlightWeights;

/// Size of a segment in bytes.
const SEGMENT: u64 = 16 << 20;

/// The data that a validator learned from one event.
#[derive(Clone, PartialEq, Message)]
pub struct LearningRecord {
    /// Step of the query.
    #[prost(uint64, tag = "1")]
    pub step: u64,
    /// Forward index within the step.
    #[prost(uint32, tag = "2")]
    pub forward_index: u32,
    /// Whether the step is over with this event.
    #[prost(bool, tag = "3")]
    pub last_of_step: bool,
    /// uids that succeeded.
    #[prost(uint32, repeated, tag = "4")]
    pub uids: Vec<u32>,
    /// Rewards, parallel to `uids`.
    #[prost(float, repeated, tag = "5")]
    pub rewards: Vec<f32>,
    /// Lengths of the completions in characters, parallel to `uids`.
    #[prost(uint32, repeated, tag = "6")]
    pub lengths: Vec<u32>,
    /// uids whose hotkey changed since the previous event.
    #[prost(uint32, repeated, tag = "7")]
    pub resets: Vec<u32>,
    /// Block of the metagraph that the step used.
    #[prost(uint64, tag = "8")]
    pub synced_block: u64,
    /// Last closed block when the weights epoch began.
    #[prost(uint64, tag = "9")]
    pub epoch_block: u64,
    /// Weights on their way to the chain when the step began. Absent if unchanged since the previous event.
    #[prost(message, optional, tag = "10")]
    pub waiting: Option<InFlightWeights>,
    /// The text that the gating model was trained on. Absent if it was not trained.
    #[prost(string, optional, tag = "11")]
    pub trained_on: Option<String>,
}

/// Opens the journal in `folder`. Returns the records of all finished steps in order, and the writer that appends to
/// the journal.
pub fn open(folder: &Path) -> anyhow::Result<(Vec<LearningRecord>, Writer)> {
    let context = || format!("cannot read the learning records in {}", folder.display());
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
    fn unfinished_steps_are_repeated() {
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
