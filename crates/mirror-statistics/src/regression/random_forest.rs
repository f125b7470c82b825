//! Random forests of regression trees.

use std::num::NonZeroUsize;
use std::thread;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::tree::{Limits, SortedColumns, Tree};
use super::{RegressionError, check, check_count};
use crate::matrix::Matrix;

/// The mean of regression trees, each fitted with a random sample of the rows: scikit-learn's `RandomForestRegressor`.
/// The draws differ from those of scikit-learn.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomForest {
    /// Number of trees, at least 1.
    pub n_estimators: usize,
    /// Greatest number of splits between the root and a leaf, at least 1. `None` for no limit.
    pub max_depth: Option<usize>,
    /// Least number of rows in a leaf, at least 1. A row that was drawn repeatedly counts once.
    pub min_samples_leaf: usize,
    /// Share of the columns among which each split is chosen, greater than 0 and at most 1. At least one column is
    /// drawn. If none of the drawn columns can be split, others are drawn.
    pub max_features: f64,
    /// Whether each tree is fitted with as many rows as there are, drawn with replacement. Otherwise it is fitted with
    /// all rows.
    pub bootstrap: bool,
    /// Random seed of the draws of rows and columns.
    pub random_state: u64,
}

impl Default for RandomForest {
    fn default() -> Self {
        Self {
            n_estimators: 100,
            max_depth: None,
            min_samples_leaf: 1,
            max_features: 1.0,
            bootstrap: true,
            random_state: 0,
        }
    }
}

pub(super) struct Model {
    trees: Vec<Tree>,
}

impl RandomForest {
    pub(super) fn check(&self) -> Result<(), RegressionError> {
        check_count("n_estimators", Some(self.n_estimators))?;
        check_count("max_depth", self.max_depth)?;
        check_count("min_samples_leaf", Some(self.min_samples_leaf))?;
        let is_share = self.max_features > 0.0 && self.max_features <= 1.0;
        check(
            "max_features",
            self.max_features,
            is_share,
            "greater than 0 and at most 1",
        )
    }

    /// Fits the trees on all processors. Each tree has its own stream of random numbers.
    pub(super) fn fit(&self, table: &Matrix, targets: &[f64]) -> Model {
        let columns = SortedColumns::of(table);
        let limits = Limits {
            max_depth: self.max_depth,
            min_samples_leaf: self.min_samples_leaf,
            columns_per_split: ((self.max_features * table.column_count() as f64) as usize).max(1),
        };
        let grow = |number: usize| {
            let mut generator = ChaCha8Rng::seed_from_u64(self.random_state);
            generator.set_stream(number as u64);
            let weights = self.weights(targets.len(), &mut generator);
            Tree::fit(&columns, targets, &weights, limits, &mut generator)
        };
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let numbers: Vec<usize> = (0..self.n_estimators).collect();
        let trees = thread::scope(|scope| {
            let parts = numbers.chunks(numbers.len().div_ceil(threads));
            let workers: Vec<_> = parts
                .map(|part| scope.spawn(|| part.iter().map(|number| grow(*number)).collect::<Vec<_>>()))
                .collect();
            let trees = workers.into_iter().map(|worker| match worker.join() {
                Ok(trees) => trees,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            trees.flatten().collect()
        });
        Model { trees }
    }

    /// Draws how many times each row is used for a tree.
    fn weights(&self, rows: usize, generator: &mut ChaCha8Rng) -> Vec<u32> {
        if !self.bootstrap {
            return vec![1; rows];
        }
        let mut weights = vec![0; rows];
        for _ in 0..rows {
            weights[generator.random_range(0..rows)] += 1;
        }
        weights
    }
}

impl Model {
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        self.trees.iter().map(|tree| tree.predict(row)).sum::<f64>() / self.trees.len() as f64
    }
}
