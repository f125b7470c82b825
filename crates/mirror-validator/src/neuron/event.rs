//! The event that reports a forward to the coordinator.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use mirror_proto::mirror::v1::{AxonCall, ForwardEvent, ParameterState};

use super::chain_view::ChainView;
use super::judge::JudgedReplies;
use super::plan::Plan;
use super::training::Training;
use crate::dendrite::{Reply, Rewarded};

/// Maximum number of characters of an axon's return message that are recorded.
const RECORDED_MESSAGE: usize = 256;

/// Maximum number of bytes of a question that are recorded.
const RECORDED_QUESTION: usize = 64 << 10;

/// Maximum number of bytes of all completions of an event that are recorded. The field `size` contains the length of
/// each.
const RECORDED_COMPLETIONS: usize = 32 << 20;

/// Maximum number of bytes of one completion that are recorded.
const RECORDED_COMPLETION: usize = 64 << 10;

/// The data from which the event of a forward is built.
pub(super) struct ForwardRecord<'a> {
    pub(super) plan: &'a Plan,
    pub(super) replies: &'a [Reply],
    pub(super) judged: &'a JudgedReplies,
    pub(super) training: &'a Training,
    /// The outcomes of the calls that sent rewards to the axons, by uid.
    pub(super) rewarded: &'a HashMap<u32, Rewarded>,
    pub(super) call_time: Duration,
    /// Trace id of the forward's calls.
    pub(super) trace_id: Vec<u8>,
}

impl ForwardRecord<'_> {
    /// Builds the event of the validator with the node name `validator`.
    pub(super) fn event(self, validator: &str, chain: &ChainView) -> ForwardEvent {
        let Self {
            plan,
            replies,
            judged,
            training,
            ..
        } = self;
        let share = (RECORDED_COMPLETIONS / replies.len().max(1)).min(RECORDED_COMPLETION);
        let calls = replies
            .iter()
            .zip(&judged.rewards)
            .map(|(reply, reward)| AxonCall {
                uid: reply.uid,
                outcome: reply.outcome.into(),
                grpc_code: reply.grpc_code.into(),
                return_code: reply.return_code,
                return_message: reply.return_message.chars().take(RECORDED_MESSAGE).collect(),
                latency: reply.latency.as_secs_f32(),
                size: reply.completion.len() as u64,
                completion: first_bytes(&reply.completion, share).to_owned(),
                reward: *reward,
                timing_dependent: reply.timing_dependent,
                drawn_delay: reply.drawn_delay.map(|delay| delay.as_secs_f32()),
                backward_code: self.rewarded.get(&reply.uid).map(|rewarded| rewarded.code as i32),
                faults: faults(reply, self.rewarded.get(&reply.uid)),
            });
        let parameters = training.parameters.iter().map(|stats| ParameterState {
            name: stats.name.clone(),
            gradient_norm: stats.gradient_norm,
            minimum: stats.minimum,
            maximum: stats.maximum,
            histogram: stats.histogram.clone(),
        });
        ForwardEvent {
            validator: validator.to_owned(),
            purpose: plan.id.purpose.into(),
            step: plan.id.step,
            forward_index: plan.id.forward_index,
            block: chain.block(),
            metagraph_version: chain.metagraph().version,
            method: plan.ask.method.to_owned(),
            is_question: plan.ask.is_question,
            message: first_bytes(plan.ask.conversation.asked(), RECORDED_QUESTION).to_owned(),
            scores: plan.scores.clone(),
            calls: calls.collect(),
            best: judged.best.map(|position| position as u32),
            gating_loss: training.loss,
            truncated_texts: plan.truncated + judged.truncated,
            unjudged: judged.unjudged(),
            parameters: parameters.collect(),
            started_at: plan
                .started_at
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
            call_time: self.call_time.as_secs_f64(),
            trace_id: self.trace_id,
        }
    }
}

/// Returns the effects of faults on a call and on the Backward that rewarded it, the latter as `backward slow/drop`.
fn faults(reply: &Reply, rewarded: Option<&Rewarded>) -> Vec<String> {
    let of_backward = rewarded.into_iter().flat_map(|rewarded| &rewarded.faults);
    let of_backward = of_backward.map(|fault| format!("backward {fault}"));
    reply
        .faults
        .iter()
        .map(ToString::to_string)
        .chain(of_backward)
        .collect()
}

/// Returns the longest prefix of the text that fits into `bytes` bytes.
fn first_bytes(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(first_bytes("aé", 2), "a");
        assert_eq!(first_bytes("aé", 3), "aé");
        assert_eq!(first_bytes("aé", 9), "aé");
    }
}
