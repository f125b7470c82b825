//! Plot of the trust by uid in the chain's last epoch.

use plotly::Bar;
use plotly::common::Marker;
use plotly::layout::{BarMode, Layout};

use super::incentive_by_uid::NO_EPOCH;
use super::{BARS_HEIGHT, BEHIND, Figure, MAIN, NothingToDraw, Plot, axis, chart, uid_axis, uid_labels};
use crate::epochs::Earned;
use crate::numbers::{count, counted, rounded};
use crate::run_data::RunData;

pub(super) struct TrustByUid;

impl Plot for TrustByUid {
    fn name(&self) -> &'static str {
        "trust_by_uid"
    }

    fn title(&self) -> &'static str {
        "Trust by uid"
    }

    fn explain(&self) -> &'static str {
        "Share of the weights set for a uid (trust) and by a uid (validator trust) that was within consensus in the \
         chain's last epoch. The rest was clipped and earned nothing."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let epochs = &data.epochs;
        if epochs.uids.is_empty() {
            return Err(NothingToDraw(NO_EPOCH));
        }
        let layout = Layout::new()
            .bar_mode(BarMode::Group)
            .x_axis(uid_axis())
            .y_axis(axis("share of weights").tick_format(".0%"));
        let mut chart = chart(layout);
        let shares = |of: fn(&Earned) -> f64| -> Vec<f64> {
            epochs.uids.values().map(|earned| rounded(of(earned))).collect()
        };
        let trust = shares(|earned| earned.trust);
        let validator_trust = shares(|earned| earned.validator_trust);
        for (name, color, shares) in [
            ("trust", MAIN, trust),
            ("validator trust", BEHIND, validator_trust),
        ] {
            let trace = Bar::new(uid_labels(epochs.uids.keys()), shares)
                .name(name)
                .marker(Marker::new().color(color))
                .hover_template("uid %{x}<br>%{y:.2%}");
            chart.add_trace(trace);
        }
        Ok(Figure {
            chart,
            height: BARS_HEIGHT,
            alternative: format!(
                "Bars of the trust and the validator trust of {} at epoch {}.",
                counted(epochs.uids.len() as u64, "uid", "uids"),
                count(epochs.last)
            ),
            note: String::new(),
        })
    }
}
