//! Statistics of a run, each computed in one pass in memory whose size is bounded by the number of uids.

use mirror_statistics::Ewm;

use crate::forwards::Forward;

pub(crate) mod agreement;
pub(crate) mod calls;
pub(crate) mod epochs;
pub(crate) mod events;
pub(crate) mod exchange;
pub(crate) mod faults;
pub(crate) mod frequent;
pub(crate) mod learning;
pub(crate) mod marks;
pub(crate) mod outcome;
pub(crate) mod sample;
pub(crate) mod scores;
pub(crate) mod sharing;
pub(crate) mod steps;
pub(crate) mod texts;
pub(crate) mod weights;

/// Number of equal parts into which a run is divided, to show how it changes.
pub(crate) const FIFTHS: usize = 5;

/// Smoothing factor of exponentially weighted means, which is that of upstream's plots.
pub(crate) const ALPHA: f64 = 0.1;

/// Maximum number of points of a line.
pub(crate) const POINTS: usize = 2_000;

/// Returns the fifth of the run to which the forward number `position` of `forwards` belongs, from 0.
pub(crate) fn fifth(position: u64, forwards: u64) -> usize {
    let parts = FIFTHS as u64;
    let fifth = u128::from(position) * u128::from(parts) / u128::from(forwards.max(1));
    (fifth as usize).min(FIFTHS - 1)
}

/// A state for each validator, which is created with its first forward.
#[derive(Clone, Debug)]
pub(crate) struct ByValidator<T>(Vec<Option<T>>);

impl<T> Default for ByValidator<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByValidator<T> {
    /// Returns the state of the validator of a forward. A new one is created by `make`.
    pub(crate) fn of(&mut self, forward: &Forward<'_>, make: impl FnOnce() -> T) -> &mut T {
        let index = forward.validator_index();
        if index >= self.0.len() {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index].get_or_insert_with(make)
    }
}

/// Returns the exponentially weighted mean of an empty series.
pub(crate) fn smoothing() -> Ewm {
    Ewm::new(ALPHA).expect("the smoothing factor is between 0 and 1")
}
