//! Compares the statistics with pandas, NumPy and SciPy, on data drawn from a seed.

mod correlations;
mod data;
mod distributions;
mod moving_averages;
