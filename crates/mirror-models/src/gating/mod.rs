//! Gating models, which choose the uids to query. A gating model scores every uid for a question and may learn from the
//! rewards of the completions.

mod constant;
pub(crate) mod hugging_face;
mod longest_message;
mod masked;
mod random;
pub(crate) mod sequential;
pub(crate) mod trained;

use std::path::Path;

use mirror_seed::{CallId, Seed};
use mirror_spec::GatingModel as Spec;
use tch::Device;

use crate::error::ModelError;
use crate::softmax;
use crate::training::{SgdConfig, Trained};
use crate::weights::{Precision, Weights};

pub(crate) use trained::numbers;

/// A question to be scored.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The conversation, unravelled to `role: message` lines.
    pub text: &'a str,
    /// The forward that asks the question, with uid 0. Random draws depend on it.
    pub forward: CallId,
}

/// The length of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseLength {
    /// The uid that returned the completion.
    pub uid: u32,
    /// Length of the completion in characters.
    pub length: u32,
}

/// Scores uids for questions.
pub trait GatingModel: Send {
    /// Returns a score for each uid of `0..num_nodes`.
    fn scores(&mut self, question: &Question<'_>) -> Vec<f32>;

    /// Records the lengths of the successful completions of a forward.
    fn observe(&mut self, lengths: &[ResponseLength]) {
        // Most models depend only on questions and rewards.
        let _ = lengths;
    }

    /// Performs one training step on a question that was scored before. Returns the loss before the step, or `None` if
    /// there was nothing to train on. The default implementation only computes the loss.
    fn backward(&mut self, example: &TrainingExample<'_>) -> Option<f32> {
        softmax::loss(example.scores, example.rewards)
    }

    /// Returns the trained parameters, or `None` if the model does not learn.
    fn trained(&mut self) -> Option<&mut Trained> {
        None
    }

    /// Returns the number of questions since the last call that were too long for the model and lost their beginnings.
    fn take_truncated(&mut self) -> u32 {
        0
    }
}

/// A question with the rewards of its answers, from which a gating model learns.
#[derive(Debug, Clone, Copy)]
pub struct TrainingExample<'a> {
    /// The question that was scored.
    pub question: Question<'a>,
    /// The uids that answered the question.
    pub uids: &'a [u32],
    /// Their scores, parallel to `uids`.
    pub scores: &'a [f32],
    /// Their rewards, parallel to `uids`. All are finite.
    pub rewards: &'a [f32],
}

/// The context in which a gating model is built, in addition to its arguments.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext {
    /// Random seed of the model's draws.
    pub seed: Seed,
    /// Number of miners. Uids 0 to `num_nodes - 1` are scored.
    pub num_nodes: u32,
    /// Number of axons that are queried at a time.
    pub topk: u32,
    /// Device of the tensors.
    pub device: Device,
    /// Configuration of the training.
    pub sgd: SgdConfig,
}

impl BuildContext {
    /// Returns randomly drawn parameters, for parameters without a file.
    fn drawn(&self) -> Weights {
        Weights::drawn(self.seed.child("parameters"), Precision::single(self.device))
    }

    /// Returns the parameters of the model in `folder`: drawn at random if `random_init` is set, otherwise read from
    /// its files.
    fn weights(&self, folder: &Path, random_init: bool) -> Result<Weights, ModelError> {
        let precision = Precision::single(self.device);
        Weights::of_model(
            folder,
            random_init.then(|| self.seed.child("random_init")),
            precision,
        )
    }
}

/// The registry of gating models: builds the model that `spec` describes. Names of models and tokenizers are paths of
/// folders.
///
/// # Errors
/// Returns an error if a model or a tokenizer cannot be read.
pub fn build(spec: &Spec, context: &BuildContext) -> Result<Box<dyn GatingModel>, ModelError> {
    let (seed, n) = (context.seed, context.num_nodes as usize);
    Ok(match spec {
        Spec::ConstantGatingModel(args) => {
            Box::new(constant::ConstantGatingModel::new(args.clone(), seed, n))
        }
        Spec::RandomGatingModel(args) => Box::new(random::RandomGatingModel::new(*args, seed, n)),
        Spec::LongestMessageGatingModel(_) => Box::new(longest_message::LongestMessageGatingModel::new(
            n,
            context.topk as usize,
        )),
        Spec::SequentialGatingModel(args) => Box::new(sequential::build(args, context)?),
        Spec::HuggingFaceGatingModel(args) => Box::new(hugging_face::build(args, context)?),
        Spec::MaskedGatingModel(args) => Box::new(masked::MaskedGatingModel::new(
            build(&args.gating_model, context)?,
            &args.mask,
        )),
    })
}

