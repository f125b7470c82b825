//! Rolling mean.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

/// The mean of the last n values of a series, as pandas computes it with `Series.rolling(n).mean()`.
///
/// The sum is computed again for every value, so that the error of a large value leaves the mean with that value. A
/// value therefore costs O(n) time.
#[derive(Debug, Clone)]
pub struct Rolling {
    length: NonZeroUsize,
    window: VecDeque<Option<f64>>,
}

impl Rolling {
    /// Creates the mean of an empty series over windows of `length` values.
    pub fn new(length: NonZeroUsize) -> Self {
        Self {
            length,
            window: VecDeque::new(),
        }
    }

    /// Appends a value, or a gap if it is `None`, and returns the mean of the window that ends with it. A value that is
    /// not finite is a gap, as in pandas. Returns `None` if the series is shorter than a window or the window contains
    /// a gap.
    pub fn push(&mut self, value: Option<f64>) -> Option<f64> {
        if self.window.len() == self.length.get() {
            self.window.pop_front();
        }
        self.window.push_back(value.filter(|value| value.is_finite()));
        if self.window.len() < self.length.get() {
            return None;
        }
        let sum: f64 = self.window.iter().copied().sum::<Option<f64>>()?;
        Some(sum / self.length.get() as f64)
    }
}
