//! Plot of the distribution of the mean rewards over the uids.

use super::histograms::of_means;
use super::{NO_REWARD, NothingToDraw, Plot};
use crate::chart::Figure;
use crate::run_data::RunData;

pub(super) struct RewardHistogram;

impl Plot for RewardHistogram {
    fn name(&self) -> &'static str {
        "reward_histogram"
    }

    fn title(&self) -> &'static str {
        "Distribution of the mean rewards"
    }

    fn explain(&self) -> &'static str {
        "Number of uids by mean reward: the mean of a uid over all its successful calls."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let means: Vec<f64> = data
            .uids
            .values()
            .filter_map(|tally| tally.rewards.mean())
            .collect();
        if means.is_empty() {
            return Err(NO_REWARD.into());
        }
        of_means(&means, "mean reward")
    }
}
