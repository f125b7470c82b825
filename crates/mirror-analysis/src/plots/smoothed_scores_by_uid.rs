//! Plot of the smoothed scores by uid over time.

use super::{Gaps, Heat, NO_SCORE, NothingToDraw, Plot, heat_map, scored};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct SmoothedScoresByUid;

impl Plot for SmoothedScoresByUid {
    fn name(&self) -> &'static str {
        "smoothed_scores_by_uid"
    }

    fn title(&self) -> &'static str {
        "Smoothed scores by uid over time"
    }

    fn explain(&self) -> &'static str {
        "Exponentially weighted mean (alpha 0.1) of the scores of each uid by the gating model, by forward."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "smoothed score",
            position: "forward",
            scale: Scale::Forward,
            gaps: Gaps::Kept,
            blank: "has no score",
        };
        let series = scored(data)
            .into_iter()
            .map(|(uid, tally)| (uid, &tally.smoothed))
            .collect();
        heat_map(&series, &heat).ok_or(NO_SCORE.into())
    }
}
