//! Plot of the weights by uid over time.

use super::{Gaps, Heat, NothingToDraw, Plot, heat_map, of_tallies};
use crate::chart::{Figure, Scale};
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
        "Weights that validators set for each uid, by the step at which they set them: the mean over \
         the validators. Weights that the chain refused are omitted."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let heat = Heat {
            value: "weight",
            position: "step",
            scale: Scale::Step,
            gaps: Gaps::Closed,
            blank: "received no weight at that step",
        };
        let nothing = if data.weights.refused > 0 {
            "the chain accepted none of the weights that were set"
        } else {
            "no validator set weights: the run was shorter than a tempo, or did not train"
        };
        heat_map(&of_tallies(data, |tally| &tally.weights_over_time), &heat).ok_or(nothing.into())
    }
}
