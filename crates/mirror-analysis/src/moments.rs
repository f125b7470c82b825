//! Statistics that are updated with one value at a time.

use crate::series::Absorb;

/// Mean and standard deviation, by Welford's method, which keeps its precision if the mean is large.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Adds a finite value.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the mean. `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Returns the standard deviation of the sample (with divisor n−1). `None` for fewer than two values.
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }
}

/// A number of occurrences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(u64);

impl Count {
    /// Adds one occurrence.
    pub fn push(&mut self) {
        self.0 += 1;
    }

    /// Returns the number of occurrences.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Absorb for Count {
    fn absorb(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

/// A mean, for data that is too large for a [`Moments`] each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Adds a finite value.
    pub fn push(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// Returns the mean. `None` without values.
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

/// A mean with the smallest and the largest value.
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
    /// Adds a finite value.
    pub fn push(&mut self, value: f64) {
        self.mean.push(value);
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    /// Returns the mean. `None` without values.
    pub fn mean(&self) -> Option<f64> {
        self.mean.mean()
    }

    /// Returns the smallest and the largest value. `None` without values.
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
