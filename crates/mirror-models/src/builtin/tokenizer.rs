//! How the builtin tokenizer is trained: pairs of bytes that often stand together become one token (byte-level BPE, as
//! GPT-2's), so that it has tokens for any text.

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

/// Tokens, the two marks among them.
pub const VOCABULARY: usize = 2_048;

/// The marks that v4's reward model puts around a text.
const MARKS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// A tokenizer that nobody wrote down wrong can still fail to be made.
#[derive(Debug, thiserror::Error)]
#[error("no tokenizer comes of these texts: {0}")]
pub struct TrainingError(String);

impl From<tokenizers::Error> for TrainingError {
    fn from(error: tokenizers::Error) -> Self {
        Self(error.to_string())
    }
}

/// Trains a tokenizer on texts: its `tokenizer.json`. The same texts give the same bytes.
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
