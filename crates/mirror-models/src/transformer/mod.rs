//! Transformers: from tokens to hidden states, as Hugging Face's transformers computes them.
//!
//! `config.json` says which architecture, and its options. One that would change the numbers and is not built here is
//! refused by its name. An architecture is one file, and one line in [`Transformer::read`].
//!
//! Shapes and ids are checked when a model and its tokenizer are read, so that the calls of libtorch here cannot fail
//! but for want of memory.

mod activation;
mod bert;
mod config;
mod gpt2;
mod gpt_neo;
mod gptj;
pub(crate) mod layers;

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::error::ModelError;
use crate::weights::{Precision, Weights};
use config::Config;

/// The names that `config.json` may have at `model_type`.
const KNOWN: &str = "gpt2, gpt_neo, gptj, bert";

/// Token sequences of a batch, filled up on the right to the longest.
pub struct Tokens {
    /// [batch, longest], whole numbers.
    ids: Tensor,
    /// Tokens of each, at least one.
    lengths: Vec<i64>,
}

impl Tokens {
    /// Of sequences that each have a token at least; `None` where one has none, or there is no sequence.
    pub fn of(sequences: &[Vec<i64>], device: Device) -> Option<Self> {
        let lengths: Vec<i64> = sequences.iter().map(|sequence| sequence.len() as i64).collect();
        let longest = *lengths.iter().max()?;
        if lengths.contains(&0) {
            return None;
        }
        let mut ids = Vec::with_capacity(sequences.len() * longest as usize);
        for sequence in sequences {
            ids.extend_from_slice(sequence);
            ids.resize(ids.len() + (longest as usize - sequence.len()), 0);
        }
        let ids = Tensor::from_slice(&ids)
            .view([lengths.len() as i64, longest])
            .to_device(device);
        Some(Self { ids, lengths })
    }

    fn longest(&self) -> i64 {
        self.ids.size()[1]
    }

    /// Whether sequences differ in length, so that some are filled up.
    fn are_filled_up(&self) -> bool {
        self.lengths.iter().any(|length| *length != self.longest())
    }

    /// True where there is a token and not a filling: [batch, longest].
    fn are_there(&self) -> Tensor {
        let lengths = Tensor::from_slice(&self.lengths).to_device(self.ids.device());
        let positions = layers::positions(self.longest(), &self.ids);
        positions.unsqueeze(0).lt_tensor(&lengths.unsqueeze(1))
    }

    /// Of [batch, longest, width] what stands at each last token: [batch, width].
    fn last_of(&self, states: &Tensor) -> Tensor {
        let (batch, longest, width) = (self.lengths.len() as i64, self.longest(), states.size()[2]);
        let rows: Vec<i64> = (0..batch)
            .zip(&self.lengths)
            .map(|(row, length)| row * longest + length - 1)
            .collect();
        let rows = Tensor::from_slice(&rows).to_device(states.device());
        states.reshape([batch * longest, width]).index_select(0, &rows)
    }
}

/// What an architecture computes.
trait Architecture: Send {
    /// States after the last block, before what normalises them: [batch, longest, width].
    fn states(&self, tokens: &Tokens) -> Tensor;

    /// The normalisation at the end, position by position.
    fn finish(&self, states: &Tensor) -> Tensor;
}

/// Widths that others must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Of a hidden state.
    pub width: i64,
    /// Tokens that it can take at once.
    pub positions: i64,
    /// Rows of its embedding.
    pub vocabulary: i64,
}

/// A transformer without a head.
pub struct Transformer {
    architecture: Box<dyn Architecture>,
    dimensions: Dimensions,
    precision: Precision,
}

impl Transformer {
    /// Reads the model in `folder` by its `config.json`, taking its parameters from `weights`, which hold those of its
    /// heads afterwards.
    pub fn read(folder: &Path, weights: Weights) -> Result<(Self, Weights), ModelError> {
        let config = Config::read(folder)?;
        config.refuse(&["add_cross_attention", "is_encoder_decoder", "pruned_heads"])?;
        let precision = weights.precision();
        let anchored = |anchor| weights.part_with(anchor);
        let (architecture, dimensions, weights): (Box<dyn Architecture>, _, _) = match config.model_type() {
            "gpt2" => {
                let mut weights = anchored("wte.weight");
                let (model, dimensions) = gpt2::Gpt2::read(&config, &mut weights)?;
                (Box::new(model), dimensions, weights)
            }
            "gpt_neo" => {
                let mut weights = anchored("wte.weight");
                let (model, dimensions) = gpt_neo::GptNeo::read(&config, &mut weights)?;
                (Box::new(model), dimensions, weights)
            }
            "gptj" => {
                let mut weights = anchored("wte.weight");
                let (model, dimensions) = gptj::GptJ::read(&config, &mut weights)?;
                (Box::new(model), dimensions, weights)
            }
            "bert" => {
                let mut weights = anchored("embeddings.word_embeddings.weight");
                let (model, dimensions) = bert::Bert::read(&config, &mut weights)?;
                (Box::new(model), dimensions, weights)
            }
            other => {
                return Err(ModelError::Architecture {
                    path: config.path().to_owned(),
                    found: other.to_owned(),
                    known: KNOWN,
                });
            }
        };
        let transformer = Self {
            architecture,
            dimensions,
            precision,
        };
        Ok((transformer, weights.whole()))
    }

    /// Widths that others must fit.
    pub fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// Where its parameters live.
    pub fn device(&self) -> Device {
        self.precision.device
    }

    /// The hidden state of every position: [batch, longest, width].
    pub fn hidden_states(&self, tokens: &Tokens) -> Tensor {
        self.architecture.finish(&self.architecture.states(tokens))
    }

    /// The hidden state of each last token: [batch, width].
    pub fn last_hidden(&self, tokens: &Tokens) -> Tensor {
        let states = self.architecture.states(tokens);
        self.architecture.finish(&tokens.last_of(&states))
    }

    /// The mean of each sequence's hidden states, as sentence embeddings are made: [batch, width].
    pub fn mean_hidden(&self, tokens: &Tokens) -> Tensor {
        let states = self.hidden_states(tokens);
        let there = tokens.are_there().to_kind(states.kind()).unsqueeze(-1);
        let sum = (states * &there).sum_dim_intlist(1, false, None::<Kind>);
        sum / there.sum_dim_intlist(1, false, None::<Kind>)
    }
}
