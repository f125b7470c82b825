//! `responses`: one row an axon call.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, outcome_name, purpose_name};

columns! {
    /// One call of a forward to one axon, and how it ended. The first four columns name the forward in `events`.
    pub struct ResponseRow {
        /// the validator's node name, `validator-0`
        pub validator: String,
        /// `query` or `manual`
        pub purpose: String,
        /// step of the query, from 0
        pub step: u64,
        /// train: 0 the question, 1 the answer; forward: position in the chunk
        pub forward_index: u32,
        /// place among the forward's calls, in the order in which the axons were chosen, from 0
        pub position: u32,
        /// the axon that was called
        pub uid: u32,
        /// `success`, `empty`, `too short`, `timeout`, `unreachable`, `oversized`, `malformed` or `refused`
        pub outcome: String,
        /// gRPC status, 0 is OK
        pub grpc_code: i32,
        /// bittensor's return code as the axon set it
        pub return_code: i32,
        /// the axon's own words on it, or the transport's
        pub return_message: String,
        /// seconds
        pub latency: f32,
        /// bytes of the completion
        pub size: u64,
        /// what the axon answered
        pub completion: String,
        /// the reward model's word on it; none where the call did not succeed
        pub reward: Option<f32>,
        /// lost to real slowness, not to a drawn delay: another run may see another outcome
        pub timing_dependent: bool,
        /// seconds, drawn from the link's distribution; none where the link has none
        pub drawn_delay: Option<f32>,
        /// gRPC status of the call that told the axon its reward, 0: it took it; none where it was not told
        pub backward_code: Option<i32>,
    }
}

impl Row for ResponseRow {
    const TABLE: &'static str = "responses";
    const ABOUT: &'static str = "one row an axon call";
    const TIMING: &'static [&'static str] = &["latency"];

    fn read(record: &Record, rows: &mut Vec<Self>) {
        let Some(Kind::Event(event)) = &record.kind else {
            return;
        };
        rows.extend((0u32..).zip(&event.calls).map(|(position, call)| Self {
            validator: event.validator.clone(),
            purpose: purpose_name(event.purpose),
            step: event.step,
            forward_index: event.forward_index,
            position,
            uid: call.uid,
            outcome: outcome_name(call.outcome),
            grpc_code: call.grpc_code,
            return_code: call.return_code,
            return_message: call.return_message.clone(),
            latency: call.latency,
            size: call.size,
            completion: call.completion.clone(),
            reward: call.reward,
            timing_dependent: call.timing_dependent,
            drawn_delay: call.drawn_delay,
            backward_code: call.backward_code,
        }));
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.step.cmp(&other.step))
            .then_with(|| self.validator.cmp(&other.validator))
            .then_with(|| self.purpose.cmp(&other.purpose))
            .then_with(|| self.forward_index.cmp(&other.forward_index))
            .then_with(|| self.position.cmp(&other.position))
    }

    fn identity(&self) -> String {
        format!(
            "{} ({}), step {}, forward {}, call {}",
            self.validator, self.purpose, self.step, self.forward_index, self.position
        )
    }
}
