//! Plot of the rewards by uid over time.

use super::{Gaps, Heat, NO_REWARD, NothingToDraw, Plot, heat_map, of_tallies};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct RewardsByUid;

impl Plot for RewardsByUid {
    fn name(&self) -> &'static str {
        "rewards_by_uid"
    }

    fn title(&self) -> &'static str {
        "Rewards by uid over time"
    }

    fn explain(&self) -> &'static str {
        "Mean reward of each uid in each forward. A training step has two forwards: the question, then its answer. \
         With several validators, the value is the mean over them."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "reward",
            position: "forward",
            scale: Scale::Forward,
            gaps: Gaps::Kept,
            blank: "was not called, or received no reward",
        };
        heat_map(&of_tallies(data, |tally| &tally.rewards_over_time), &heat).ok_or(NO_REWARD.into())
    }
}
