//! `HuggingFaceGatingModel`: the hidden state of a transformer at the last token, mapped to scores by a linear layer.
//! All parameters are trained, without dropout.

use std::path::Path;

use mirror_spec::HuggingFaceGatingArgs;
use tch::Tensor;

use super::BuildContext;
use super::trained::{Network, TrainedGatingModel};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::training::{Learning, Trained};
use crate::transformer::layers::Linear;
use crate::transformer::{Tokens, Transformer};
use crate::weights::{Init, Weights};

pub(crate) struct HuggingFace {
    pub(crate) transformer: Transformer,
    pub(crate) linear: Linear,
}

pub(super) fn build(
    args: &HuggingFaceGatingArgs,
    context: &BuildContext,
) -> Result<TrainedGatingModel<HuggingFace>, ModelError> {
    let folder: &Path = args.model_name.as_ref();
    let weights = context.weights(folder, args.random_init)?;
    let outputs = args.num_uids.into();
    let (network, learning) = HuggingFace::take(folder, outputs, weights, context.drawn())?;
    let tokenizer = tokenizer(folder, &network.transformer)?;
    Ok(TrainedGatingModel::new(
        tokenizer,
        network,
        Trained::new(context.sgd, learning),
        context.num_nodes as usize,
    ))
}

/// Reads the tokenizer of the model, which truncates texts to the model's number of positions.
pub(crate) fn tokenizer(folder: &Path, transformer: &Transformer) -> Result<Tokenizer, ModelError> {
    let mut tokenizer = Tokenizer::read(folder)?;
    tokenizer.check_fits(transformer.dimensions().vocabulary)?;
    tokenizer.keep_last(transformer.dimensions().positions)?;
    Ok(tokenizer)
}

impl HuggingFace {
    /// Takes the parameters of the network. `weights` contain the transformer in `folder`, and `head` contains the
    /// linear layer: `linear.weight` and `linear.bias`.
    pub(crate) fn take(
        folder: &Path,
        outputs: i64,
        weights: Weights,
        head: Weights,
    ) -> Result<(Self, Learning), ModelError> {
        let (transformer, mut weights) = Transformer::read(folder, weights.learning())?;
        let width = transformer.dimensions().width;
        let init = Init::linear(width);
        let mut head = head.learning();
        let linear = Linear::with_bias(&mut head, "linear", [width, outputs], init)?;
        let mut learning = weights.take_learning();
        learning.append(&mut head.take_learning());
        Ok((Self { transformer, linear }, learning))
    }
}

impl Network for HuggingFace {
    fn scores(&self, tokens: &[i64]) -> Tensor {
        let Some(tokens) = Tokens::of(&[tokens.to_vec()], self.transformer.device()) else {
            return self.scores_of_nothing();
        };
        self.linear
            .forward(&self.transformer.last_hidden(&tokens))
            .squeeze_dim(0)
    }

    /// Returns the scores of a hidden state of zeros.
    fn scores_of_nothing(&self) -> Tensor {
        self.linear.of_zeros()
    }
}
