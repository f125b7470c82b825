//! Statistics of the scores of the gating model.

use mirror_spec::key::MAX_UID;
use mirror_statistics::Ewm;

use super::calls::COLUMNS;
use super::{ByValidator, FIFTHS, fifth, smoothing};
use crate::forwards::{Collect, Extent, Forward};
use crate::moments::{Mean, Moments};
use crate::series::Series;

/// The scores of all uids.
#[derive(Clone, Debug)]
pub struct Scores {
    forwards: u64,
    /// Statistics by uid, from 0.
    pub uids: Vec<ScoreTally>,
}

/// Statistics of the scores of one uid. Scores that are not finite are excluded.
#[derive(Clone, Debug)]
pub struct ScoreTally {
    /// All scores.
    pub scores: Moments,
    /// The scores by fifth of the run.
    pub by_fifth: [Mean; FIFTHS],
    /// Scores by the number of the forward.
    pub over_time: Series<Mean>,
    /// Exponentially weighted mean of the scores of each validator, by the number of the forward. With several
    /// validators, the value is the mean over them.
    pub smoothed: Series<Mean>,
    smoothing: ByValidator<Ewm>,
}

impl Default for ScoreTally {
    fn default() -> Self {
        Self {
            scores: Moments::default(),
            by_fifth: [Mean::default(); FIFTHS],
            over_time: Series::new(COLUMNS),
            smoothed: Series::new(COLUMNS),
            smoothing: ByValidator::default(),
        }
    }
}

impl Scores {
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            forwards: extent.forwards,
            uids: Vec::new(),
        }
    }
}

impl Collect for Scores {
    fn add(&mut self, forward: &Forward<'_>) {
        // A uid has 16 bits.
        let scores = forward.scores();
        let scores = &scores[..scores.len().min(MAX_UID as usize + 1)];
        if scores.len() > self.uids.len() {
            self.uids.resize_with(scores.len(), ScoreTally::default);
        }
        let fifth = fifth(forward.position(), self.forwards);
        for (tally, score) in self.uids.iter_mut().zip(scores) {
            let score = Some(f64::from(*score)).filter(|score| score.is_finite());
            if let Some(score) = score {
                tally.scores.push(score);
                tally.by_fifth[fifth].push(score);
                tally.over_time.at(forward.number()).push(score);
            }
            if let Some(mean) = tally.smoothing.of(forward, smoothing).push(score) {
                tally.smoothed.at(forward.number()).push(mean);
            }
        }
    }
}
