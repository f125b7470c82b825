//! Number of tokens by the tokenizer of the reward model, or by the builtin tokenizer if the reward model has none.

use super::Compute;

pub(super) const COMPUTE: Compute = Compute::ModelNumber(|models, texts| {
    let counts = models.token_counts(texts)?;
    Ok(counts.into_iter().map(f64::from).collect())
});
