//! Plot of the outcomes of calls by uid.

use plotly::Bar;
use plotly::common::Marker;
use plotly::layout::{BarMode, Layout};

use super::{BARS_HEIGHT, Figure, NothingToDraw, Plot, axis, chart, uid_axis, uid_labels};
use crate::numbers::{count, rounded};
use crate::run_data::RunData;
use crate::tally::UidTally;

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
            return Err(NothingToDraw("no uid was called"));
        }
        let layout = Layout::new()
            .bar_mode(BarMode::Stack)
            .x_axis(uid_axis())
            .y_axis(axis("share of calls").tick_format(".0%"));
        let mut chart = chart(layout);
        let mut words = Vec::new();
        for (kind, (outcome, calls)) in all.iter().enumerate() {
            if calls == 0 {
                continue;
            }
            words.push(format!("{} {}", count(calls), outcome.name));
            let share = |tally: &UidTally| {
                rounded(tally.outcomes.of(kind) as f64 / tally.outcomes.calls().max(1) as f64)
            };
            let trace = Bar::new(
                uid_labels(data.uids.keys()),
                data.uids.values().map(share).collect(),
            )
            .name(outcome.name)
            .marker(Marker::new().color(outcome.color))
            .hover_template("uid %{x}<br>%{y:.1%}");
            chart.add_trace(trace);
        }
        Ok(Figure {
            chart,
            height: BARS_HEIGHT,
            alternative: format!(
                "Stacked bars of the outcomes of calls; over all uids: {}.",
                words.join(", ")
            ),
            note: String::new(),
        })
    }
}
