//! Plot of the calls by uid, all and successful.

use plotly::Bar;
use plotly::common::Marker;
use plotly::layout::{BarMode, Layout};

use super::{BARS_HEIGHT, BEHIND, Figure, MAIN, NothingToDraw, Plot, axis, chart, uid_axis, uid_labels};
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
            return Err(NothingToDraw("no uid was called"));
        }
        let tallies = || data.uids.values().map(|tally| tally.outcomes);
        let all: Vec<u64> = tallies().map(|outcomes| outcomes.calls()).collect();
        let successes: Vec<u64> = tallies().map(|outcomes| outcomes.successes()).collect();
        let layout = Layout::new()
            .bar_mode(BarMode::Overlay)
            .x_axis(uid_axis())
            .y_axis(axis("calls"));
        let mut chart = chart(layout);
        for (name, color, calls) in [("all", BEHIND, all), ("successful", MAIN, successes)] {
            let trace = Bar::new(uid_labels(data.uids.keys()), calls)
                .name(name)
                .marker(Marker::new().color(color))
                .hover_template("uid %{x}<br>%{y:,} calls");
            chart.add_trace(trace);
        }
        Ok(Figure {
            chart,
            height: BARS_HEIGHT,
            alternative: format!(
                "Bars of the calls to {}: {} in all, {} of them successful.",
                counted(data.uids.len() as u64, "uid", "uids"),
                count(outcomes.calls()),
                count(outcomes.successes())
            ),
            note: String::new(),
        })
    }
}
