//! Reward models: what an answer is worth.

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

/// A completion to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which call it came from: what random draws are about.
    pub call: CallId,
    /// The user's and assistant's messages, stripped, each followed by a blank line.
    pub prompt: &'a str,
    /// The completion, stripped.
    pub completion: &'a str,
}

/// Judges completions.
pub trait RewardModel: Send {
    /// A reward for each candidate, in their order; NaN for one that it cannot judge.
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32>;

    /// How many texts were too long for the model and lost their beginnings, since this was asked last.
    fn take_truncated(&mut self) -> u32 {
        0
    }
}

/// What a reward model is built from, beside its arguments.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext {
    /// The seed of its draws.
    pub seed: Seed,
    /// Where tensors live.
    pub device: Device,
}

impl BuildContext {
    /// The device of this name, where a model has one of its own.
    fn device(&self, name: Option<&str>) -> Result<Device, ModelError> {
        Ok(name.map_or(Ok(self.device), torch::device)?)
    }

    /// The parameters of the model in `folder`: from its files, or drawn where that was asked for.
    fn weights(&self, folder: &Path, random_init: bool, precision: Precision) -> Result<Weights, ModelError> {
        Weights::of_model(
            folder,
            random_init.then(|| self.seed.child("random_init")),
            precision,
        )
    }
}

/// The registry: builds the model that a file names. Names of models and tokenizers are the folders that they lie in.
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
        build(spec, &context).expect("registered, and needs no files")
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
    fn texts_are_counted_in_characters_and_words() {
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
    fn a_random_reward_belongs_to_its_call_whoever_else_answered() {
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
