//! Gradient boosting of regression trees.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::split::Split;
use super::tree::{Limits, SortedColumns, Tree};
use super::{RegressionError, check, check_count, select};
use crate::matrix::Matrix;

/// The improvement of the loss that counts as one: the default `tol` of scikit-learn.
const TOLERANCE: f64 = 1e-4;

/// Gradient boosting with the squared error: scikit-learn's `GradientBoostingRegressor`. Without randomness the trees
/// are the same, except where two splits are equally good: scikit-learn draws one, this crate takes the first column.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientBoosting {
    /// Number of trees, at least 1.
    pub n_estimators: usize,
    /// Factor of the prediction of each tree, 0 or greater.
    pub learning_rate: f64,
    /// Greatest number of splits between the root and a leaf, at least 1. `None` for no limit.
    pub max_depth: Option<usize>,
    /// Least number of rows in a leaf, at least 1.
    pub min_samples_leaf: usize,
    /// Share of the rows that each tree is fitted with, greater than 0 and at most 1.
    pub subsample: f64,
    /// Share of the rows that decide when to stop early, between 0 and 1. Only used with `n_iter_no_change`.
    pub validation_fraction: f64,
    /// Number of trees without improvement after which the training stops, at least 1. `None` to fit all trees.
    pub n_iter_no_change: Option<usize>,
    /// Random seed of the draws of rows.
    pub random_state: u64,
}

impl Default for GradientBoosting {
    fn default() -> Self {
        Self {
            n_estimators: 100,
            learning_rate: 0.1,
            max_depth: Some(3),
            min_samples_leaf: 1,
            subsample: 1.0,
            validation_fraction: 0.1,
            n_iter_no_change: None,
            random_state: 0,
        }
    }
}

/// The course of the training, by tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoostingHistory {
    /// Mean squared error after each tree, of the rows with which the tree was fitted. As long as the number of trees
    /// in use: scikit-learn's `train_score_`.
    pub train_loss: Vec<f64>,
    /// Improvement of the mean squared error by each tree, of the rows with which the tree was not fitted:
    /// scikit-learn's `oob_improvement_`, in which the error before the tree is that of the rows left out by the
    /// previous tree. `None` if `subsample` is 1.
    pub out_of_bag_improvement: Option<Vec<f64>>,
}

pub(super) struct Model {
    constant: f64,
    learning_rate: f64,
    trees: Vec<Tree>,
    pub(super) history: BoostingHistory,
}

impl GradientBoosting {
    pub(super) fn check(&self) -> Result<(), RegressionError> {
        let is_rate = self.learning_rate.is_finite() && self.learning_rate >= 0.0;
        check_count("n_estimators", Some(self.n_estimators))?;
        check_count("max_depth", self.max_depth)?;
        check_count("min_samples_leaf", Some(self.min_samples_leaf))?;
        check_count("n_iter_no_change", self.n_iter_no_change)?;
        check(
            "learning_rate",
            self.learning_rate,
            is_rate,
            "a finite number of at least 0",
        )?;
        let is_share = self.subsample > 0.0 && self.subsample <= 1.0;
        check(
            "subsample",
            self.subsample,
            is_share,
            "greater than 0 and at most 1",
        )?;
        let is_part = self.validation_fraction > 0.0 && self.validation_fraction < 1.0;
        check(
            "validation_fraction",
            self.validation_fraction,
            is_part,
            "between 0 and 1",
        )
    }

    pub(super) fn fit(&self, table: &Matrix, targets: &[f64]) -> Model {
        let Some(patience) = self.n_iter_no_change else {
            return self.boost(table, targets, |_| true);
        };
        let split = Split::new(targets.len(), self.validation_fraction, self.random_state);
        if split.train.is_empty() {
            return self.boost(table, targets, |_| true);
        }
        let validation = table.select(&split.test);
        let validation_targets = select(targets, &split.test);
        let mut predicted: Option<Vec<f64>> = None;
        let mut stop = EarlyStop::new(patience);
        self.boost(
            &table.select(&split.train),
            &select(targets, &split.train),
            |model| {
                let predicted =
                    predicted.get_or_insert_with(|| vec![model.constant; validation_targets.len()]);
                model.add_last_tree(&validation, predicted);
                let all: Vec<usize> = (0..predicted.len()).collect();
                stop.improves(squared_error(&validation_targets, predicted, &all))
            },
        )
    }

