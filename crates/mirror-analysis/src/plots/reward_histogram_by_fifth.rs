//! Plot of the distribution of the mean rewards over the uids, by fifth of the run.

use super::histograms::by_fifth;
use super::{NO_REWARD, NothingToDraw, Plot};
use crate::chart::Figure;
use crate::run_data::RunData;

pub(super) struct RewardHistogramByFifth;

impl Plot for RewardHistogramByFifth {
    fn name(&self) -> &'static str {
        "reward_histogram_by_fifth"
    }

    fn title(&self) -> &'static str {
        "Distribution of the mean rewards by fifth of the run"
    }

    fn explain(&self) -> &'static str {
        "Number of uids by mean reward in each fifth of the run. A uid is counted once in each fifth in which \
         it has a reward."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        if data.rewards.count() == 0 {
            return Err(NO_REWARD.into());
        }
        by_fifth(
            data.uids.values().map(|tally| tally.rewards_by_fifth),
            "mean reward",
        )
    }
}
