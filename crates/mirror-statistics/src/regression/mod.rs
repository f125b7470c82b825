//! Regression: predicts a number from the columns of a table, with the estimators, arguments and defaults of
//! scikit-learn.
//!
//! The results depend only on the data and the random seeds, not on the machine's number of processors.

mod gradient_boosting;
mod linear;
mod random_forest;
mod split;
mod tree;

use crate::matrix::Matrix;

pub use gradient_boosting::{BoostingHistory, GradientBoosting};
pub use linear::LinearRegression;
pub use random_forest::RandomForest;
pub use split::{Split, r2_score};

/// The least number of rows that [`fit_and_score`] accepts.
pub const LEAST_ROWS: usize = 10;

/// The share of the rows with which an estimator is tested.
const TEST_SHARE: f64 = 0.2;

/// An estimator with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Estimator {
    /// Ordinary least squares.
    Linear(LinearRegression),
    /// Gradient boosting of regression trees.
    GradientBoosting(GradientBoosting),
    /// A random forest of regression trees.
    RandomForest(RandomForest),
}

/// The scores and predictions of a fitted estimator.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// R² of the rows with which the estimator was fitted, at most 1.
    pub train_score: f64,
    /// R² of the other rows, at most 1.
    pub test_score: f64,
    /// The predictions for the rows of the test, in ascending order of their numbers.
    pub predictions: Vec<Prediction>,
    /// The course of the training, for gradient boosting.
    pub boosting: Option<BoostingHistory>,
}

/// The prediction for a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Number of the row in the table, from 0.
    pub row: usize,
    /// The target of the row.
    pub actual: f64,
    /// The prediction of the target.
    pub predicted: f64,
}

/// An estimator cannot be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RegressionError {
    /// The numbers of rows and targets differ.
    #[error("the table has {rows} rows, but there are {targets} targets")]
    TargetCount {
        /// Number of rows of the table.
        rows: usize,
        /// Number of targets.
        targets: usize,
    },
    /// A target is infinite or not a number.
    #[error("the target of row {row} is {value}: leave out rows with targets that are not finite")]
    TargetNotFinite {
        /// Number of the row, from 0.
        row: usize,
        /// The target.
        value: f64,
    },
    /// There are too few rows.
    #[error("there are {rows} rows, but a regression requires at least {LEAST_ROWS}")]
    TooFewRows {
        /// Number of rows.
        rows: usize,
    },
    /// All rows for the training are equal.
    #[error("all rows for the training are equal, so nothing can be learned from them")]
    EqualRows,
    /// An argument is out of range.
    #[error("{name} is {value}: it must be {range}")]
    Argument {
        /// Name of the argument, as in scikit-learn.
        name: &'static str,
        /// The value of the argument.
        value: f64,
        /// Description of the range.
        range: &'static str,
    },
    /// A number overflows.
    #[error("the regression cannot be computed: the values are too large")]
    Overflow,
}

/// A fitted estimator.
enum Model {
    Linear(linear::Model),
    GradientBoosting(gradient_boosting::Model),
    RandomForest(random_forest::Model),
}

/// Fits an estimator with 80% of the rows of a table, drawn with the random seed `split_seed`, and tests it with the
/// other rows. `targets` has one number per row. All columns are features.
///
/// # Errors
///
/// Returns an error if an argument of the estimator is out of range, if the number of targets differs from the number
/// of rows, if a target is not finite, if there are fewer than [`LEAST_ROWS`] rows, if all rows for the training are
/// equal, or if a number overflows.
pub fn fit_and_score(
    estimator: &Estimator,
    table: &Matrix,
    targets: &[f64],
    split_seed: u64,
) -> Result<Evaluation, RegressionError> {
    estimator.check()?;
    let rows = table.row_count();
    if targets.len() != rows {
        return Err(RegressionError::TargetCount {
            rows,
            targets: targets.len(),
        });
    }
    if let Some(row) = targets.iter().position(|target| !target.is_finite()) {
        return Err(RegressionError::TargetNotFinite {
            row,
            value: targets[row],
        });
    }
    if rows < LEAST_ROWS {
        return Err(RegressionError::TooFewRows { rows });
    }
    let split = Split::new(rows, TEST_SHARE, split_seed);
    let (train, test) = (table.select(&split.train), table.select(&split.test));
    let (train_targets, test_targets) = (select(targets, &split.train), select(targets, &split.test));
    if train.rows().all(|row| Some(row) == train.rows().next()) {
        return Err(RegressionError::EqualRows);
    }
    let model = estimator.fit(&train, &train_targets)?;
    let predicted = model.predict(&test);
    let train_score = r2_score(&train_targets, &model.predict(&train));
    let test_score = r2_score(&test_targets, &predicted);
    if !train_score.is_finite() || !test_score.is_finite() {
        return Err(RegressionError::Overflow);
    }
    let predictions = split.test.iter().zip(test_targets).zip(predicted);
    Ok(Evaluation {
        train_score,
        test_score,
        predictions: predictions
            .map(|((row, actual), predicted)| Prediction {
                row: *row,
                actual,
                predicted,
            })
            .collect(),
        boosting: model.into_history(),
    })
}

impl Estimator {
    fn check(&self) -> Result<(), RegressionError> {
        match self {
            Self::Linear(_) => Ok(()),
            Self::GradientBoosting(arguments) => arguments.check(),
            Self::RandomForest(arguments) => arguments.check(),
        }
    }

    fn fit(&self, table: &Matrix, targets: &[f64]) -> Result<Model, RegressionError> {
        Ok(match self {
            Self::Linear(arguments) => Model::Linear(arguments.fit(table, targets)?),
            Self::GradientBoosting(arguments) => Model::GradientBoosting(arguments.fit(table, targets)),
            Self::RandomForest(arguments) => Model::RandomForest(arguments.fit(table, targets)),
        })
    }
}

impl Model {
    fn predict(&self, table: &Matrix) -> Vec<f64> {
        table
            .rows()
            .map(|row| match self {
                Self::Linear(model) => model.predict(row),
                Self::GradientBoosting(model) => model.predict(row),
                Self::RandomForest(model) => model.predict(row),
            })
            .collect()
    }

    fn into_history(self) -> Option<BoostingHistory> {
        match self {
            Self::GradientBoosting(model) => Some(model.history),
            Self::Linear(_) | Self::RandomForest(_) => None,
        }
    }
}

/// Returns an error unless a number is in its range.
fn check(name: &'static str, value: f64, is_valid: bool, range: &'static str) -> Result<(), RegressionError> {
    if is_valid {
        return Ok(());
    }
    Err(RegressionError::Argument { name, value, range })
}

/// Returns an error unless a count is at least 1. `None` has no limit and is valid.
fn check_count(name: &'static str, count: Option<usize>) -> Result<(), RegressionError> {
    check(name, 0.0, count != Some(0), "at least 1")
}

fn select(targets: &[f64], rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|row| targets[*row]).collect()
}
