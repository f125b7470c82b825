//! Plot of the distribution of the mean scores over the uids, by fifth of the run.

use super::histograms::by_fifth;
use super::{NO_SCORE, NothingToDraw, Plot, scored};
use crate::chart::Figure;
use crate::run_data::RunData;

pub(super) struct ScoreHistogramByFifth;

impl Plot for ScoreHistogramByFifth {
    fn name(&self) -> &'static str {
        "score_histogram_by_fifth"
    }

    fn title(&self) -> &'static str {
        "Distribution of the mean scores by fifth of the run"
    }

    fn explain(&self) -> &'static str {
        "Number of uids by mean score in each fifth of the run. A uid is counted once in each fifth in which \
         it has a score."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let scored = scored(data);
        if scored.is_empty() {
            return Err(NO_SCORE.into());
        }
        by_fifth(scored.values().map(|tally| tally.by_fifth), "mean score")
    }
}
