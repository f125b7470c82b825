//! `HuggingFaceRewardModel` and `CustomRewardModel`: the GPT reward model of Bittensor v4, a transformer with a value
//! head.
//!
//! The reward of a text is the value at the position before the first end token. v4 pads every text to 550 tokens with
//! the end token and scores one text at a time. Here, the completions of a call are scored together, each up to its
//! first end token. The numbers are the same, because no position attends to later positions.

use std::path::Path;

use mirror_spec::{CustomRewardArgs, HuggingFaceRewardArgs};
use tch::Kind;

use super::{BuildContext, Candidate, RewardModel};
use crate::error::ModelError;
use crate::gating::numbers;
use crate::tokenizer::Tokenizer;
use crate::transformer::layers::Linear;
use crate::transformer::{Tokens, Transformer};
use crate::weights::{Init, Precision, Weights};

/// Maximum number of tokens in one batch, including padding. Bounds the memory for many long completions.
const BATCH_TOKENS: usize = 1 << 14;

pub(crate) struct GptRewardModel {
    tokenizer: Tokenizer,
    transformer: Transformer,
    value_head: Linear,
    truncated: u32,
}

/// The tokens of a text between the special tokens of v4.
pub(crate) struct JudgedTokens {
    pub(crate) tokens: Vec<i64>,
    /// Position of the first end token, or the number of tokens if there is none.
    pub(crate) end: usize,
}

pub(super) fn hugging_face(
    args: &HuggingFaceRewardArgs,
    context: &BuildContext,
) -> Result<GptRewardModel, ModelError> {
    let folder: &Path = args.model_path.as_ref();
    let weights = context.weights(
        folder,
        args.random_init,
        Precision::single(context.device(args.device.as_deref())?),
    )?;
    GptRewardModel::read(folder, args.tokenizer_path.as_ref(), weights)
}

pub(super) fn custom(args: &CustomRewardArgs, context: &BuildContext) -> Result<GptRewardModel, ModelError> {
    let folder: &Path = args.model_path.as_ref();
    let kind = if args.half { Kind::Half } else { Kind::Float };
    let precision = Precision {
        device: context.device(args.device.as_deref())?,
        kind,
    };
    let weights = match &args.checkpoint {
        Some(file) => Weights::read_file(file.as_ref(), precision)?,
        None => context.weights(folder, args.random_init, precision)?,
    };
    let tokenizer = args.tokenizer_path.as_ref().unwrap_or(&args.model_path);
    GptRewardModel::read(folder, tokenizer.as_ref(), weights)
}

impl GptRewardModel {
    /// Reads the model in `folder` and the tokenizer in the folder `tokenizer`. `weights` contain both the transformer
    /// and the value head.
    pub(crate) fn read(folder: &Path, tokenizer: &Path, weights: Weights) -> Result<Self, ModelError> {
        let (transformer, weights) = Transformer::read(folder, weights)?;
        let tokenizer = Tokenizer::read(tokenizer)?;
        Self::with_head(transformer, tokenizer, &mut weights.part_with("v_head.weight"))
    }

    /// Creates a model from a transformer and a value head. `head` contains `v_head.weight`.
    pub(crate) fn with_head(
        transformer: Transformer,
        tokenizer: Tokenizer,
        head: &mut Weights,
    ) -> Result<Self, ModelError> {
        let dimensions = transformer.dimensions();
        tokenizer.check_fits(dimensions.vocabulary)?;
        let width = dimensions.width;
        let value_head = Linear::without_bias(head, "v_head", [width, 1], Init::linear(width))?;
        Ok(Self {
            tokenizer,
            transformer,
            value_head,
            truncated: 0,
        })
    }

    /// Returns the tokens of a text between the special tokens that v4 puts around it, and the position of its end.
    pub(crate) fn judged(&self, text: &str) -> Result<JudgedTokens, ModelError> {
        let marked = format!("<|startoftext|>{text}<|endoftext|>");
        let tokens = self.tokenizer.encode(&marked)?.ids;
        let end = tokens
            .iter()
            .position(|token| Some(*token) == self.tokenizer.end());
        Ok(JudgedTokens {
            end: end.unwrap_or(tokens.len()),
            tokens,
        })
    }

    /// Returns the value of each sequence at its last token, or `None` if there is no sequence or one is empty.
    pub(crate) fn values(&self, sequences: &[Vec<i64>]) -> Option<Vec<f32>> {
        let tokens = Tokens::of(sequences, self.transformer.device())?;
        let values = tch::no_grad(|| self.value_head.forward(&self.transformer.last_hidden(&tokens)));
        Some(numbers(&values.flatten(0, -1)))
    }

    /// Returns the tokens of a text up to its end token. A text with more tokens than the model has positions loses its
    /// beginning. Returns `None` if there are no tokens, or if the tokenizer cannot encode the text.
    fn seen(&mut self, text: &str) -> Option<Vec<i64>> {
        let JudgedTokens { mut tokens, end } = match self.judged(text) {
            Ok(judged) => judged,
            Err(error) => {
                tracing::warn!(%error, "cannot encode a completion; its reward is NaN");
                return None;
            }
        };
        tokens.truncate(end);
        let positions = self.transformer.dimensions().positions as usize;
        if tokens.len() > positions {
            self.truncated += 1;
            tokens.drain(..tokens.len() - positions);
        }
        (!tokens.is_empty()).then_some(tokens)
    }
}

impl RewardModel for GptRewardModel {
    /// Returns the rewards. A completion that cannot be scored has the reward NaN.
    fn rewards(&mut self, candidates: &[Candidate<'_>]) -> Vec<f32> {
        let mut rewards = vec![f32::NAN; candidates.len()];
        let mut sequences: Vec<(usize, Vec<i64>)> = candidates
            .iter()
            .enumerate()
            .filter_map(|(position, candidate)| {
                let text = format!("{}{}", candidate.prompt, candidate.completion);
                Some((position, self.seen(&text)?))
            })
            .collect();
        // Sequences of similar length are batched together to keep the padding small.
        sequences.sort_by_key(|(_, tokens)| tokens.len());
        let mut rest = sequences.as_slice();
        while let Some((_, shortest)) = rest.first() {
            let fits = |count: &usize| {
                let longest = rest
                    .get(count - 1)
                    .map_or(shortest.len(), |(_, tokens)| tokens.len());
                count * longest <= BATCH_TOKENS
            };
            let count = (1..=rest.len()).take_while(fits).last().unwrap_or(1);
            let (batch, others) = rest.split_at(count);
            let tokens: Vec<Vec<i64>> = batch.iter().map(|(_, tokens)| tokens.clone()).collect();
            for ((position, _), value) in batch.iter().zip(self.values(&tokens).unwrap_or_default()) {
                rewards[*position] = value;
            }
            rest = others;
        }
        rewards
    }

    fn take_truncated(&mut self) -> u32 {
        std::mem::take(&mut self.truncated)
    }
}
