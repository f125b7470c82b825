//! Plot of the scores by uid over time.

use super::{Gaps, Heat, NO_SCORE, NothingToDraw, Plot, heat_map, scored};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct ScoresByUid;

impl Plot for ScoresByUid {
    fn name(&self) -> &'static str {
        "scores_by_uid"
    }

    fn title(&self) -> &'static str {
        "Scores by uid over time"
    }

    fn explain(&self) -> &'static str {
        "Score of each uid by the gating model in each forward, whether the uid was called or not. With \
         several validators, the value is the mean over them."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "score",
            position: "forward",
            scale: Scale::Forward,
            gaps: Gaps::Kept,
            blank: "has no score",
        };
        let series = scored(data)
            .into_iter()
            .map(|(uid, tally)| (uid, &tally.over_time))
            .collect();
        heat_map(&series, &heat).ok_or(NO_SCORE.into())
    }
}
