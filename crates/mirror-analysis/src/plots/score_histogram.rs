//! Plot of the distribution of the mean scores over the uids.

use super::histograms::of_means;
use super::{NO_SCORE, NothingToDraw, Plot, scored};
use crate::chart::Figure;
use crate::run_data::RunData;

pub(super) struct ScoreHistogram;

impl Plot for ScoreHistogram {
    fn name(&self) -> &'static str {
        "score_histogram"
    }

    fn title(&self) -> &'static str {
        "Distribution of the mean scores"
    }

    fn explain(&self) -> &'static str {
        "Number of uids by mean score: the mean of a uid by the gating model over all forwards."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let scored = scored(data);
        let means: Vec<f64> = scored.values().filter_map(|tally| tally.scores.mean()).collect();
        if means.is_empty() {
            return Err(NO_SCORE.into());
        }
        of_means(&means, "mean score")
    }
}
