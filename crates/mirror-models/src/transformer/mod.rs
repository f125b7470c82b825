//! Transformers, which compute the hidden states of tokens in the same way as Hugging Face's transformers.
//!
//! `config.json` specifies the architecture and its options. An option that would change the result, but is not
//! supported, is an error that names the option. To add an architecture, add one file and one branch in
//! [`Transformer::read`].
//!
//! Shapes and ids are checked when a model and its tokenizer are read. Afterwards, the calls of libtorch in this module
//! can fail only for lack of memory.

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

/// The supported values of `model_type` in `config.json`.
const KNOWN: &str = "gpt2, gpt_neo, gptj, bert";

/// The token sequences of a batch, padded on the right to the longest.
pub struct Tokens {
    /// Token ids: [batch, longest].
    ids: Tensor,
    /// Number of tokens of each sequence, at least 1.
    lengths: Vec<i64>,
}

impl Tokens {
    /// Creates a batch of sequences. Returns `None` if there is no sequence or one is empty.
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

    /// Returns whether the sequences differ in length, so that some are padded.
    fn are_filled_up(&self) -> bool {
        self.lengths.iter().any(|length| *length != self.longest())
    }

    /// Returns a mask that is true for tokens and false for padding: [batch, longest].
    fn are_there(&self) -> Tensor {
        let lengths = Tensor::from_slice(&self.lengths).to_device(self.ids.device());
        let positions = layers::positions(self.longest(), &self.ids);
        positions.unsqueeze(0).lt_tensor(&lengths.unsqueeze(1))
    }

    /// Selects the state of each last token from [batch, longest, width]: [batch, width].
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

/// The computation of an architecture.
trait Architecture: Send {
    /// Returns the states after the last block, before the final normalisation: [batch, longest, width].
    fn states(&self, tokens: &Tokens) -> Tensor;

    /// Applies the final normalisation, position by position.
    fn finish(&self, states: &Tensor) -> Tensor;
}

/// Sizes that a tokenizer and a head must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Width of a hidden state.
    pub width: i64,
    /// Maximum number of tokens of a sequence.
    pub positions: i64,
    /// Number of rows of the token embedding.
    pub vocabulary: i64,
}

/// A transformer without a head.
pub struct Transformer {
    architecture: Box<dyn Architecture>,
    dimensions: Dimensions,
    precision: Precision,
}

impl Transformer {
    /// Reads the model in `folder` according to its `config.json`, and takes its parameters from `weights`. Returns the
    /// model and the remaining parameters, which include those of its heads.
    ///
    /// # Errors
    /// Returns an error if the architecture or an option is not supported, or if a parameter is missing or invalid.
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

    /// Returns the sizes that a tokenizer and a head must match.
    pub fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// Returns the device of the parameters.
    pub fn device(&self) -> Device {
        self.precision.device
    }

    /// Returns the hidden state of every position: [batch, longest, width].
    pub fn hidden_states(&self, tokens: &Tokens) -> Tensor {
        self.architecture.finish(&self.architecture.states(tokens))
    }

    /// Returns the hidden state of each last token: [batch, width].
    pub fn last_hidden(&self, tokens: &Tokens) -> Tensor {
        let states = self.architecture.states(tokens);
        self.architecture.finish(&tokens.last_of(&states))
    }

    /// Returns the mean of the hidden states of each sequence, which is used for sentence embeddings: [batch, width].
    pub fn mean_hidden(&self, tokens: &Tokens) -> Tensor {
        let states = self.hidden_states(tokens);
        let there = tokens.are_there().to_kind(states.kind()).unsqueeze(-1);
        let sum = (states * &there).sum_dim_intlist(1, false, None::<Kind>);
        sum / there.sum_dim_intlist(1, false, None::<Kind>)
    }
}
