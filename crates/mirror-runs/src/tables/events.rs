//! `events`: one row per forward.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, purpose_name};

columns! {
    /// One forward of a validator: one fan-out to the network. Its calls and their answers are in `responses`, the loss
    /// of the gating model in `losses`.
    pub struct EventRow {
        /// Name of the validator's node: `validator-0`.
        pub validator: String,
        /// `query` for a forward of the experiment, `manual` for a call of a client to a running validator.
        pub purpose: String,
        /// Step of the query, from 0.
        pub step: u64,
        /// In `train`: 0 for the question, 1 for the answer. In `forward`: the position in the chunk.
        pub forward_index: u32,
        /// Block at which the forward was made.
        pub block: u64,
        /// Version of the metagraph that the validator used.
        pub metagraph_version: u64,
        /// `train`, `forward` or `inference`.
        pub method: String,
        /// Whether the network was asked for a question.
        pub is_question: bool,
        /// Content of the last message, which is the prompt.
        pub message: String,
        /// Scores of the gating model, for the uids 0 to `num_nodes` - 1.
        pub scores: Vec<f32>,
        /// Uid of the best completion. `None` if no call succeeded.
        pub best_uid: Option<u32>,
        /// Number of questions and completions of which a model saw only the end, because they exceed its number of
        /// positions.
        pub truncated_texts: u32,
        /// Number of rewards that are NaN or infinite. They are recorded and excluded from all learning.
        pub unjudged: u32,
        /// Start time in seconds since 1970.
        pub started_at: f64,
        /// Duration of the whole forward in seconds.
        pub call_time: f64,
        /// W3C trace id: 32 hexadecimal digits.
        pub trace_id: String,
    }
}

impl Row for EventRow {
    const TABLE: &'static str = "events";
    const ABOUT: &'static str = "one row per forward of a validator";
    const TIMING: &'static [&'static str] = &["started_at", "call_time", "trace_id"];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Event(event)) = &record.kind else {
            return;
        };
        let best = event.best.and_then(|best| event.calls.get(best as usize));
        rows.push(Self {
            validator: event.validator.clone(),
            purpose: purpose_name(event.purpose),
            step: event.step,
            forward_index: event.forward_index,
            block: event.block,
            metagraph_version: event.metagraph_version,
            method: event.method.clone(),
            is_question: event.is_question,
            message: event.message.clone(),
            scores: event.scores.clone(),
            best_uid: best.map(|call| call.uid),
            truncated_texts: event.truncated_texts,
            unjudged: event.unjudged,
            started_at: event.started_at,
            call_time: event.call_time,
            trace_id: hex::encode(&event.trace_id),
        });
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.step.cmp(&other.step))
            .then_with(|| self.validator.cmp(&other.validator))
            .then_with(|| self.purpose.cmp(&other.purpose))
            .then_with(|| self.forward_index.cmp(&other.forward_index))
    }

    fn identity(&self) -> String {
        format!(
            "{} ({}), step {}, forward {}",
            self.validator, self.purpose, self.step, self.forward_index
        )
    }
}
