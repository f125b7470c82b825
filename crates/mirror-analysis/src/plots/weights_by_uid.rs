//! Weights by uid over time.

use super::{Figure, Gaps, Heat, NothingToDraw, Plot, heat_map, of_tallies};
use crate::run_data::RunData;

pub(super) struct WeightsByUid;

impl Plot for WeightsByUid {
    fn name(&self) -> &'static str {
        "weights_by_uid"
    }

    fn title(&self) -> &'static str {
        "Weights by uid over time"
    }

    fn explain(&self) -> &'static str {
        "The weight that validators gave each uid when they set weights, at the step at which they did: the mean over \
         the validators. Settings that the chain refused are left out."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "weight",
            position: "step",
            gaps: Gaps::Closed,
            blank: "was given no weight at that step",
        };
        let nothing = if data.weights.refused > 0 {
            NothingToDraw("the chain took none of the weights that were set")
        } else {
            NothingToDraw("no validator set weights: the run was shorter than a tempo, or did not train")
        };
        heat_map(&of_tallies(data, |tally| &tally.weights_over_time), &heat).ok_or(nothing)
    }
}
