//! Sentence embeddings and token counts of texts, for the analysis of prompts and completions.
//!
//! The embedding of a sentence is that of sentence-transformers for a BERT with mean pooling: the mean of the hidden
//! states of its tokens, normalised to length 1 if `modules.json` contains a `Normalize` module. A text with more
//! tokens than `sentence_bert_config.json` allows is truncated at the end.

use std::path::Path;

use serde::Deserialize;
use tch::{Device, Kind};

use crate::error::ModelError;
use crate::gating::numbers;
use crate::json;
use crate::tokenizer::Tokenizer;
use crate::transformer::{Tokens, Transformer};
use crate::weights::{Precision, Weights};

/// Number of texts in one batch.
const BATCH: usize = 32;

/// A model that computes sentence embeddings.
pub struct SentenceModel {
    tokenizer: Tokenizer,
    transformer: Transformer,
    normalised: bool,
}

/// `sentence_bert_config.json`.
#[derive(Deserialize)]
struct Limit {
    max_seq_length: i64,
}

/// `1_Pooling/config.json`. Only mean pooling is supported.
#[derive(Deserialize)]
struct Pooling {
    pooling_mode_mean_tokens: bool,
}

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

impl SentenceModel {
    /// Reads the model in `folder`: `config.json`, the parameters, `tokenizer.json` and, if present, the files of
    /// sentence-transformers.
    ///
    /// # Errors
    /// Returns an error if a file is missing or invalid, or if the pooling is not the mean of the tokens.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let weights = Weights::read(folder, Precision::single(Device::Cpu))?;
        let (transformer, _) = Transformer::read(folder, weights)?;
        let dimensions = transformer.dimensions();
        let mut tokenizer = Tokenizer::read(folder)?;
        tokenizer.check_fits(dimensions.vocabulary)?;
        let limit: Option<Limit> = json::read_if_there(&folder.join("sentence_bert_config.json"))?;
        let most = limit.map_or(dimensions.positions, |limit| limit.max_seq_length);
        tokenizer.keep_first(most.clamp(1, dimensions.positions))?;
        let path = folder.join("1_Pooling/config.json");
        let pooling: Option<Pooling> = json::read_if_there(&path)?;
        if pooling.is_some_and(|pooling| !pooling.pooling_mode_mean_tokens) {
            return Err(ModelError::Option {
                path,
                key: "pooling_mode_mean_tokens".to_owned(),
                found: "false".to_owned(),
                expected: "only the mean of the tokens is supported".to_owned(),
            });
        }
        let modules: Option<Vec<Module>> = json::read_if_there(&folder.join("modules.json"))?;
        let modules = modules.unwrap_or_default();
        Ok(Self {
            tokenizer,
            transformer,
            normalised: modules.iter().any(|module| module.kind.ends_with(".Normalize")),
        })
    }

    /// Returns the length of an embedding.
    pub fn width(&self) -> usize {
        self.transformer.dimensions().width as usize
    }

    /// Returns the embedding of each text, in their order. A text without tokens has an embedding of zeros.
    ///
    /// # Errors
    /// Returns an error if the tokenizer cannot encode a text.
    pub fn embed<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut embeddings = vec![vec![0.0; self.width()]; texts.len()];
        let mut sequences = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let ids = self.tokenizer.encode(text.as_ref())?.ids;
            if !ids.is_empty() {
                sequences.push((place, ids));
            }
        }
        // Sequences of similar length are batched together to keep the padding small.
        sequences.sort_by_key(|(_, ids)| ids.len());
        for batch in sequences.chunks(BATCH) {
            let ids: Vec<Vec<i64>> = batch.iter().map(|(_, ids)| ids.clone()).collect();
            let Some(tokens) = Tokens::of(&ids, self.transformer.device()) else {
                continue;
            };
            let mut means = tch::no_grad(|| self.transformer.mean_hidden(&tokens));
            if self.normalised {
                means = &means / means.norm_scalaropt_dim(2, [1], true).clamp_min(1e-12);
            }
            let all = numbers(&means.to_kind(Kind::Float).flatten(0, -1));
            for ((place, _), embedding) in batch.iter().zip(all.chunks(self.width())) {
                embeddings[*place] = embedding.to_vec();
            }
        }
        Ok(embeddings)
    }
}

/// Returns the number of tokens of each text for the tokenizer in `folder`, including the special tokens that it adds.
/// The folder name `builtin` stands for the builtin tokenizer.
///
/// # Errors
/// Returns an error if the tokenizer cannot be read or cannot encode a text.
pub fn count_tokens<S: AsRef<str>>(folder: &Path, texts: &[S]) -> Result<Vec<u32>, ModelError> {
    let tokenizer = Tokenizer::read(folder)?;
    let count = |text: &S| Ok(tokenizer.encode(text.as_ref())?.ids.len() as u32);
    texts.iter().map(count).collect()
}
