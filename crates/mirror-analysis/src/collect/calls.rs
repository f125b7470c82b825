//! Statistics of the calls to each uid.

use std::collections::BTreeMap;

use mirror_statistics::Ewm;

use super::outcome::OutcomeCounts;
use super::{ByValidator, FIFTHS, fifth, smoothing};
use crate::forwards::{Collect, Extent, Forward};
use crate::moments::{Mean, Moments};
use crate::series::Series;

/// Maximum number of columns of a heat map over time.
pub(crate) const COLUMNS: usize = 500;

/// Statistics of the calls and weights of one uid.
#[derive(Clone, Debug)]
pub struct UidTally {
    /// Outcomes of its calls.
    pub outcomes: OutcomeCounts,
    /// Finite rewards of its successful calls.
    pub rewards: Moments,
    /// The same rewards by fifth of the run.
    pub rewards_by_fifth: [Mean; FIFTHS],
    /// Duration of a call in seconds, including failed calls.
    pub call_time: Moments,
    /// Size of the successful completions in bytes.
    pub sizes: Mean,
    /// Rewards by the number of the forward.
    pub rewards_over_time: Series<Mean>,
    /// Exponentially weighted mean of the rewards from each validator, by the number of each forward in which the uid
    /// received one. A forward of the validator without a reward lowers the weight of earlier ones. With several
    /// validators, the value is the mean over them.
    pub smoothed_rewards: Series<Mean>,
    /// Weights that validators set, by step.
    pub weights_over_time: Series<Mean>,
    smoothing: ByValidator<Smoothing>,
}

/// The rewards from one validator.
#[derive(Clone, Debug)]
struct Smoothing {
    mean: Ewm,
    /// Position of the last forward of the validator in which the uid received a reward.
    last: Option<u64>,
}

impl Smoothing {
    fn new() -> Self {
        Self {
            mean: smoothing(),
            last: None,
        }
    }

    /// Adds a reward and returns the mean.
    fn push(&mut self, reward: f64, position: u64) -> Option<f64> {
        if let Some(last) = self.last.replace(position) {
            self.mean.skip(position.saturating_sub(last.saturating_add(1)));
        }
        self.mean.push(Some(reward))
    }
}

impl UidTally {
    fn reward(&mut self, reward: f64, forward: &Forward<'_>, forwards: u64) {
        self.rewards.push(reward);
        self.rewards_by_fifth[fifth(forward.position(), forwards)].push(reward);
        self.rewards_over_time.at(forward.number()).push(reward);
        let smoothing = self.smoothing.of(forward, Smoothing::new);
        if let Some(mean) = smoothing.push(reward, forward.validator_position()) {
            self.smoothed_rewards.at(forward.number()).push(mean);
        }
    }
}

impl Default for UidTally {
    fn default() -> Self {
        Self {
            outcomes: OutcomeCounts::default(),
            rewards: Moments::default(),
            rewards_by_fifth: [Mean::default(); FIFTHS],
            call_time: Moments::default(),
            sizes: Mean::default(),
            rewards_over_time: Series::new(COLUMNS),
            smoothed_rewards: Series::new(COLUMNS),
            weights_over_time: Series::new(COLUMNS),
            smoothing: ByValidator::default(),
        }
    }
}

/// The calls of all uids.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    forwards: u64,
    uids: Vec<Option<Box<UidTally>>>,
    /// Finite rewards of all successful calls.
    pub(crate) rewards: Moments,
    /// Number of rewards that are not finite.
    pub(crate) unusable_rewards: u64,
    /// Number of calls that were lost to real slowness.
    pub(crate) timing_dependent: u64,
}

impl Calls {
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            forwards: extent.forwards,
            uids: Vec::new(),
            rewards: Moments::default(),
            unusable_rewards: 0,
            timing_dependent: 0,
        }
    }

    /// Returns the statistics by uid, only of those that were called.
    pub(crate) fn into_uids(self) -> BTreeMap<u32, UidTally> {
        (0..)
            .zip(self.uids)
            .filter_map(|(uid, tally)| Some((uid, *tally?)))
            .collect()
    }
}

impl Collect for Calls {
    fn add(&mut self, forward: &Forward<'_>) {
        for call in forward.calls() {
            let index = call.uid() as usize;
            if index >= self.uids.len() {
                self.uids.resize(index + 1, None);
            }
            let tally = self.uids[index].get_or_insert_default();
            tally.outcomes.add(call.outcome());
            self.timing_dependent += u64::from(call.timing_dependent());
            if let Some(latency) = call.latency() {
                tally.call_time.push(latency);
            }
            if let Some(size) = call.size().filter(|_| call.is_success()) {
                tally.sizes.push(size as f64);
            }
            match call.reward() {
                None => {}
                Some(reward) if reward.is_finite() => {
                    self.rewards.push(reward);
                    tally.reward(reward, forward, self.forwards);
                }
                Some(_) => self.unusable_rewards += 1,
            }
        }
    }
}
