//! Reward models, which score completions.

mod builtin;
mod constant;
mod dummy;
pub(crate) mod gpt;
mod random;

use std::path::Path;

use mirror_seed::{CallId, Seed};
use mirror_spec::RewardModel as Spec;
use tch::Device;

use crate::error::ModelError;
use crate::torch;
use crate::weights::{Precision, Weights};

/// A completion to be scored.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The call that returned the completion. Random draws depend on it.
    pub call: CallId,
    /// The messages of user and assistant, stripped, each followed by a blank line.
    pub prompt: &'a str,
    /// The completion, stripped.
    pub completion: &'a str,
}

/// Scores completions.
pub trait RewardModel: Send {
    /// Returns a reward for each candidate, in their order, or NaN for a candidate that cannot be scored.
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32>;

    /// Returns the number of texts since the last call that were too long for the model and lost their beginnings.
    fn take_truncated(&mut self) -> u32 {
        0
    }
}

/// The context in which a reward model is built, in addition to its arguments.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext {
    /// Random seed of the model's draws.
    pub seed: Seed,
    /// Default device of the tensors.
    pub device: Device,
}

impl BuildContext {
    /// Returns the device with this name, or the default device if the model specifies none.
    fn device(&self, name: Option<&str>) -> Result<Device, ModelError> {
        Ok(name.map_or(Ok(self.device), torch::device)?)
    }

    /// Returns the parameters of the model in `folder`: drawn at random if `random_init` is set, otherwise read from
    /// its files.
    fn weights(&self, folder: &Path, random_init: bool, precision: Precision) -> Result<Weights, ModelError> {
        Weights::of_model(
            folder,
            random_init.then(|| self.seed.child("random_init")),
            precision,
        )
    }
}

/// The registry of reward models: builds the model that `spec` describes. Names of models and tokenizers are paths of
/// folders.
///
/// # Errors
/// Returns an error if a model or a tokenizer cannot be read, or if the device is not available.
pub fn build(spec: &Spec, context: &BuildContext) -> Result<Box<dyn RewardModel>, ModelError> {
    let seed = context.seed;
    Ok(match spec {
        Spec::ConstantRewardModel(args) => Box::new(constant::ConstantRewardModel::new(args.clone(), seed)),
        Spec::RandomRewardModel(args) => Box::new(random::RandomRewardModel::new(*args, seed)),
        Spec::DummyRewardModel(args) => Box::new(dummy::DummyRewardModel::new(*args)),
        Spec::BuiltinRewardModel(_) => Box::new(builtin::BuiltinRewardModel::read()?),
        Spec::CustomRewardModel(args) => Box::new(gpt::custom(args, context)?),
        Spec::HuggingFaceRewardModel(args) => Box::new(gpt::hugging_face(args, context)?),
    })
}

#[cfg(test)]
mod tests {
    use mirror_seed::CallNumber;

    use super::*;
    use mirror_spec::{
        ConstantArgs, ConstantRewardArgs, Distribution, DistributionArgs, DummyReward, DummyRewardArgs,
        RandomRewardArgs, Value,
    };

    fn built(spec: &Spec) -> Box<dyn RewardModel> {
        let context = BuildContext {
            seed: Seed::root(1),
            device: Device::Cpu,
        };
        build(spec, &context).expect("the model is registered and needs no files")
    }

    fn candidate(uid: u32, completion: &str) -> Candidate<'_> {
        let call = CallId {
            caller: [1; 32],
            step: 2,
            forward_index: 1,
            uid,
            call: CallNumber::QUERY,
        };
        Candidate {
            call,
            prompt: "why?\n\n",
            completion,
        }
    }

    #[test]
    fn dummy_rewards_count_characters_and_words() {
        let text = "Zürich liegt am Zürichsee";
        for (reward_type, expected) in [
            (DummyReward::QuestionLength, 25.0),
            (DummyReward::LongestWord, 9.0),
            (DummyReward::NumWords, 4.0),
        ] {
            let spec = Spec::DummyRewardModel(DummyRewardArgs { reward_type });
            let mut model = built(&spec);
            assert_eq!(
                model.rewards(&[candidate(0, text), candidate(1, "")]),
                [expected, 0.0]
            );
        }
    }

    #[test]
    fn a_random_reward_depends_only_on_its_call() {
        let distribution = DistributionArgs {
            seed: 0,
            distribution: Distribution::Uniform,
            p0: 1.0,
            p1: 0.0,
        };
        let spec = Spec::RandomRewardModel(RandomRewardArgs {
            distribution,
            backward_p0: 1.0,
            backward_p1: 0.0,
        });
        let mut model = built(&spec);
        let both = model.rewards(&[candidate(3, "x"), candidate(4, "x")]);
        assert_ne!(both[0], both[1]);
        assert_eq!(model.rewards(&[candidate(4, "y")]), both[1..]);
    }

    #[test]
    fn a_constant_reward_is_constant() {
        let value = |value| Value::ConstantValue(ConstantArgs { value });
        let spec = Spec::ConstantRewardModel(ConstantRewardArgs {
            forward_value: value(0.5),
            backward_value: value(0.0),
        });
        let mut model = built(&spec);
        assert_eq!(model.rewards(&[candidate(3, "x"), candidate(4, "y")]), [0.5, 0.5]);
        assert!(model.rewards(&[]).is_empty());
    }
}
