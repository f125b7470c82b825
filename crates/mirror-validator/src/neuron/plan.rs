//! The plan of a forward: the axons to call, and the request to send.

use std::time::{Duration, Instant, SystemTime};

use mirror_models::gating::{GatingModel, Question};
use mirror_proto::mirror::v1::Purpose;
use mirror_seed::{CallId, CallNumber, Draw, Seed};
use mirror_telemetry::{clock, span};
use rand::seq::index;

use super::ask::{Ask, Choice};
use super::chain_view::ChainView;
use crate::behaviour::Behaviour;
use crate::dendrite::{DendritePool, FanOut, Reply};

/// The identity of a validator's forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardId {
    /// Whether the forward belongs to the query or to a manual call.
    pub purpose: Purpose,
    /// Step of the query, or number of the manual forward.
    pub step: u64,
    /// Forward index within the step.
    pub forward_index: u32,
}

/// The parts of a validator that planning requires.
pub(super) struct Planner<'a> {
    pub(super) seed: &'a Seed,
    /// The public hotkey of the validator.
    pub(super) caller: [u8; 32],
    /// Number of miners. Only the uids below it are called.
    pub(super) num_nodes: u32,
    /// Factor on all timeouts.
    pub(super) time_scale: f64,
    pub(super) gating: &'a mut dyn GatingModel,
    pub(super) behaviour: &'a dyn Behaviour,
    pub(super) chain: &'a ChainView,
}

/// A planned forward.
pub(super) struct Plan {
    pub(super) ask: Ask,
    pub(super) id: ForwardId,
    /// The text that the gating model scored.
    pub(super) text: String,
    /// The gating model's scores by uid.
    pub(super) scores: Vec<f32>,
    /// Number of texts of which the gating model read only the end.
    pub(super) truncated: u32,
    pub(super) fan_out: FanOut,
    started: Instant,
    pub(super) started_at: SystemTime,
}

/// The replies to a forward.
pub(super) struct Answered {
    pub(super) replies: Vec<Reply>,
    /// Time until the last reply.
    pub(super) call_time: Duration,
}

impl Planner<'_> {
    /// Scores the uids for the question and chooses the axons to call.
    pub(super) fn plan(self, ask: Ask, id: ForwardId) -> Plan {
        let is_manual = id.purpose == Purpose::Manual;
        let call = if is_manual {
            CallNumber::MANUAL
        } else {
            CallNumber::QUERY
        };
        let forward = CallId {
            caller: self.caller,
            step: id.step,
            forward_index: id.forward_index,
            uid: 0,
            call,
        };
        let text = ask.conversation.unravelled();
        let scores = span("gating.forward")
            .start()
            .in_scope(|| self.gating.scores(&Question { text: &text, forward }));
        let serving: Vec<u32> = if is_manual || self.behaviour.asks(id.step) {
            self.chain.metagraph().serving(self.num_nodes).collect()
        } else {
            Vec::new()
        };
        let draw = self.seed.about_call("chosen uids", &forward);
        let uids = span("choose")
            .start()
            .in_scope(|| choose(&serving, &scores, ask.topk, ask.choice, draw));
        let timeout = Duration::try_from_secs_f64(ask.timeout * self.time_scale).unwrap_or_default();
        let fan_out = FanOut {
            forward,
            messages: ask.conversation.encoded(),
            uids,
            timeout,
        };
        Plan {
            ask,
            id,
            text,
            scores,
            truncated: self.gating.take_truncated(),
            fan_out,
            started: Instant::now(),
            started_at: clock::now(),
        }
    }
}

impl Plan {
    /// Calls the chosen axons.
    pub(super) async fn ask(&self, dendrite: &DendritePool) -> Answered {
        let replies = dendrite.forward(&self.fan_out).await;
        Answered {
            replies,
            call_time: self.started.elapsed(),
        }
    }

    /// Returns the gating model's scores of the axons that gave the replies at `positions`.
    pub(super) fn scores_of(&self, replies: &[Reply], positions: &[usize]) -> Vec<f32> {
        positions
            .iter()
            .map(|position| self.score(replies[*position].uid))
            .collect()
    }

    fn score(&self, uid: u32) -> f32 {
        self.scores.get(uid as usize).copied().unwrap_or_default()
    }
}

/// Chooses the uids of `serving` to call: at most `topk`, either the highest scores first (equal scores in ascending
/// order of uid) or a random sample. A uid with a score of minus infinity is masked and never chosen.
fn choose(serving: &[u32], scores: &[f32], topk: Option<i64>, choice: Choice, draw: Draw) -> Vec<u32> {
    let is_masked = |uid: &u32| scores.get(*uid as usize) == Some(&f32::NEG_INFINITY);
    let mut serving = serving.to_vec();
    serving.retain(|uid| !is_masked(uid));
    let most = topk
        .and_then(|topk| usize::try_from(topk).ok())
        .map_or(serving.len(), |topk| topk.min(serving.len()));
    match choice {
        Choice::BestScores => {
            let score = |uid: &u32| scores.get(*uid as usize).copied().unwrap_or(f32::NEG_INFINITY);
            let mut best_first = serving;
            best_first.sort_by(|a, b| score(b).total_cmp(&score(a)));
            best_first.truncate(most);
            best_first
        }
        Choice::Sample => {
            let chosen = index::sample(&mut draw.generator(), serving.len(), most);
            chosen
                .into_iter()
                .filter_map(|index| serving.get(index).copied())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn draw(step: u64) -> Draw {
        let call = CallId {
            caller: [0; 32],
            step,
            forward_index: 0,
            uid: 0,
            call: CallNumber::QUERY,
        };
        Seed::root(1).about_call("chosen uids", &call)
    }

    #[test]
    fn topk_is_clamped_to_the_number_of_serving_axons() {
        let scores = [0.1, 0.9, 0.5, 0.9];
        let best = |topk| choose(&[0, 1, 2, 3], &scores, topk, Choice::BestScores, draw(0));
        assert_eq!(best(Some(2)), [1, 3]);
        assert_eq!(best(Some(3)), [1, 3, 2]);
        assert_eq!(best(Some(99)), [1, 3, 2, 0]);
        assert_eq!(best(Some(-1)), best(None));
        assert_eq!(choose(&[], &scores, Some(2), Choice::BestScores, draw(0)), [0; 0]);
        assert_eq!(choose(&[], &scores, None, Choice::Sample, draw(0)), [0; 0]);
    }

    #[test]
    fn a_masked_uid_is_never_chosen() {
        let scores = [0.5, f32::NEG_INFINITY, 0.1];
        for choice in [Choice::BestScores, Choice::Sample] {
            let mut asked = choose(&[0, 1, 2], &scores, None, choice, draw(0));
            asked.sort_unstable();
            assert_eq!(asked, [0, 2]);
        }
    }

    #[test]
    fn samples_contain_only_serving_axons_and_reach_all_of_them() {
        let mut met = BTreeSet::new();
        for step in 0..200 {
            let mut chosen = choose(&[2, 5, 7, 11], &[], Some(2), Choice::Sample, draw(step));
            assert_eq!(chosen.len(), 2);
            chosen.dedup();
            assert_eq!(chosen.len(), 2);
            met.extend(chosen);
        }
        assert_eq!(met.into_iter().collect::<Vec<_>>(), [2, 5, 7, 11]);
    }
}
