//! Gating models, which score uids for a question.

use serde::{Deserialize, Serialize};

use crate::declare::{family, keys};
use crate::key::{Described, Family, Kind};
use crate::ranges::WIDTH;
use crate::{DistributionArgs, NoArgs, Uids, Value};

/// Returns the family of gating models that a mask accepts.
fn unmasked() -> &'static Family {
    static UNMASKED: Family = Family {
        without: Some("MaskedGatingModel"),
        ..*GatingModel::FAMILY
    };
    &UNMASKED
}

keys! {
    /// Arguments of `RandomGatingModel`.
    pub struct RandomGatingArgs: Copy {
        /// Whether to keep the first draw for all questions.
        frozen: bool = false,
        ..distribution: DistributionArgs,
    }
}

family! {
    /// A model that scores uids for a question.
    pub enum GatingModel: "gating_model" {
        /// The same scores for every question.
        "ConstantGatingModel" => ConstantGatingModel(ConstantGatingArgs {
            /// The scores, by uid.
            value: Value = 1,
        }),
        /// Random scores.
        "RandomGatingModel" => RandomGatingModel(RandomGatingArgs),
        /// A score of 1 for the `training_topk` uids whose last completions were the longest, and 0 for the rest.
        "LongestMessageGatingModel" => LongestMessageGatingModel(NoArgs),
        /// An LSTM over the tokens of the question.
        ///
        /// The network consists of a frozen random embedding, LSTM layers, and a linear map of the state after the last
        /// token. It is trained by gradient descent on the rewards of the uids that answered: the loss is the mean
        /// squared error between softmax(scores) and softmax(rewards).
        "SequentialGatingModel" => SequentialGatingModel(SequentialGatingArgs {
            /// Directory or name of the tokenizer, or `builtin`.
            tokenizer_name: String,
            /// Width of each LSTM layer. A single number means one layer.
            hidden_size: Vec<u32> [OneOrMany(&WIDTH)],
            /// Width of the embedding.
            embedding_dim: u32 [WIDTH],
            /// Number of outputs. If absent: the number of miners.
            num_uids: Option<u32> [WIDTH],
        }),
        /// A linear map of the last hidden state of a transformer.
        ///
        /// The supported architectures are GPT-2, GPT-Neo, GPT-J and BERT. All parameters are trained as in
        /// `SequentialGatingModel`, without dropout. A question with more tokens than the model has positions is
        /// truncated at its beginning, and the event counts such questions.
        "HuggingFaceGatingModel" => HuggingFaceGatingModel(HuggingFaceGatingArgs {
            /// Directory or name of the model.
            model_name: String = "EleutherAI/gpt-neo-125m",
            /// Number of outputs, at least the number of miners.
            num_uids: u32 [WIDTH] = 4096,
            /// Whether to draw the model's parameters at random instead of reading them.
            random_init: bool = false,
        }),
        /// Another gating model with some uids masked out, which are never queried.
        ///
        /// A number masks the uids from 0 on: `mask: 10` is the same as `mask: 0-9`, whereas `mask: [10]` masks uid 10
        /// only. A masked uid has the score minus infinity and is never queried, neither for its score nor in a random
        /// sample.
        "MaskedGatingModel" => MaskedGatingModel(MaskedGatingArgs {
            /// The masked uids: a number masks that many uids from 0 on, a text or a list names them.
            mask: Mask = 10,
            /// The model that scores the other uids.
            gating_model: Box<GatingModel> [Component(unmasked)] = "ConstantGatingModel",
        }),
    }
}

/// A set of masked uids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Mask {
    /// This number of uids, from 0 on.
    First(u32),
    /// The named uids.
    Uids(Uids),
}

impl Mask {
    /// Returns the masked uids as inclusive ranges.
    pub fn ranges(&self) -> Vec<std::ops::RangeInclusive<u32>> {
        match self {
            Self::First(count) => count.checked_sub(1).map(|last| 0..=last).into_iter().collect(),
            Self::Uids(uids) => uids.ranges().to_vec(),
        }
    }
}

impl Described for Mask {
    const KIND: Kind = Kind::Either(&Kind::Integer(1..=65_535), &Uids::KIND);
}
