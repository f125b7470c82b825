//! Statistics that take one value at a time.

use crate::series::Absorb;

/// Mean and deviation, by Welford's method, which does not lose digits to a large mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes a finite value.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// None of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The sample's standard deviation (n−1 below); none of fewer than two values.
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }
}

/// A mean, where there are too many for a [`Moments`] each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Takes a finite value.
    pub fn push(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// None of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Absorb for Mean {
    fn absorb(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// A mean with the least and the greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    mean: Mean,
    least: f64,
    greatest: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            mean: Mean::default(),
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        }
    }
}

impl Range {
    /// Takes a finite value.
    pub fn push(&mut self, value: f64) {
        self.mean.push(value);
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    /// None of no values.
    pub fn mean(&self) -> Option<f64> {
        self.mean.mean()
    }

    /// The least and the greatest value; none of no values.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        (self.mean.count > 0).then_some((self.least, self.greatest))
    }
}

impl Absorb for Range {
    fn absorb(&mut self, other: &Self) {
        self.mean.absorb(&other.mean);
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }
}
