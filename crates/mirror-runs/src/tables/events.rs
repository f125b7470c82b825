//! `events`: one row a forward.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, purpose_name};

columns! {
    /// One forward of a validator: one fan-out to the network. Who was asked and what they said stands in `responses`,
    /// the gating model's loss in `losses`.
    pub struct EventRow {
        /// the validator's node name, `validator-0`
        pub validator: String,
        /// `query` for the experiment's own, `manual` for a client's call to a running validator
        pub purpose: String,
        /// step of the query, from 0
        pub step: u64,
        /// train: 0 the question, 1 the answer; forward: position in the chunk
        pub forward_index: u32,
        /// block at which the forward was made
        pub block: u64,
        /// version of the metagraph that the validator saw
        pub metagraph_version: u64,
        /// `train`, `forward` or `inference`
        pub method: String,
        /// whether the network was asked for a question
        pub is_question: bool,
        /// content of the last message, what was asked
        pub message: String,
        /// the gating model's score by uid, for uids 0 … num_nodes-1
        pub scores: Vec<f32>,
        /// uid of the best completion; none when no call succeeded
        pub best_uid: Option<u32>,
        /// questions and completions of which a model, having no more positions, saw only the end
        pub truncated_texts: u32,
        /// rewards that are NaN or infinite: recorded, and left out of all learning
        pub unjudged: u32,
        /// seconds since 1970
        pub started_at: f64,
        /// seconds, the whole forward
        pub call_time: f64,
        /// W3C trace id, 32 hexadecimal digits
        pub trace_id: String,
    }
}

impl Row for EventRow {
    const TABLE: &'static str = "events";
    const ABOUT: &'static str = "one row a forward of a validator";
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
