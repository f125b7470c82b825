//! Plot of the smoothed rewards by uid over time.

use super::{Gaps, Heat, NO_REWARD, NothingToDraw, Plot, heat_map, of_tallies};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct SmoothedRewardsByUid;

impl Plot for SmoothedRewardsByUid {
    fn name(&self) -> &'static str {
        "smoothed_rewards_by_uid"
    }

    fn title(&self) -> &'static str {
        "Smoothed rewards by uid over time"
    }

    fn explain(&self) -> &'static str {
        "Exponentially weighted mean (alpha 0.1) of the rewards of each uid, by forward. A cell repeats the \
         last value until the uid receives another reward."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "smoothed reward",
            position: "forward",
            scale: Scale::Forward,
            gaps: Gaps::Filled,
            blank: "has received no reward yet",
        };
        let series = of_tallies(data, |tally| &tally.smoothed_rewards);
        heat_map(&series, &heat).ok_or(NO_REWARD.into())
    }
}
