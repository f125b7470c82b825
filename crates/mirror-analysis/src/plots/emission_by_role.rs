//! Plot of the pay over time by behaviour of miners, over one run or over the random seeds of a group.

use std::collections::{BTreeMap, BTreeSet};

use plotly::Scatter;
use plotly::common::{Fill, Line, Mode};
use plotly::layout::Layout;

use super::incentive_by_uid::NO_EPOCH;
use super::{BARS_HEIGHT, Figure, NothingToDraw, Plot, SERIES, axis, chart};
use crate::inference::half_width;
use crate::moments::{Mean, Moments};
use crate::numbers::{counted, rounded};
use crate::run_data::{RunData, VALIDATOR};

/// Role of miners whose behaviour is unknown.
const UNKNOWN_ROLE: &str = "miners";

pub(super) struct EmissionByRole;

impl Plot for EmissionByRole {
    fn name(&self) -> &'static str {
        "emission_by_role"
    }

    fn title(&self) -> &'static str {
        "Pay over time by behaviour of miners"
    }

    fn explain(&self) -> &'static str {
        "Mean pay per epoch of the miners of each behaviour. For several runs, the line is the mean over the random \
         seeds and the band is its 95% confidence interval."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        over_runs(&[data])
    }
}

/// Returns the mean pay in TAO of the uids of each role, by the middle of a bin of epochs.
fn paid_by_role(data: &RunData) -> BTreeMap<&str, BTreeMap<u64, Mean>> {
    let mut roles: BTreeMap<&str, BTreeMap<u64, Mean>> = BTreeMap::new();
    for (uid, earned) in &data.epochs.uids {
        let role = data.roles.get(uid).map_or(UNKNOWN_ROLE, String::as_str);
        if role == VALIDATOR {
            continue;
        }
        let paid = roles.entry(role).or_default();
        for (epoch, bin) in earned.emission_over_time.bins() {
            if let Some(mean) = bin.mean() {
                paid.entry(epoch as u64).or_default().push(mean);
            }
        }
    }
    roles
}

/// Draws the plot over one run, or over the runs of a group.
pub(crate) fn over_runs(runs: &[&RunData]) -> Result<Figure, NothingToDraw> {
    let paid: Vec<_> = runs.iter().map(|data| paid_by_role(data)).collect();
    let roles: BTreeSet<&str> = paid.iter().flat_map(|roles| roles.keys().copied()).collect();
    if roles.is_empty() {
        return Err(NothingToDraw(NO_EPOCH));
    }
    let layout = Layout::new()
        .x_axis(axis("epoch").zero_line(false))
        .y_axis(axis("TAO per miner and epoch"));
    let mut chart = chart(layout);
    for (role, color) in roles.iter().zip(SERIES.iter().cycle()) {
        let mut epochs: BTreeMap<u64, Moments> = BTreeMap::new();
        for means in paid.iter().filter_map(|roles| roles.get(role)) {
            for (epoch, mean) in means {
                if let Some(mean) = mean.mean() {
                    epochs.entry(*epoch).or_default().push(mean);
                }
            }
        }
        let x: Vec<u64> = epochs.keys().copied().collect();
        let mean = |moments: &Moments| moments.mean().unwrap_or(0.0);
        if runs.len() > 1 {
            let bound = |sign: f64| -> Vec<f64> {
                let bound = |moments| mean(moments) + sign * half_width(moments).unwrap_or(0.0);
                epochs.values().map(|moments| rounded(bound(moments))).collect()
            };
            let edge = |y| {
                Scatter::new(x.clone(), y)
                    .mode(Mode::Lines)
                    .line(Line::new().color(*color).width(0.0))
                    .show_legend(false)
                    .hover_template("<extra></extra>")
            };
            chart.add_trace(edge(bound(-1.0)));
            chart.add_trace(
                edge(bound(1.0))
                    .fill(Fill::ToNextY)
                    .fill_color(format!("{color}33")),
            );
        }
        let line = Scatter::new(
            x.clone(),
            epochs.values().map(|moments| rounded(mean(moments))).collect(),
        )
        .name(role)
        .mode(if x.len() == 1 { Mode::Markers } else { Mode::Lines })
        .line(Line::new().color(*color).width(2.0))
        .hover_template(format!("{role}<br>epoch %{{x}}<br>%{{y:.4g}} TAO<extra></extra>"));
        chart.add_trace(line);
    }
    Ok(Figure {
        chart,
        height: BARS_HEIGHT,
        alternative: format!(
            "Lines of the pay by epoch for {}: {}.",
            counted(roles.len() as u64, "behaviour", "behaviours"),
            roles.into_iter().collect::<Vec<_>>().join(", ")
        ),
        note: String::new(),
    })
}
