//! Reward models, which score completions.

use crate::declare::{choice, family, keys};
use crate::{Device, DistributionArgs, NoArgs, Value};

keys! {
    /// Arguments of `RandomRewardModel`.
    pub struct RandomRewardArgs: Copy {
        /// Factor of the draws of a backward. No effect: validators call no backward of a reward model.
        backward_p0: f64 = 1,
        /// Offset of the draws of a backward. No effect: validators call no backward of a reward model.
        backward_p1: f64 = 0,
        ..distribution: DistributionArgs,
    }
}

family! {
    /// A model that scores completions.
    pub enum RewardModel: "reward_model" {
        /// The same rewards for every question.
        "ConstantRewardModel" => ConstantRewardModel(ConstantRewardArgs {
            /// The rewards, by position of the completion.
            forward_value: Value = 1,
            /// Loss of a backward. No effect: validators call no backward of a reward model.
            backward_value: Value = 0,
        }),
        /// Random rewards.
        "RandomRewardModel" => RandomRewardModel(RandomRewardArgs),
        /// A count over the text of the completion.
        "DummyRewardModel" => DummyRewardModel(DummyRewardArgs: Copy Eq {
            /// The unit that is counted: characters of the completion, characters of its longest word, or words.
            reward_type: DummyReward = "question_length",
        }),
        /// A small network, compiled into the program, that prefers answers of the kind and form that the question asks
        /// for.
        ///
        /// [models.md](models.md) describes what it can distinguish.
        "BuiltinRewardModel" => BuiltinRewardModel(NoArgs),
        /// The GPT reward model of Bittensor v4.
        ///
        /// The model is a transformer with a value head, `v_head.weight`. Prompt and completion are placed between
        /// `<|startoftext|>` and `<|endoftext|>`, and the reward is the value at the position before the first end
        /// token. The completions of a call are scored together. A text with more tokens than the model has positions
        /// is truncated at its beginning, and the event counts such texts. The event also counts rewards that are NaN,
        /// which are recorded and excluded from all learning.
        "CustomRewardModel" => CustomRewardModel(CustomRewardArgs {
            /// Directory or name of the model.
            model_path: String,
            /// File with the parameters. If absent: those in the directory of the model.
            checkpoint: Option<String>,
            /// Directory or name of the tokenizer. If absent: that of the model.
            tokenizer_path: Option<String>,
            /// Whether to use half precision.
            half: bool = false,
            /// Device of this model. If absent: the device of the experiment.
            device: Option<Device>,
            /// Whether to draw the model's parameters at random instead of reading them.
            random_init: bool = false,
        }),
        /// A transformer with a value head.
        ///
        /// The same model as `CustomRewardModel`, with upstream's arguments.
        "HuggingFaceRewardModel" => HuggingFaceRewardModel(HuggingFaceRewardArgs {
            /// Directory or name of the model.
            model_path: String = "Dahoas/gpt2-rm-static",
            /// Directory or name of the tokenizer.
            tokenizer_path: String = "EleutherAI/gpt-j-6b",
            /// Device of this model. If absent: the device of the experiment.
            device: Option<Device>,
            /// Whether to draw the model's parameters at random instead of reading them.
            random_init: bool = false,
        }),
    }
}

choice! {
    /// The unit that `DummyRewardModel` counts in a completion.
    pub enum DummyReward {
        /// Characters of the completion.
        QuestionLength = "question_length",
        /// Characters of the longest word.
        LongestWord = "longest_word",
        /// Words.
        NumWords = "num_words",
    }
}
