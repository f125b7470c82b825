//! Agreement of the gating model's scores with the rewards that the called uids then received.

use std::num::NonZeroUsize;

use mirror_statistics::{Rolling, pearson, spearman};

use super::{ByValidator, FIFTHS, POINTS, fifth};
use crate::forwards::{Collect, Extent, Forward};
use crate::moments::Mean;
use crate::series::Series;

/// Number of forwards over which correlations are averaged.
pub(crate) const WINDOW: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// Agreement of scores with rewards.
#[derive(Clone, Debug)]
pub struct Agreement {
    forwards: u64,
    /// Pearson's correlation in each forward.
    pub pearson: Correlation,
    /// Spearman's correlation in each forward.
    pub spearman: Correlation,
    /// The pairs of uids that were called in the same forward, by fifth of the run.
    pub pairs_by_fifth: [Pairs; FIFTHS],
    scores: Vec<f64>,
    rewards: Vec<f64>,
}

/// A correlation by the number of the forward.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// The correlation in each forward. Forwards in which it is undefined are left out: fewer than two rewards, or
    /// equal scores or rewards.
    pub each: Series<Mean>,
    /// The mean over ten forwards of a validator. It is undefined if one of the ten is. With several validators, the
    /// value is the mean over them.
    pub rolling: Series<Mean>,
    window: ByValidator<Rolling>,
}

impl Correlation {
    fn new() -> Self {
        Self {
            each: Series::new(POINTS),
            rolling: Series::new(POINTS),
            window: ByValidator::default(),
        }
    }

    fn push(&mut self, forward: &Forward<'_>, correlation: Option<f64>) {
        let number = forward.number();
        if let Some(correlation) = correlation {
            self.each.at(number).push(correlation);
        }
        let window = self.window.of(forward, || Rolling::new(WINDOW));
        if let Some(mean) = window.push(correlation) {
            self.rolling.at(number).push(mean);
        }
    }
}

/// Pairs of uids of the same forward with different rewards, by the order of their scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Number of pairs in which the higher reward has the higher score.
    pub concordant: u64,
    /// Number of pairs in which the higher reward has the lower score.
    pub discordant: u64,
    /// Number of pairs with equal scores.
    pub tied: u64,
}

impl Pairs {
    /// Returns the probability that the uid with the higher reward has the higher score, where equal scores count half:
    /// the area under the ROC curve, averaged over all thresholds of the reward. 0.5 is no better than chance. `None`
    /// without a pair.
    pub fn auc(&self) -> Option<f64> {
        let all = self.concordant + self.discordant + self.tied;
        (all > 0).then(|| (self.concordant as f64 + self.tied as f64 / 2.0) / all as f64)
    }

    fn add(&mut self, scores: &[f64], rewards: &[f64]) {
        for one in 0..scores.len() {
            for other in 0..one {
                if rewards[one] == rewards[other] {
                    continue;
                }
                let by_score = scores[one].total_cmp(&scores[other]);
                let by_reward = rewards[one].total_cmp(&rewards[other]);
                if scores[one] == scores[other] {
                    self.tied += 1;
                } else if by_score == by_reward {
                    self.concordant += 1;
                } else {
                    self.discordant += 1;
                }
            }
        }
    }
}

impl Agreement {
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            forwards: extent.forwards,
            pearson: Correlation::new(),
            spearman: Correlation::new(),
            pairs_by_fifth: [Pairs::default(); FIFTHS],
            scores: Vec::new(),
            rewards: Vec::new(),
        }
    }
}

impl Collect for Agreement {
    fn add(&mut self, forward: &Forward<'_>) {
        let scores = forward.scores();
        self.scores.clear();
        self.rewards.clear();
        for call in forward.calls() {
            let score = scores.get(call.uid() as usize).map(|score| f64::from(*score));
            if let (Some(score), Some(reward)) = (score, call.reward())
                && score.is_finite()
                && reward.is_finite()
            {
                self.scores.push(score);
                self.rewards.push(reward);
            }
        }
        self.pearson.push(forward, pearson(&self.scores, &self.rewards));
        self.spearman.push(forward, spearman(&self.scores, &self.rewards));
        self.pairs_by_fifth[fifth(forward.position(), self.forwards)].add(&self.scores, &self.rewards);
    }
}
