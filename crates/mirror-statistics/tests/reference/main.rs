//! Compares the statistics with pandas, NumPy, SciPy and scikit-learn, on data drawn from a seed.

mod correlations;
mod data;
mod distributions;
mod moving_averages;
mod principal_components;
mod regressions;
