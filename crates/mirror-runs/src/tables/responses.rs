//! `responses`: one row per axon call.

use std::cmp::Ordering;

use mirror_proto::mirror::v1::Record;
use mirror_proto::mirror::v1::record::Kind;

use super::{Row, columns, outcome_name, purpose_name};

columns! {
    /// One call of a forward to one axon, and its outcome. The first four columns identify the forward in `events`.
    pub struct ResponseRow {
        /// Name of the validator's node: `validator-0`.
        pub validator: String,
        /// `query` or `manual`.
        pub purpose: String,
        /// Step of the query, from 0.
        pub step: u64,
        /// In `train`: 0 for the question, 1 for the answer. In `forward`: the position in the chunk.
        pub forward_index: u32,
        /// Index among the forward's calls, in the order in which the axons were chosen, from 0.
        pub position: u32,
        /// The uid of the axon.
        pub uid: u32,
        /// `success`, `empty`, `too short`, `timeout`, `unreachable`, `oversized`, `malformed` or `refused`.
        pub outcome: String,
        /// gRPC status; 0 is OK.
        pub grpc_code: i32,
        /// Bittensor's return code, as set by the axon.
        pub return_code: i32,
        /// Message of the axon or of the transport.
        pub return_message: String,
        /// Latency in seconds.
        pub latency: f32,
        /// Size of the completion in bytes.
        pub size: u64,
        /// The completion that the axon returned.
        pub completion: String,
        /// Reward of the reward model. `None` if the call did not succeed.
        pub reward: Option<f32>,
        /// Whether the call was lost to real slowness and not to a drawn delay, so that its outcome may differ in
        /// another run.
        pub timing_dependent: bool,
        /// Delay in seconds, drawn from the distribution of the link. `None` if the link has none.
        pub drawn_delay: Option<f32>,
        /// gRPC status of the call that reported the reward to the axon; 0 if the axon accepted it. `None` if no reward
        /// was reported.
        pub backward_code: Option<i32>,
        /// The effects of faults on the call, each as the name of a fault and of an effect, separated by commas:
        /// `slow/latency, slow/drop`. Those on the call that reported the reward follow the word `backward`. `None` if
        /// no fault affected the call.
        pub faults: Option<String>,
    }
}

impl Row for ResponseRow {
    const TABLE: &'static str = "responses";
    const ABOUT: &'static str = "one row per axon call";
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
            faults: (!call.faults.is_empty()).then(|| call.faults.join(", ")),
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
