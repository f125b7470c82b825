//! Correlation coefficients.

use std::cmp::Ordering;

/// Returns Pearson's correlation coefficient of the pairs `(x[i], y[i])`, in −1..=1, as `scipy.stats.pearsonr` computes
/// it. Pairs in which a side is not finite are excluded, and so are the values without a partner if one slice is
/// longer. Returns `None` if fewer than two pairs remain or all their values on one side are equal.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = finite_pairs(x, y);
    of_finite(&x, &y)
}

/// Returns Spearman's rank correlation coefficient of the pairs `(x[i], y[i])`, in −1..=1, as `scipy.stats.spearmanr`
/// computes it: Pearson's coefficient of the ranks, where equal values have the mean of their ranks. Excludes the same
/// pairs as [`pearson`], and returns `None` in the same cases.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = finite_pairs(x, y);
    of_finite(&ranks(&x), &ranks(&y))
}

fn finite_pairs(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let pairs = x.iter().zip(y);
    pairs.filter(|(x, y)| x.is_finite() && y.is_finite()).unzip()
}

/// Returns Pearson's coefficient of slices of equal length without non-finite values.
fn of_finite(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = (unit_deviations(x)?, unit_deviations(y)?);
    let dot: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
    Some(dot.clamp(-1.0, 1.0))
}

/// Returns the deviations from the mean, divided by their Euclidean norm. Returns `None` if all values are equal.
fn unit_deviations(values: &[f64]) -> Option<Vec<f64>> {
    let first = values.first()?;
    if values.iter().all(|value| value == first) {
        return None;
    }
    // Powers of two, so that neither the sum nor the squares overflow and no digit is lost.
    let scale = power_of_two_below(greatest_magnitude(values));
    let mean = values.iter().map(|value| value / scale).sum::<f64>() / values.len() as f64;
    let mut deviations: Vec<f64> = values.iter().map(|value| value / scale - mean).collect();
    let scale = power_of_two_below(greatest_magnitude(&deviations));
    for deviation in &mut deviations {
        *deviation /= scale;
    }
    let norm = deviations
        .iter()
        .map(|deviation| deviation * deviation)
        .sum::<f64>()
        .sqrt();
    for deviation in &mut deviations {
        *deviation /= norm;
    }
    (norm > 0.0).then_some(deviations)
}

fn greatest_magnitude(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0, |greatest, value| value.abs().max(greatest))
}

/// Returns a power of two near `magnitude`, which is a normal number.
fn power_of_two_below(magnitude: f64) -> f64 {
    magnitude.log2().floor().clamp(-1000.0, 1000.0).exp2()
}

/// Returns the rank of each value, from 1. Equal values have the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].partial_cmp(&values[*b]).unwrap_or(Ordering::Equal));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        for index in tied {
            ranks[*index] = rank;
        }
        before += tied.len();
    }
    ranks
}
