//! Gating models, which score uids for a question.

use serde::{Deserialize, Serialize};

use crate::declare::{family, keys};
use crate::key::{Described, Family, Kind};
use crate::ranges::WIDTH;
use crate::{DistributionArgs, NoArgs, Uids, Value};

/// What a mask can be laid over.
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
        /// Keep the first draw for ever.
        frozen: bool = false,
        ..distribution: DistributionArgs,
    }
}

family! {
    /// Scores uids for a question.
    pub enum GatingModel: "gating_model" {
        /// The same scores for every question.
        "ConstantGatingModel" => ConstantGatingModel(ConstantGatingArgs {
            /// The scores.
            value: Value = 1,
        }),
        /// Random scores.
        "RandomGatingModel" => RandomGatingModel(RandomGatingArgs),
        /// Ones for the longest messages it was shown, zeros for the rest.
        ///
        /// A score of one for the `training_topk` uids whose last completions were the longest, zero for the rest.
        "LongestMessageGatingModel" => LongestMessageGatingModel(NoArgs),
        /// An LSTM over the question's tokens.
        ///
        /// An embedding that stays as it was drawn, LSTM layers, and a linear map of the last token's state. It learns
        /// by gradient descent from the rewards of those who answered: the loss is the mean squared error of
        /// softmax(scores) to softmax(rewards).
        "SequentialGatingModel" => SequentialGatingModel(SequentialGatingArgs {
            /// A tokenizer's folder or name, or `builtin`.
            tokenizer_name: String,
            /// Width of each LSTM layer; one number is one layer.
            hidden_size: Vec<u32> [OneOrMany(&WIDTH)],
            /// Width of the embedding.
            embedding_dim: u32 [WIDTH],
            /// Outputs; left out: as many as there are miners.
            num_uids: Option<u32> [WIDTH],
        }),
        /// A transformer's last hidden state, mapped to scores.
        ///
        /// The architectures are GPT-2, GPT-Neo, GPT-J and BERT. It learns as `SequentialGatingModel` does, the
        /// transformer included, without dropout. A question with more tokens than the model has positions loses its
        /// beginning, and the event counts that.
        "HuggingFaceGatingModel" => HuggingFaceGatingModel(HuggingFaceGatingArgs {
            /// A model's folder or name.
            model_name: String = "EleutherAI/gpt-neo-125m",
            /// Outputs, at least as many as there are miners.
            num_uids: u32 [WIDTH] = 4096,
            /// Draw the model's parameters at random instead of reading them.
            random_init: bool = false,
        }),
        /// Another gating model with uids masked out, which are never asked.
        ///
        /// A number is how many uids from 0 are masked out: `mask: 10` is `mask: 0-9`, and `mask: [10]` is uid 10
        /// alone. Whoever is masked out scores minus infinity, and is never asked, neither for its score nor in a
        /// random sample.
        "MaskedGatingModel" => MaskedGatingModel(MaskedGatingArgs {
            /// The uids masked out: a number is how many from 0 on, a text or a list names them.
            mask: Mask = 10,
            /// Who scores the others.
            gating_model: Box<GatingModel> [Component(unmasked)] = "ConstantGatingModel",
        }),
    }
}

/// uids that are masked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Mask {
    /// The first so many.
    First(u32),
    /// Those that are named.
    Uids(Uids),
}

impl Mask {
    /// The uids, as ranges.
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
