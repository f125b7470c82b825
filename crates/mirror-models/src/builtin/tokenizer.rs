//! Training of the builtin tokenizer: frequent pairs of bytes become one token (byte-level BPE, as in GPT-2), so that
//! every text has tokens.

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

/// Number of tokens, including the two special tokens.
pub const VOCABULARY: usize = 2_048;

/// The special tokens that the reward model of Bittensor v4 puts around a text.
const MARKS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// Error from the tokenizer library during training.
#[derive(Debug, thiserror::Error)]
#[error("cannot train a tokenizer on these texts: {0}")]
pub struct TrainingError(String);

impl From<tokenizers::Error> for TrainingError {
    fn from(error: tokenizers::Error) -> Self {
        Self(error.to_string())
    }
}

/// Trains a tokenizer on texts and returns its `tokenizer.json`. The same texts give the same bytes.
///
/// # Errors
/// Returns an error if the tokenizer library fails.
pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send) -> Result<String, TrainingError> {
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer: TokenizerImpl<BPE, tokenizers::NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel> =
        TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(None)
            .with_pre_tokenizer(Some(bytes))
            .with_post_processor(Some(bytes))
            .with_decoder(Some(bytes))
            .build()?;
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(VOCABULARY)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(MARKS.map(|mark| AddedToken::from(mark, true)).to_vec())
        .build();
    tokenizer.train(&mut trainer, texts)?;
    Ok(tokenizer.to_string(false)?)
}
