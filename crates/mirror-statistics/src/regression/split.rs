//! The rows for the training and those for the test, and the score of a prediction.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A random division of the rows of a table, numbered from 0. Both parts are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows for the training.
    pub train: Vec<usize>,
    /// Rows for the test.
    pub test: Vec<usize>,
}

impl Split {
    /// Draws the rows for the test: the given share of `rows`, in 0..=1, rounded up as in scikit-learn. Equal arguments
    /// give equal divisions.
    pub fn new(rows: usize, test_share: f64, seed: u64) -> Self {
        let mut shuffled: Vec<usize> = (0..rows).collect();
        shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let tested = (rows as f64 * test_share).ceil() as usize;
        let mut train = shuffled.split_off(tested.min(rows));
        train.sort_unstable();
        shuffled.sort_unstable();
        Self {
            train,
            test: shuffled,
        }
    }
}

/// Returns the coefficient of determination R², as `sklearn.metrics.r2_score` computes it: 1 for exact predictions and
/// 0 for predictions as good as the mean of the actual values. If the actual values are all equal, returns 1 for exact
/// predictions and 0 otherwise.
pub fn r2_score(actual: &[f64], predicted: &[f64]) -> f64 {
    let mean = actual.iter().sum::<f64>() / actual.len() as f64;
    let pairs = actual.iter().zip(predicted);
    let residual: f64 = pairs
        .map(|(actual, predicted)| (actual - predicted).powi(2))
        .sum();
    let total: f64 = actual.iter().map(|actual| (actual - mean).powi(2)).sum();
    if residual == 0.0 {
        1.0
    } else if total == 0.0 {
        0.0
    } else {
        1.0 - residual / total
    }
}
