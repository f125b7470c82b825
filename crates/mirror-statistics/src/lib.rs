//! Statistics for the report of a run, as pandas and SciPy compute them. Pure functions without I/O, which know nothing
//! of runs.
//!
//! Moving averages ([`Ewm`], [`Rolling`]) take one value at a time, so that their memory does not grow with a run. The
//! other functions take slices. The tests compare every function with the Python library that it follows.

mod correlation;
mod ewm;
mod quantile;
mod rolling;

pub use correlation::{pearson, spearman};
pub use ewm::{Ewm, InvalidAlpha};
pub use quantile::{Histogram, Quantiles, histogram};
pub use rolling::Rolling;
