//! Principal component analysis.

use nalgebra::DMatrix;

use crate::matrix::Matrix;
use crate::singular_vectors::singular_vectors;

/// The number of principal components to compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ComponentCount {
    /// A number from 1 to the smaller of the numbers of rows and columns.
    Exactly(usize),
    /// The least number of components that together explain more than this share of the variance. The share is
    /// between 0 and 1, both excluded.
    VarianceShare(f64),
}

/// The principal components of the rows of a table, the first of which explains the most variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// The mean of each column.
    pub mean: Vec<f64>,
    /// The components: orthogonal vectors of length 1 with one number per column. The greatest number of a component by
    /// magnitude is positive, which fixes the sign.
    pub components: Vec<Vec<f64>>,
    /// The variance along each component, with the divisor n − 1.
    pub explained_variance: Vec<f64>,
    /// The share of each component in the variance of the whole table, in 0..=1.
    pub explained_variance_ratio: Vec<f64>,
    /// The coordinates of each row: one number per component.
    pub projections: Vec<Vec<f64>>,
}

/// The principal components cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PcaError {
    /// A variance requires two rows.
    #[error("the table has one row, but principal components require at least two")]
    TooFewRows,
    /// All rows are equal.
    #[error("all rows are equal, so the table has no principal components")]
    NoVariance,
    /// The requested number of components is out of range.
    #[error(
        "cannot compute {requested} components: choose a number from 1 to {most}, the smaller of the numbers of rows and columns"
    )]
    ComponentCount {
        /// The requested number.
        requested: usize,
        /// The greatest number that is possible.
        most: usize,
    },
    /// The requested share of the variance is out of range.
    #[error("the share of the variance is {0}: it must be between 0 and 1")]
    VarianceShare(f64),
    /// The variance overflows or underflows.
    #[error("the principal components cannot be computed: the values are too large or too small")]
    OutOfRange,
}

/// Computes the principal components of the rows of a table, as scikit-learn does with
/// `PCA(n_components, svd_solver="full")`. The columns are centred and not scaled. The sign of each component is chosen
/// as current versions of scikit-learn do (`svd_flip` with `u_based_decision=False`).
///
/// # Errors
///
/// Returns an error if there are fewer than two rows, if all rows are equal, if `count` is out of range, or if the
/// variance overflows or underflows.
pub fn principal_components(table: &Matrix, count: ComponentCount) -> Result<Pca, PcaError> {
    let rows = table.row_count();
    if rows < 2 {
        return Err(PcaError::TooFewRows);
    }
    let most = rows.min(table.column_count());
    match count {
        ComponentCount::Exactly(requested) if requested == 0 || requested > most => {
            return Err(PcaError::ComponentCount { requested, most });
        }
        ComponentCount::VarianceShare(share) if !(share > 0.0 && share < 1.0) => {
            return Err(PcaError::VarianceShare(share));
        }
        _ => {}
    }
    let mean = table.column_means();
    let deviations = table.deviations(&mean);
    if deviations.iter().all(|deviation| *deviation == 0.0) {
        return Err(PcaError::NoVariance);
    }
    let singular = singular_vectors(&deviations).ok_or(PcaError::OutOfRange)?;
    let mut explained_variance: Vec<f64> = singular
        .values
        .iter()
        .map(|value| value * value / (rows - 1) as f64)
        .collect();
    let total: f64 = explained_variance.iter().sum();
    if !total.is_normal() {
        return Err(PcaError::OutOfRange);
    }
    let mut explained_variance_ratio: Vec<f64> = explained_variance
        .iter()
        .map(|variance| variance / total)
        .collect();
    let kept = match count {
        ComponentCount::Exactly(requested) => requested,
        ComponentCount::VarianceShare(share) => sufficient(&explained_variance_ratio, share),
    };
    explained_variance.truncate(kept);
    explained_variance_ratio.truncate(kept);
    let mut components = singular.vectors.columns(0, kept).into_owned();
    fix_signs(&mut components);
    let projections = deviations * &components;
    Ok(Pca {
        mean,
        components: components
            .column_iter()
            .map(|column| column.iter().copied().collect())
            .collect(),
        explained_variance,
        explained_variance_ratio,
        projections: projections
            .row_iter()
            .map(|row| row.iter().copied().collect())
            .collect(),
    })
}

/// Returns the least number of leading ratios with a sum greater than `share`, or all if rounding keeps the sum below.
fn sufficient(ratios: &[f64], share: f64) -> usize {
    let mut sum = 0.0;
    let reached = ratios.iter().position(|ratio| {
        sum += ratio;
        sum > share
    });
    reached.map_or(ratios.len(), |index| index + 1)
}

/// Makes the greatest number of each column by magnitude positive.
fn fix_signs(components: &mut DMatrix<f64>) {
    for mut component in components.column_iter_mut() {
        if component[component.iamax()] < 0.0 {
            component.neg_mut();
        }
    }
}