    /// Fits trees as long as `continues` returns true for the model after each.
    fn boost(&self, table: &Matrix, targets: &[f64], mut continues: impl FnMut(&Model) -> bool) -> Model {
        let rows = targets.len();
        let columns = SortedColumns::of(table);
        let limits = Limits {
            max_depth: self.max_depth,
            min_samples_leaf: self.min_samples_leaf,
            columns_per_split: table.column_count(),
        };
        let mut generator = ChaCha8Rng::seed_from_u64(self.random_state);
        // The first stream draws the rows of the validation.
        generator.set_stream(1);
        let constant = targets.iter().sum::<f64>() / rows as f64;
        let mut predicted = vec![constant; rows];
        let is_stochastic = self.subsample < 1.0;
        let mut model = Model {
            constant,
            learning_rate: self.learning_rate,
            trees: Vec::new(),
            history: BoostingHistory {
                train_loss: Vec::new(),
                out_of_bag_improvement: is_stochastic.then(Vec::new),
            },
        };
        let mut previous_loss = None;
        for _ in 0..self.n_estimators {
            let mut weights = vec![1; rows];
            if is_stochastic {
                let kept = ((self.subsample * rows as f64) as usize).max(1);
                weights.fill(0);
                for row in rand::seq::index::sample(&mut generator, rows, kept) {
                    weights[row] = 1;
                }
            }
            let (bag, rest): (Vec<usize>, Vec<usize>) = (0..rows).partition(|row| weights[*row] > 0);
            let loss_before = previous_loss.unwrap_or_else(|| squared_error(targets, &predicted, &rest));
            let residuals: Vec<f64> = targets
                .iter()
                .zip(&predicted)
                .map(|(target, predicted)| target - predicted)
                .collect();
            model
                .trees
                .push(Tree::fit(&columns, &residuals, &weights, limits, &mut generator));
            model.add_last_tree(table, &mut predicted);
            model
                .history
                .train_loss
                .push(squared_error(targets, &predicted, &bag));
            if let Some(improvement) = &mut model.history.out_of_bag_improvement {
                let loss = squared_error(targets, &predicted, &rest);
                improvement.push(loss_before - loss);
                previous_loss = Some(loss);
            }
            if !continues(&model) {
                break;
            }
        }
        model
    }
}

impl Model {
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        let steps = self
            .trees
            .iter()
            .map(|tree| self.learning_rate * tree.predict(row));
        steps.fold(self.constant, |sum, step| sum + step)
    }

    /// Adds the part of the last tree to the predictions for the rows of `table`.
    fn add_last_tree(&self, table: &Matrix, predicted: &mut [f64]) {
        if let Some(tree) = self.trees.last() {
            for (predicted, row) in predicted.iter_mut().zip(table.rows()) {
                *predicted += self.learning_rate * tree.predict(row);
            }
        }
    }
}

/// Decides when the training stops, by the losses of the validation.
struct EarlyStop {
    /// The losses with which the next one is compared, which replaces one of them if it improves.
    losses: Vec<f64>,
    next: usize,
}

impl EarlyStop {
    fn new(patience: usize) -> Self {
        Self {
            losses: vec![f64::INFINITY; patience],
            next: 0,
        }
    }

    /// Returns whether a loss is an improvement over any of the last losses. If not, the training stops.
    fn improves(&mut self, loss: f64) -> bool {
        let improves = self.losses.iter().any(|previous| loss + TOLERANCE < *previous);
        let slot = self.next % self.losses.len();
        self.losses[slot] = loss;
        self.next += 1;
        improves
    }
}

/// Returns the mean squared error of the predictions for some rows, 0 if there are none.
fn squared_error(targets: &[f64], predicted: &[f64], rows: &[usize]) -> f64 {
    let squares = rows.iter().map(|row| (targets[*row] - predicted[*row]).powi(2));
    squares.sum::<f64>() / rows.len().max(1) as f64
}
