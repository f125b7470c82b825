//! Plot of the calls by uid, all and successful.

use super::{NothingToDraw, Plot};
use crate::chart::{Axis, Color, Figure, Trace, Values};
use crate::numbers::{count, counted};
use crate::run_data::RunData;

pub(super) struct CallsByUid;

impl Plot for CallsByUid {
    fn name(&self) -> &'static str {
        "calls_by_uid"
    }

    fn title(&self) -> &'static str {
        "Calls by uid"
    }

    fn explain(&self) -> &'static str {
        "Number of calls to each uid, and number of successful calls."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let outcomes = data.outcomes();
        if outcomes.calls() == 0 {
            return Err("no uid was called".into());
        }
        let tallies = || data.uids.values().map(|tally| tally.outcomes);
        let all = tallies().map(|outcomes| Some(outcomes.calls() as f64)).collect();
        let successes = tallies()
            .map(|outcomes| Some(outcomes.successes() as f64))
            .collect();
        let uids = || Values::uids(data.uids.keys());
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::linear("calls"),
            traces: vec![
                Trace::bars("all", Color::Behind, uids(), all),
                Trace::bars("successful", Color::Main, uids(), successes),
            ],
            alternative: format!(
                "Bars of the calls to {}: {} in all, {} of them successful.",
                counted(data.uids.len() as u64, "uid", "uids"),
                count(outcomes.calls()),
                count(outcomes.successes())
            ),
            ..Figure::default()
        })
    }
}
