//! Plot of the mean reward by uid.

use plotly::Bar;
use plotly::common::{ErrorData, ErrorType, Marker};
use plotly::layout::Layout;

use super::{BARS_HEIGHT, Figure, MAIN, NothingToDraw, Plot, axis, chart, uid_axis, uid_labels};
use crate::numbers::{counted, rounded, value};
use crate::run_data::RunData;
use crate::tally::UidTally;

/// Maximum number of uids for which the whiskers have caps.
const CAPPED: usize = 48;

pub(super) struct AverageReward;

impl Plot for AverageReward {
    fn name(&self) -> &'static str {
        "average_reward"
    }

    fn title(&self) -> &'static str {
        "Mean reward by uid"
    }

    fn explain(&self) -> &'static str {
        "Mean reward over the successful calls of each uid. The whiskers show one standard deviation to each side."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let rewarded: Vec<(&u32, &UidTally, f64)> = data
            .uids
            .iter()
            .filter_map(|(uid, tally)| Some((uid, tally, tally.rewards.mean()?)))
            .collect();
        let best = rewarded.iter().max_by(|one, other| one.2.total_cmp(&other.2));
        let Some((best, _, best_mean)) = best else {
            return Err(NothingToDraw("no call received a reward"));
        };
        let means = rewarded.iter().map(|(_, _, mean)| rounded(*mean)).collect();
        let deviations = rewarded
            .iter()
            .map(|(_, tally, _)| tally.rewards.deviation().map_or(0.0, rounded))
            .collect();
        let whiskers = ErrorData::new(ErrorType::Data)
            .array(deviations)
            .color("rgba(120, 130, 145, 0.9)")
            .thickness(1.0)
            .width(if rewarded.len() > CAPPED { 0 } else { 4 });
        let trace = Bar::new(uid_labels(rewarded.iter().map(|(uid, ..)| *uid)), means)
            .marker(Marker::new().color(MAIN))
            .error_y(whiskers)
            .hover_template("uid %{x}<br>mean reward %{y:.4g} ± %{error_y.array:.4g}<extra></extra>");
        let mut chart = chart(Layout::new().x_axis(uid_axis()).y_axis(axis("mean reward")));
        chart.add_trace(trace);
        Ok(Figure {
            chart,
            height: BARS_HEIGHT,
            alternative: format!(
                "Bars of the mean reward of {}; the highest is {} of uid {best}.",
                counted(rewarded.len() as u64, "uid", "uids"),
                value(*best_mean)
            ),
            note: String::new(),
        })
    }
}
