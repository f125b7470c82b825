//! Ordinary least squares.

use super::RegressionError;
use crate::matrix::Matrix;
use crate::singular_vectors::singular_vectors;

/// The relative size of a singular value that is treated as 0: the default `tol` of scikit-learn.
const TOLERANCE: f64 = 1e-6;

/// Linear regression: scikit-learn's `LinearRegression`. Of all coefficients with the least squared error it takes
/// those with the least norm, so the columns may depend on each other and there may be more columns than rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearRegression {
    /// Whether the model has a constant term. Without one it predicts 0 for a row of zeros.
    pub fit_intercept: bool,
}

impl Default for LinearRegression {
    fn default() -> Self {
        Self { fit_intercept: true }
    }
}

pub(super) struct Model {
    center: Vec<f64>,
    /// The prediction at the center.
    constant: f64,
    coefficients: Vec<f64>,
}

impl LinearRegression {
    pub(super) fn fit(&self, table: &Matrix, targets: &[f64]) -> Result<Model, RegressionError> {
        let (center, constant) = if self.fit_intercept {
            (
                table.column_means(),
                targets.iter().sum::<f64>() / targets.len() as f64,
            )
        } else {
            (vec![0.0; table.column_count()], 0.0)
        };
        let deviations = table.deviations(&center);
        let singular = singular_vectors(&deviations).ok_or(RegressionError::Overflow)?;
        let least = TOLERANCE * singular.values[0];
        let mut coefficients = vec![0.0; table.column_count()];
        for (value, vector) in singular.values.iter().zip(singular.vectors.column_iter()) {
            if *value <= least {
                break;
            }
            // The left singular vector times the singular value.
            let left = &deviations * vector;
            let products = left.iter().zip(targets);
            let dot: f64 = products
                .map(|(left, target)| left / value * (target - constant))
                .sum();
            for (coefficient, part) in coefficients.iter_mut().zip(vector.iter()) {
                *coefficient += part * dot / value;
            }
        }
        Ok(Model {
            center,
            constant,
            coefficients,
        })
    }
}

impl Model {
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        let deviations = row.iter().zip(&self.center).map(|(value, center)| value - center);
        let products = deviations.zip(&self.coefficients);
        self.constant
            + products
                .map(|(deviation, coefficient)| deviation * coefficient)
                .sum::<f64>()
    }
}
