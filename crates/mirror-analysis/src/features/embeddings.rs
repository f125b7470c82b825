//! The embedding of the text by the sentence model.

use super::Compute;

pub(super) const COMPUTE: Compute = Compute::ModelVector(|models, texts| {
    let vectors = models.embeddings(texts)?;
    let wide = |vector: Vec<f32>| vector.into_iter().map(f64::from).collect();
    Ok(vectors.into_iter().map(wide).collect())
});
