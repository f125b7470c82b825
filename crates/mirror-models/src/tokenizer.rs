//! Encoding of texts as tokens with the `tokenizer.json` of a model.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::{TruncationDirection, TruncationParams};

use crate::builtin;
use crate::error::ModelError;
use crate::json;

/// End token of a tokenizer that does not specify one.
const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer.
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    end: Option<i64>,
}

/// A text encoded as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Ids of the tokens, including the special tokens that the tokenizer adds.
    pub ids: Vec<i64>,
    /// Whether the text was too long and was truncated.
    pub truncated: bool,
}

impl Tokenizer {
    /// Reads the `tokenizer.json` in `folder`. The folder name `builtin` stands for the builtin tokenizer. Padding and
    /// truncation that the file specifies are ignored.
    ///
    /// # Errors
    /// Returns an error if there is no tokenizer or it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        if folder == Path::new(builtin::NAME) {
            return Self::builtin();
        }
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            return Err(ModelError::NoTokenizer {
                folder: folder.to_owned(),
            });
        }
        let read = tokenizers::Tokenizer::from_file(&path);
        let end = end_token(folder)?.unwrap_or_else(|| END_OF_TEXT.to_owned());
        Self::of(path, read, &end)
    }

    /// Reads the builtin tokenizer, which is compiled into the program.
    ///
    /// # Errors
    /// Returns an error if the tokenizer library rejects it.
    pub fn builtin() -> Result<Self, ModelError> {
        let read = tokenizers::Tokenizer::from_bytes(builtin::TOKENIZER);
        Self::of(PathBuf::from(builtin::NAME), read, END_OF_TEXT)
    }

    fn of(
        path: PathBuf,
        read: tokenizers::Result<tokenizers::Tokenizer>,
        end: &str,
    ) -> Result<Self, ModelError> {
        let unusable = |error: tokenizers::Error| ModelError::Tokenizer {
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut tokenizer = read.map_err(unusable)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(unusable)?;
        let end = tokenizer.token_to_id(end).map(i64::from);
        Ok(Self {
            path,
            inner: tokenizer,
            end,
        })
    }

    /// Truncates further texts to their last `positions` tokens.
    ///
    /// # Errors
    /// Returns an error if the tokenizer library rejects the limit.
    pub fn keep_last(&mut self, positions: i64) -> Result<(), ModelError> {
        self.keep(positions, TruncationDirection::Left)
    }

    /// Truncates further texts to their first `positions` tokens.
    ///
    /// # Errors
    /// Returns an error if the tokenizer library rejects the limit.
    pub fn keep_first(&mut self, positions: i64) -> Result<(), ModelError> {
        self.keep(positions, TruncationDirection::Right)
    }

    fn keep(&mut self, positions: i64, direction: TruncationDirection) -> Result<(), ModelError> {
        let truncation = TruncationParams {
            direction,
            max_length: positions as usize,
            ..TruncationParams::default()
        };
        let truncated = self.inner.with_truncation(Some(truncation));
        truncated.map(drop).map_err(|error| self.unusable(&error))
    }

    /// Checks that there is an embedding for every id.
    ///
    /// # Errors
    /// Returns [`ModelError::Vocabulary`] if the highest id is not less than `embeddings`.
    pub fn check_fits(&self, embeddings: i64) -> Result<(), ModelError> {
        let highest = self.highest_id();
        if i64::from(highest) < embeddings {
            return Ok(());
        }
        Err(ModelError::Vocabulary {
            tokenizer: self.path.clone(),
            highest,
            embeddings,
        })
    }

    /// Returns the highest id of the vocabulary.
    pub fn highest_id(&self) -> u32 {
        let vocabulary = self.inner.get_vocab(true);
        vocabulary.values().copied().max().unwrap_or_default()
    }

    /// Returns the number of ids, including unused ones: the number of rows of a matching embedding.
    pub fn vocabulary(&self) -> i64 {
        i64::from(self.highest_id()) + 1
    }

    /// Returns the id of the end token, or `None` if the vocabulary does not contain it.
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// Encodes a text.
    ///
    /// # Errors
    /// Returns [`ModelError::Tokenizer`] if the tokenizer library cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, ModelError> {
        let encoding = self.inner.encode_fast(text, true);
        let encoding = encoding.map_err(|error| self.unusable(&error))?;
        Ok(Encoded {
            ids: encoding.get_ids().iter().copied().map(i64::from).collect(),
            truncated: !encoding.get_overflowing().is_empty(),
        })
    }

    fn unusable(&self, error: &tokenizers::Error) -> ModelError {
        ModelError::Tokenizer {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// Returns `eos_token` from `tokenizer_config.json`: a string, or an object with the string under `content`. Returns
/// `None` if the file or the token is missing.
fn end_token(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join("tokenizer_config.json");
    if !path.exists() {
        return Ok(None);
    }
    let config: Value = json::read(&path)?;
    let token = config.get("eos_token");
    let text = token.and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
    Ok(text.map(str::to_owned))
}
