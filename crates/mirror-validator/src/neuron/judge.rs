//! The judgement of a forward's replies: which replies count, their rewards, and the best one.

use mirror_models::reward::{Candidate, RewardModel};
use mirror_proto::mirror::v1::Outcome;
use mirror_seed::CallId;

use super::ask::Judgement;
use super::plan::Plan;
use crate::dendrite::{Backward, Reply};

/// The judged replies of a forward. Positions are indices into the replies.
pub(super) struct JudgedReplies {
    /// Positions of the replies that count, in ascending order.
    pub(super) successes: Vec<usize>,
    /// Position of the best reply that counts.
    pub(super) best: Option<usize>,
    /// Reward of each reply. `None` for replies without one.
    pub(super) rewards: Vec<Option<f32>>,
    /// Number of texts of which the reward model read only the end.
    pub(super) truncated: u32,
}

impl JudgedReplies {
    /// Judges replies as the plan specifies. Without a reward model, the gating model's scores are the rewards.
    pub(super) fn new(plan: &Plan, replies: &[Reply], reward_model: Option<&mut dyn RewardModel>) -> Self {
        let positions = |counts: fn(&Reply) -> bool| -> Vec<usize> {
            (0..replies.len())
                .filter(|position| counts(&replies[*position]))
                .collect()
        };
        let said_anything = |reply: &Reply| !reply.completion.is_empty();
        let successes = match plan.ask.judgement {
            Judgement::TrustScores => return Self::by_score(positions(said_anything), replies.len()),
            Judgement::TrustRewards => positions(said_anything),
            Judgement::Reward { .. } => positions(|reply| reply.outcome == Outcome::Success),
        };
        let (rewards, truncated) = match reward_model {
            None => (plan.scores_of(replies, &successes), 0),
            Some(model) => {
                let rewards = rewards(model, plan, replies, &successes);
                (rewards, model.take_truncated())
            }
        };
        Self {
            truncated,
            ..Self::by_reward(successes, &rewards, replies.len())
        }
    }

    /// Judges without rewards. Replies are in the order of their scores, so the first success is the best.
    fn by_score(successes: Vec<usize>, replies: usize) -> Self {
        Self {
            best: successes.first().copied(),
            successes,
            rewards: vec![None; replies],
            truncated: 0,
        }
    }

    /// Judges by `found`, the rewards of the successes in their order. A NaN is the best only if all rewards are NaN.
    fn by_reward(successes: Vec<usize>, found: &[f32], replies: usize) -> Self {
        let mut rewards = vec![None; replies];
        let mut best: Option<(usize, f32)> = None;
        for (position, reward) in successes.iter().zip(found) {
            rewards[*position] = Some(*reward);
            if best.is_none_or(|(_, highest)| *reward > highest || highest.is_nan()) {
                best = Some((*position, *reward));
            }
        }
        Self {
            best: best.map(|(position, _)| position),
            successes,
            rewards,
            truncated: 0,
        }
    }

    /// Returns the positions with a finite reward, and the rewards. The validator learns only from these.
    pub(super) fn rewarded(&self) -> impl Iterator<Item = (usize, f32)> {
        let rewards = (0..).zip(&self.rewards);
        rewards.filter_map(|(position, reward)| Some((position, reward.filter(|reward| reward.is_finite())?)))
    }

    /// Returns the number of rewards that are not finite.
    pub(super) fn unjudged(&self) -> u32 {
        let rewards = self.rewards.iter().flatten();
        rewards.filter(|reward| !reward.is_finite()).count() as u32
    }

    /// Builds the calls that send the axons their finite rewards.
    pub(super) fn backwards(&self, plan: &Plan, replies: &[Reply]) -> Vec<Backward> {
        let backward = |(position, reward): (usize, f32)| {
            let reply = &replies[position];
            let call = plan.fan_out.forward.call.reward();
            Backward {
                call: CallId {
                    uid: reply.uid,
                    call,
                    ..plan.fan_out.forward
                },
                messages: plan.fan_out.messages.clone(),
                completion: reply.completion.clone(),
                reward,
                timeout: plan.fan_out.timeout,
            }
        };
        self.rewarded().map(backward).collect()
    }

    /// Returns the index of the best reply among the successes.
    pub(super) fn best_success(&self) -> Option<usize> {
        let best = self.best?;
        self.successes.iter().position(|position| *position == best)
    }
}

/// Returns the reward model's rewards of the replies at `positions`, in their order.
fn rewards(model: &mut dyn RewardModel, plan: &Plan, replies: &[Reply], positions: &[usize]) -> Vec<f32> {
    let prompt = plan.ask.conversation.flattened();
    let candidate = |position: &usize| Candidate {
        call: CallId {
            uid: replies[*position].uid,
            ..plan.fan_out.forward
        },
        prompt: &prompt,
        completion: replies[*position].completion.trim(),
    };
    let candidates: Vec<Candidate<'_>> = positions.iter().map(candidate).collect();
    model.rewards(&candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reward_that_is_not_finite_is_recorded_and_not_learned_from() {
        let judged = JudgedReplies::by_reward(vec![0, 2, 3], &[f32::NAN, 0.5, f32::INFINITY], 4);
        assert!(judged.rewards[0].is_some_and(f32::is_nan));
        assert_eq!(judged.rewards[1], None);
        assert_eq!(judged.rewarded().collect::<Vec<_>>(), [(2, 0.5)]);
        assert_eq!(judged.unjudged(), 2);
    }
}
