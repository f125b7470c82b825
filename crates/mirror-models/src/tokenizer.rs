//! From text to tokens, by the `tokenizer.json` of a model.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::{TruncationDirection, TruncationParams};

use crate::builtin;
use crate::error::ModelError;
use crate::json;

/// What ends a text where the tokenizer does not say otherwise.
const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer.
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    end: Option<i64>,
}

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Its ids, those that the tokenizer puts around it among them.
    pub ids: Vec<i64>,
    /// The text was longer than there were positions, and its beginning was left out.
    pub truncated: bool,
}

impl Tokenizer {
    /// Reads the `tokenizer.json` in `folder`; the folder `builtin` is inside the program. Whatever padding and
    /// truncation it asks for is not done.
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

    /// The tokenizer inside the program.
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

    /// From here on texts are cut to so many tokens: their beginnings go.
    pub fn keep_last(&mut self, positions: i64) -> Result<(), ModelError> {
        self.keep(positions, TruncationDirection::Left)
    }

    /// From here on texts are cut to so many tokens: their ends go.
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

    /// Refuses a tokenizer with ids for which there is no embedding.
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

    /// The highest id that it can give.
    pub fn highest_id(&self) -> u32 {
        let vocabulary = self.inner.get_vocab(true);
        vocabulary.values().copied().max().unwrap_or_default()
    }

    /// Ids that it can give, those that it never does among them: rows of an embedding that fits.
    pub fn vocabulary(&self) -> i64 {
        i64::from(self.highest_id()) + 1
    }

    /// What ends a text, and fills up a batch in training.
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// The tokens of a text.
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

/// `eos_token` in `tokenizer_config.json`: a text, or a map with the text at `content`.
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
