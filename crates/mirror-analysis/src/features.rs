//! Features of texts. To add a feature, add its word to [`Feature`], its module, and a line in [`FEATURES`].

use mirror_spec::Feature;

mod avg_word_length;
mod embeddings;
mod first_word;
mod length;
mod median_word_length;
mod num_words;
mod reward_num_tokens;

/// All features.
const FEATURES: [(Feature, Compute); 8] = [
    (Feature::QuestionLength, length::COMPUTE),
    (Feature::SentenceLength, length::COMPUTE),
    (Feature::NumWords, num_words::COMPUTE),
    (Feature::AvgWordLength, avg_word_length::COMPUTE),
    (Feature::MedianWordLength, median_word_length::COMPUTE),
    (Feature::FirstWord, first_word::COMPUTE),
    (Feature::RewardNumTokens, reward_num_tokens::COMPUTE),
    (Feature::Embeddings, embeddings::COMPUTE),
];

/// Models that features need. [`Self::token_counts`] and [`Self::embeddings`] return one value per text, in the order
/// of the texts, or the reason why the model cannot be used, in words that complete "not drawn: …".
pub trait TextModels {
    /// Returns the number of tokens of each text by the tokenizer of the run's reward model, or by the builtin
    /// tokenizer if the reward model has none.
    ///
    /// # Errors
    /// Returns an error if there is no tokenizer on this machine, or if it cannot be read.
    fn token_counts(&self, texts: &[String]) -> Result<Vec<u32>, String>;

    /// Returns the name of the run's reward model if it has no tokenizer, so that the builtin tokenizer counts tokens.
    fn reward_model_without_tokenizer(&self) -> Option<&str>;

    /// Returns the embedding of each text. All embeddings have the same width, at least 1.
    ///
    /// # Errors
    /// Returns an error if there is no sentence model on this machine, or if it cannot be read.
    fn embeddings(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String>;
}

/// Asks a model for a value of each text.
type Ask<T> = fn(&dyn TextModels, &[String]) -> Result<Vec<T>, String>;

/// The way in which a feature is computed.
#[derive(Clone, Copy)]
pub(crate) enum Compute {
    /// A number of each text. NaN if the text has none.
    Number(fn(&str) -> f64),
    /// A word of each text. `None` if the text has none.
    Word(for<'a> fn(&'a str) -> Option<&'a str>),
    /// A number of each text, by a model.
    ModelNumber(Ask<f64>),
    /// A vector of each text, by a model.
    ModelVector(Ask<Vec<f64>>),
}

/// Returns the way in which a feature is computed.
pub(crate) fn compute(feature: Feature) -> Compute {
    let found = FEATURES.iter().find(|(other, _)| *other == feature);
    found.expect("every feature is in the registry").1
}

/// Returns the words of a text: the parts between white space, as Python's `str.split()` returns them. Python counts
/// four control characters as white space that Unicode does not.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    text.split(is_space).filter(|word| !word.is_empty())
}
