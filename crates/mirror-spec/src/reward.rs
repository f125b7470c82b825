//! Reward models, which score completions.

use crate::declare::{choice, family, keys};
use crate::{Device, DistributionArgs, NoArgs, Value};

keys! {
    /// Arguments of `RandomRewardModel`.
    pub struct RandomRewardArgs: Copy {
        /// Factor of a backward's draw; the neuron never asks for it.
        backward_p0: f64 = 1,
        /// Offset of a backward's draw; the neuron never asks for it.
        backward_p1: f64 = 0,
        ..distribution: DistributionArgs,
    }
}

family! {
    /// Scores completions.
    pub enum RewardModel: "reward_model" {
        /// The same rewards for every question.
        "ConstantRewardModel" => ConstantRewardModel(ConstantRewardArgs {
            /// The rewards.
            forward_value: Value = 1,
            /// Loss of a backward; the neuron never asks for it.
            backward_value: Value = 0,
        }),
        /// Random rewards.
        "RandomRewardModel" => RandomRewardModel(RandomRewardArgs),
        /// A count over the completion's text.
        "DummyRewardModel" => DummyRewardModel(DummyRewardArgs: Copy Eq {
            /// What is counted: characters of the completion, characters of its longest word, or its words.
            reward_type: DummyReward = "question_length",
        }),
        /// A small network inside the program: whether an answer is of the kind and form that the question asks for.
        ///
        /// [models.md](models.md) says what it can and cannot tell.
        "BuiltinRewardModel" => BuiltinRewardModel(NoArgs),
        /// The GPT reward model of Bittensor v4.
        ///
        /// A transformer with a value head, `v_head.weight`, as Bittensor v4 has it. Prompt and completion stand
        /// between `<|startoftext|>` and `<|endoftext|>`, and the reward is the value at the position before the first
        /// end token. The completions of a call are judged together. A text with more tokens than the model has
        /// positions loses its beginning, and the event counts that; so it does a reward that is NaN, which is recorded
        /// and left out of all learning.
        "CustomRewardModel" => CustomRewardModel(CustomRewardArgs {
            /// A model's folder or name.
            model_path: String,
            /// A file of parameters; left out: those in the model's folder.
            checkpoint: Option<String>,
            /// A tokenizer's folder or name; left out: the model's own.
            tokenizer_path: Option<String>,
            /// Half precision.
            half: bool = false,
            /// Where this model lives; left out: where the file says.
            device: Option<Device>,
            /// Draw the model's parameters at random instead of reading them.
            random_init: bool = false,
        }),
        /// A transformer with a value head.
        ///
        /// The same model as `CustomRewardModel`, by upstream's arguments.
        "HuggingFaceRewardModel" => HuggingFaceRewardModel(HuggingFaceRewardArgs {
            /// A model's folder or name.
            model_path: String = "Dahoas/gpt2-rm-static",
            /// A tokenizer's folder or name.
            tokenizer_path: String = "EleutherAI/gpt-j-6b",
            /// Where this model lives; left out: where the file says.
            device: Option<Device>,
            /// Draw the model's parameters at random instead of reading them.
            random_init: bool = false,
        }),
    }
}

choice! {
    /// What `DummyRewardModel` counts in a completion.
    pub enum DummyReward {
        /// Characters of the completion.
        QuestionLength = "question_length",
        /// Characters of its longest word.
        LongestWord = "longest_word",
        /// Its words.
        NumWords = "num_words",
    }
}
