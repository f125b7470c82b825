//! The training of the gating model on a forward, and on a learning record after a restart.

use mirror_models::gating::{GatingModel, Question, TrainingExample};
use mirror_models::training::ParamStats;
use mirror_seed::{CallId, CallNumber};

use super::ask::Judgement;
use super::judge::JudgedReplies;
use super::plan::Plan;
use crate::dendrite::Reply;
use crate::learned::LearningRecord;

/// A training step of the gating model.
#[derive(Default)]
pub(super) struct Training {
    /// Loss before the step. `None` if there was nothing to learn from.
    pub(super) loss: Option<f32>,
    /// Statistics of the gating model's parameters after the step. Empty in steps in which they are not recorded.
    pub(super) parameters: Vec<ParamStats>,
}

impl Training {
    /// Trains the gating model if the plan requires it. Its parameters are recorded every `watch_every` steps, and
    /// never if that is 0.
    pub(super) fn run(
        gating: &mut dyn GatingModel,
        plan: &Plan,
        replies: &[Reply],
        judged: &JudgedReplies,
        watch_every: u64,
    ) -> Self {
        let Judgement::Reward {
            train_gating_model: true,
            ..
        } = plan.ask.judgement
        else {
            return Self::default();
        };
        let Some(loss) = train(gating, plan, replies, judged) else {
            return Self::default();
        };
        let is_watched = watch_every > 0 && plan.id.step.is_multiple_of(watch_every);
        let trained = gating.trained().filter(|_| is_watched);
        Self {
            loss: Some(loss),
            parameters: trained.map(|trained| trained.param_stats()).unwrap_or_default(),
        }
    }
}

/// Makes one training step on the finite rewards. Returns the loss before it, `None` if there was nothing to learn
/// from.
fn train(
    gating: &mut dyn GatingModel,
    plan: &Plan,
    replies: &[Reply],
    judged: &JudgedReplies,
) -> Option<f32> {
    let (positions, rewards): (Vec<usize>, Vec<f32>) = judged.rewarded().unzip();
    let uids: Vec<u32> = positions.iter().map(|position| replies[*position].uid).collect();
    gating.backward(&TrainingExample {
        question: Question {
            text: &plan.text,
            forward: plan.fan_out.forward,
        },
        uids: &uids,
        scores: &plan.scores_of(replies, &positions),
        rewards: &rewards,
    })
}

/// Repeats the training step of a learning record of the validator `caller` after a restart.
pub(super) fn train_again(gating: &mut dyn GatingModel, caller: [u8; 32], learned: &LearningRecord) {
    let Some(text) = &learned.trained_on else {
        return;
    };
    let forward = CallId {
        caller,
        step: learned.step,
        forward_index: learned.forward_index,
        uid: 0,
        call: CallNumber::QUERY,
    };
    let loss = gating.backward(&TrainingExample {
        question: Question { text, forward },
        uids: &learned.uids,
        // Trainable models score the question again.
        scores: &[],
        rewards: &learned.rewards,
    });
    tracing::debug!(step = learned.step, ?loss, "trained again");
}