#[cfg(test)]
mod tests {
    use mirror_seed::CallNumber;

    use super::*;
    use crate::training::Gradients;
    use mirror_spec::{
        ConstantArgs, ConstantGatingArgs, Distribution, DistributionArgs, Mask, MaskedGatingArgs, NoArgs,
        RandomGatingArgs, Value,
    };

    fn built(spec: &Spec, num_nodes: u32, topk: u32) -> Box<dyn GatingModel> {
        let context = BuildContext {
            seed: Seed::root(1),
            num_nodes,
            topk,
            device: Device::Cpu,
            sgd: SgdConfig {
                learning_rate: 0.01,
                momentum: 0.9,
                gradients: Gradients::Zeroed,
            },
        };
        build(spec, &context).expect("the model is registered and needs no files")
    }

    fn question(step: u64) -> Question<'static> {
        Question {
            text: "user: why?\n",
            forward: CallId {
                caller: [1; 32],
                step,
                forward_index: 0,
                uid: 0,
                call: CallNumber::QUERY,
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
        built(
            &Spec::RandomGatingModel(RandomGatingArgs { frozen, distribution }),
            16,
            10,
        )
    }

    #[test]
    fn a_constant_model_gives_every_uid_the_same_score() {
        let args = ConstantGatingArgs {
            value: Value::ConstantValue(ConstantArgs { value: 1.0 }),
        };
        let mut model = built(&Spec::ConstantGatingModel(args), 5, 10);
        assert_eq!(model.scores(&question(1)), [1.0; 5]);
    }

    #[test]
    fn random_scores_are_drawn_per_question_or_once() {
        let mut fresh = random(false, 0);
        assert_eq!(fresh.scores(&question(1)).len(), 16);
        assert_ne!(fresh.scores(&question(1)), fresh.scores(&question(2)));
        assert_eq!(fresh.scores(&question(1)), random(false, 0).scores(&question(1)));
        let mut frozen = random(true, 0);
        assert_eq!(frozen.scores(&question(1)), frozen.scores(&question(2)));
        assert_ne!(frozen.scores(&question(1)), random(true, 1).scores(&question(1)));
    }

    #[test]
    fn the_longest_completions_score_one() {
        let mut model = built(&Spec::LongestMessageGatingModel(NoArgs {}), 4, 2);
        assert_eq!(model.scores(&question(1)), [0.0; 4]);
        model.observe(&[
            ResponseLength { uid: 0, length: 30 },
            ResponseLength { uid: 2, length: 90 },
            ResponseLength { uid: 3, length: 40 },
            ResponseLength { uid: 9, length: 99 },
        ]);
        assert_eq!(model.scores(&question(2)), [0.0, 0.0, 1.0, 1.0]);
        model.observe(&[ResponseLength { uid: 2, length: 11 }]);
        assert_eq!(model.scores(&question(3)), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn masked_uids_score_minus_infinity() {
        let constant = ConstantGatingArgs {
            value: Value::ConstantValue(ConstantArgs { value: 1.0 }),
        };
        let masked = |mask| {
            let args = MaskedGatingArgs {
                mask,
                gating_model: Box::new(Spec::ConstantGatingModel(constant.clone())),
            };
            built(&Spec::MaskedGatingModel(args), 4, 2).scores(&question(1))
        };
        let none = f32::NEG_INFINITY;
        assert_eq!(masked(Mask::First(2)), [none, none, 1.0, 1.0]);
        assert_eq!(
            masked(Mask::Uids("1-2".parse().expect("it names uids"))),
            [1.0, none, none, 1.0]
        );
        assert_eq!(
            masked(Mask::Uids("0,3".parse().expect("it names uids"))),
            [none, 1.0, 1.0, none]
        );
    }
}
