//! Bootstrap intervals for ratios of medians, and samples of bounded size.

use mirror_statistics::Quantiles;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Number of resamples.
const RESAMPLES: usize = 1000;

/// Least number of values for an interval.
const LEAST_VALUES: usize = 10;

/// A uniform sample of a stream of values (Vitter's algorithm R), with a fixed random seed.
#[derive(Debug, Clone)]
pub(crate) struct Reservoir<T> {
    values: Vec<T>,
    capacity: usize,
    seen: u64,
    random: ChaCha8Rng,
}

impl<T> Reservoir<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            values: Vec::new(),
            capacity,
            seen: 0,
            random: ChaCha8Rng::seed_from_u64(0),
        }
    }

    pub(crate) fn push(&mut self, value: T) {
        self.seen += 1;
        if self.values.len() < self.capacity {
            self.values.push(value);
            return;
        }
        let slot = self.random.random_range(0..self.seen) as usize;
        if let Some(kept) = self.values.get_mut(slot) {
            *kept = value;
        }
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// Returns whether values were left out.
    pub(crate) fn is_sample(&self) -> bool {
        self.seen > self.values.len() as u64
    }
}

/// Returns the median. `None` without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    Quantiles::of(values)?.at(0.5)
}

/// Returns the 95% percentile interval of `median(second) / median(first)`, for pairs that are resampled together.
/// `None` if there are fewer than 10 pairs or a ratio is not finite.
pub(crate) fn paired_interval(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    if pairs.len() < LEAST_VALUES {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let (mut first, mut second) = (vec![0.0; pairs.len()], vec![0.0; pairs.len()]);
    interval(|| {
        for (first, second) in first.iter_mut().zip(&mut second) {
            (*first, *second) = pairs[random.random_range(0..pairs.len())];
        }
        quick_median(&mut second) / quick_median(&mut first)
    })
}

/// Returns the 95% percentile interval of `median(second) / median(first)`, for independent samples. `None` if one has
/// fewer than 10 values or a ratio is not finite.
pub(crate) fn unpaired_interval(first: &[f64], second: &[f64]) -> Option<(f64, f64)> {
    if first.len().min(second.len()) < LEAST_VALUES {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut resampled_median = |values: &[f64]| {
        let mut draw = || values[random.random_range(0..values.len())];
        let mut drawn: Vec<f64> = (0..values.len()).map(|_| draw()).collect();
        quick_median(&mut drawn)
    };
    interval(|| {
        let divisor = resampled_median(first);
        resampled_median(second) / divisor
    })
}

fn interval(mut ratio: impl FnMut() -> f64) -> Option<(f64, f64)> {
    let ratios: Vec<f64> = (0..RESAMPLES).map(|_| ratio()).collect();
    if !ratios.iter().all(|ratio| ratio.is_finite()) {
        return None;
    }
    let quantiles = Quantiles::of(&ratios)?;
    Some((quantiles.at(0.025)?, quantiles.at(0.975)?))
}

/// Returns the median of a slice that is not empty, in linear time.
fn quick_median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if is_even {
        let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        f64::midpoint(lower, *upper)
    } else {
        *upper
    }
}
