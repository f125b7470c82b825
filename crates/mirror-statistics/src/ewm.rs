//! Exponentially weighted mean.

/// The exponentially weighted mean of a series, as pandas computes it with `Series.ewm(alpha=alpha).mean()`: the weight
/// of a value falls by the factor 1 − alpha with each later value, and the weights are normalised by their sum
/// (`adjust=True`). A missing value also lowers the weights of the values before it (`ignore_na=False`).
#[derive(Debug, Clone)]
pub struct Ewm {
    decay: f64,
    mean: Option<f64>,
    /// Sum of the weights of all values so far. The newest value has weight 1.
    weight: f64,
}

/// The smoothing factor of an [`Ewm`] is outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("alpha is {0}: it must be greater than 0 and at most 1")]
pub struct InvalidAlpha(f64);

impl Ewm {
    /// Creates the mean of an empty series, with the smoothing factor `alpha`.
    ///
    /// # Errors
    ///
    /// Returns an error if `alpha` is not greater than 0 and at most 1.
    pub fn new(alpha: f64) -> Result<Self, InvalidAlpha> {
        if !(alpha > 0.0 && alpha <= 1.0) {
            return Err(InvalidAlpha(alpha));
        }
        Ok(Self {
            decay: 1.0 - alpha,
            mean: None,
            weight: 0.0,
        })
    }

    /// Appends a value, or a gap if it is `None`, and returns the mean of all values so far. A value that is not finite
    /// is a gap, as in pandas. Returns `None` before the first value.
    pub fn push(&mut self, value: Option<f64>) -> Option<f64> {
        self.weight *= self.decay;
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.mean = Some(match self.mean {
                // An equal value must not change the mean by a rounding error.
                Some(mean) if mean != value => (self.weight * mean + value) / (self.weight + 1.0),
                _ => value,
            });
            self.weight += 1.0;
        }
        self.mean
    }

    /// Appends `count` gaps.
    pub fn skip(&mut self, count: u64) {
        let steps = i32::try_from(count).unwrap_or(i32::MAX);
        self.weight *= self.decay.powi(steps);
    }
}
