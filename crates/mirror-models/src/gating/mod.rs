//! Gating models: who is asked. Each scores every uid for a question and may learn from the rewards that came back.

mod constant;
mod longest_message;
mod random;

use mirror_config::component::GatingModel as Spec;
use mirror_seed::{CallId, Seed};

use crate::{NotBuilt, softmax};

/// A question to be scored.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The conversation, unravelled to `role: message` lines.
    pub text: &'a str,
    /// Which forward asks, with uid 0: what random draws are about.
    pub forward: CallId,
}

/// A completion that came back, as far as a gating model cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Who gave it.
    pub uid: u32,
    /// Characters of the completion.
    pub length: u32,
}

/// Scores uids for questions.
pub trait GatingModel: Send {
    /// A score for each uid of `0..num_nodes`.
    fn scores(&mut self, question: &Question<'_>) -> Vec<f32>;

    /// Takes note of the successful completions of a forward.
    fn observe(&mut self, seen: &[Seen]) {
        // Most models only look at questions and rewards.
        let _ = seen;
    }

    /// One training step on the last question: `scores` are those of the uids that answered, `rewards` beside them.
    /// Returns the loss, `None` where there was nothing to train on.
    fn backward(&mut self, scores: &[f32], rewards: &[f32]) -> Option<f32> {
        softmax::loss(scores, rewards)
    }
}

/// The registry: builds the model that a file names, for a network of `num_nodes` miners that is asked `topk` at a time.
pub fn build(spec: &Spec, seed: Seed, num_nodes: u32, topk: u32) -> Result<Box<dyn GatingModel>, NotBuilt> {
    let n = num_nodes as usize;
    let not_built = |name| NotBuilt {
        name,
        available: "ConstantGatingModel, RandomGatingModel, LongestMessageGatingModel",
    };
    Ok(match spec {
        Spec::ConstantGatingModel(args) => {
            Box::new(constant::ConstantGatingModel::new(args.clone(), seed, n))
        }
        Spec::RandomGatingModel(args) => Box::new(random::RandomGatingModel::new(*args, seed, n)),
        Spec::LongestMessageGatingModel(_) => {
            Box::new(longest_message::LongestMessageGatingModel::new(n, topk as usize))
        }
        Spec::SequentialGatingModel(_) => return Err(not_built("SequentialGatingModel")),
        Spec::HuggingFaceGatingModel(_) => return Err(not_built("HuggingFaceGatingModel")),
        Spec::MaskedGatingModel(_) => return Err(not_built("MaskedGatingModel")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_config::component::{
        ConstantArgs, ConstantGatingArgs, Distribution, DistributionArgs, NoArgs, RandomArgs, Value,
    };

    fn question(step: u64) -> Question<'static> {
        Question {
            text: "user: why?\n",
            forward: CallId {
                caller: [1; 32],
                step,
                half: 0,
                uid: 0,
                call: 0,
            },
        }
    }

    fn random(frozen: bool, seed: u64) -> Box<dyn GatingModel> {
        let distribution = DistributionArgs {
            seed,
            distribution: Distribution::Uniform,
            p0: 1.0,
            p1: 0.0,
        };
        build(
            &Spec::RandomGatingModel(RandomArgs { frozen, distribution }),
            Seed::root(1),
            16,
            10,
        )
        .expect("registered")
    }

    #[test]
    fn a_constant_score_for_every_uid() {
        let args = ConstantGatingArgs {
            value: Value::ConstantValue(ConstantArgs { value: 1.0 }),
        };
        let mut model = build(&Spec::ConstantGatingModel(args), Seed::root(1), 5, 10).expect("registered");
        assert_eq!(model.scores(&question(1)), [1.0; 5]);
    }

    #[test]
    fn random_scores_are_drawn_by_question_or_once() {
        let mut fresh = random(false, 0);
        assert_eq!(fresh.scores(&question(1)).len(), 16);
        assert_ne!(fresh.scores(&question(1)), fresh.scores(&question(2)));
        assert_eq!(fresh.scores(&question(1)), random(false, 0).scores(&question(1)));
        let mut frozen = random(true, 0);
        assert_eq!(frozen.scores(&question(1)), frozen.scores(&question(2)));
        assert_ne!(frozen.scores(&question(1)), random(true, 1).scores(&question(1)));
    }

    #[test]
    fn the_longest_messages_score_one() {
        let mut model =
            build(&Spec::LongestMessageGatingModel(NoArgs {}), Seed::root(1), 4, 2).expect("registered");
        assert_eq!(model.scores(&question(1)), [0.0; 4]);
        model.observe(&[
            Seen { uid: 0, length: 30 },
            Seen { uid: 2, length: 90 },
            Seen { uid: 3, length: 40 },
            Seen { uid: 9, length: 99 },
        ]);
        assert_eq!(model.scores(&question(2)), [0.0, 0.0, 1.0, 1.0]);
        model.observe(&[Seen { uid: 2, length: 11 }]);
        assert_eq!(model.scores(&question(3)), [1.0, 0.0, 0.0, 1.0]);
    }
}
