//! Quantiles and histograms.

use std::num::NonZeroUsize;

/// The finite values of a sample in ascending order.
#[derive(Debug, Clone)]
pub struct Quantiles {
    sorted: Vec<f64>,
}

/// A histogram with bins of equal width.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The edges of the bins in ascending order, one more than bins.
    pub edges: Vec<f64>,
    /// Number of values in each bin. A bin contains its lower edge and not its upper edge, except that the last bin
    /// contains both.
    pub counts: Vec<u64>,
}

impl Quantiles {
    /// Sorts the finite values of a sample and ignores the others. Returns `None` if there is no finite value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self { sorted })
    }

    /// Returns the quantile of a probability in 0..=1 by linear interpolation between the two nearest values, as pandas
    /// does by default. Returns `None` for a probability outside that range.
    pub fn at(&self, probability: f64) -> Option<f64> {
        if !(0.0..=1.0).contains(&probability) {
            return None;
        }
        let position = probability * (self.sorted.len() - 1) as f64;
        let below = self.sorted[position.floor() as usize];
        let above = self.sorted[position.ceil() as usize];
        let share = position.fract();
        // From the nearer side, as NumPy does, so that the result never leaves the interval.
        Some(if share < 0.5 {
            below + (above - below) * share
        } else {
            above - (above - below) * (1.0 - share)
        })
    }
}

/// Returns the histogram of the finite values of a sample with `bins` bins from the least to the greatest value, as
/// `numpy.histogram` computes it. If all values are equal, the bins cover the interval of width 1 around them. Returns
/// `None` if there is no finite value or the difference between the greatest and the least value is not a finite
/// number.
pub fn histogram(values: &[f64], bins: NonZeroUsize) -> Option<Histogram> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (mut first, mut last) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    if first == last {
        (first, last) = (first - 0.5, last + 0.5);
    }
    let width = last - first;
    if !width.is_finite() {
        return None;
    }
    let bins = bins.get();
    let step = width / bins as f64;
    let mut edges: Vec<f64> = (0..bins).map(|edge| edge as f64 * step + first).collect();
    edges.push(last);
    let mut counts = vec![0; bins];
    for value in finite() {
        let mut bin = (((value - first) / width * bins as f64) as usize).min(bins - 1);
        // The computed bin may be one off because of rounding: the edges decide.
        if value < edges[bin] {
            bin = bin.saturating_sub(1);
        } else if bin + 1 < bins && value >= edges[bin + 1] {
            bin += 1;
        }
        counts[bin] += 1;
    }
    Some(Histogram { edges, counts })
}
