//! Statistics of a run, each computed in one pass in memory whose size is bounded by the number of uids.

pub(crate) mod agreement;
pub(crate) mod calls;
pub(crate) mod epochs;
pub(crate) mod events;
pub(crate) mod exchange;
pub(crate) mod frequent;
pub(crate) mod learning;
pub(crate) mod marks;
pub(crate) mod outcome;
pub(crate) mod sample;
pub(crate) mod scores;
pub(crate) mod sharing;
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
