//! Plot of the pay of each miner against its calls.

use mirror_runs::NeuronKind;

use super::points::by_label;
use super::{NO_EPOCH, NothingToDraw, Plot};
use crate::chart::{Axis, Figure};
use crate::numbers::counted;
use crate::run_data::RunData;

pub(super) struct PayAgainstCalls;

impl Plot for PayAgainstCalls {
    fn name(&self) -> &'static str {
        "pay_against_calls"
    }

    fn title(&self) -> &'static str {
        "Pay against calls"
    }

    fn explain(&self) -> &'static str {
        "Mean amount that each miner was paid for incentive in an epoch of the chain against the number of \
         calls to it. Coloured by label."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        if data.epochs.uids.is_empty() {
            return Err(NO_EPOCH.into());
        }
        let calls = |uid| data.uids.get(uid).map_or(0, |tally| tally.outcomes.calls());
        let points: Vec<(u32, f64, f64)> = data
            .epochs
            .uids
            .iter()
            .filter(|(uid, _)| data.label(**uid).0 == NeuronKind::Miner)
            .filter_map(|(uid, earned)| Some((*uid, calls(uid) as f64, earned.incentive_per_epoch()?)))
            .collect();
        if points.len() < 2 {
            return Err("fewer than two miners were in an epoch of the chain".into());
        }
        Ok(Figure {
            x: Axis::linear("calls"),
            y: Axis::linear("TAO per epoch"),
            alternative: format!(
                "Points of the pay per epoch against the number of calls for {}.",
                counted(points.len() as u64, "miner", "miners")
            ),
            traces: by_label(data, points),
            ..Figure::default()
        })
    }
}
