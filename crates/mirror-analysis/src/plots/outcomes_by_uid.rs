//! Plot of the outcomes of calls by uid.

use super::{NothingToDraw, Plot};
use crate::chart::{Axis, BarMode, Color, Figure, Scale, Trace, Values};
use crate::collect::calls::UidTally;
use crate::numbers::count;
use crate::run_data::RunData;

pub(super) struct OutcomesByUid;

impl Plot for OutcomesByUid {
    fn name(&self) -> &'static str {
        "outcomes_by_uid"
    }

    fn title(&self) -> &'static str {
        "Outcomes by uid"
    }

    fn explain(&self) -> &'static str {
        "Outcomes of the calls to each uid, as shares of its calls."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let all = data.outcomes();
        if all.calls() == 0 {
            return Err("no uid was called".into());
        }
        if all.successes() == all.calls() {
            return Err("all calls were successful".into());
        }
        let mut traces = Vec::new();
        let mut words = Vec::new();
        for (kind, (outcome, calls)) in all.iter().enumerate() {
            if calls == 0 {
                continue;
            }
            words.push(format!("{} {}", count(calls), outcome.name));
            let share = |tally: &UidTally| {
                Some(tally.outcomes.of(kind) as f64 / tally.outcomes.calls().max(1) as f64)
            };
            traces.push(Trace::bars(
                outcome.name,
                Color::Fixed(outcome.color),
                Values::uids(data.uids.keys()),
                data.uids.values().map(share).collect(),
            ));
        }
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::new("share of calls", Scale::Share),
            traces,
            bars: BarMode::Stack,
            alternative: format!(
                "Stacked bars of the outcomes of calls; over all uids: {}.",
                words.join(", ")
            ),
            ..Figure::default()
        })
    }
}
