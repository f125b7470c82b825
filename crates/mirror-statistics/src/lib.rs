//! Statistics for the report of a run, as pandas, SciPy and scikit-learn compute them. Pure functions without I/O,
//! which know nothing of runs.
//!
//! Moving averages ([`Ewm`], [`Rolling`]) take one value at a time, so that their memory does not grow with a run. The
//! other functions take slices. The tests compare every function with the Python library that it follows.

mod correlation;
mod ewm;
mod matrix;
mod pca;
mod quantile;
pub mod regression;
mod rolling;
mod singular_vectors;

pub use correlation::{pearson, spearman};
pub use ewm::{Ewm, InvalidAlpha};
pub use matrix::{Matrix, MatrixError};
pub use pca::{ComponentCount, Pca, PcaError, principal_components};
pub use quantile::{Histogram, Quantiles, histogram};
pub use rolling::Rolling;
