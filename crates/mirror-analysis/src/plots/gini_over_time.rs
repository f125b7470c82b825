//! Plot of the concentration of the pay of miners over epochs.

use std::collections::BTreeMap;

use mirror_runs::NeuronKind;

use super::{NO_EPOCH, NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::inference::gini;
use crate::numbers::value;
use crate::run_data::RunData;
use crate::series::{Series, middle};

pub(super) struct GiniOverTime;

impl Plot for GiniOverTime {
    fn name(&self) -> &'static str {
        "gini_over_time"
    }

    fn title(&self) -> &'static str {
        "Concentration of the pay of miners over epochs"
    }

    fn explain(&self) -> &'static str {
        "Gini coefficient of the amounts paid to miners for incentive in an epoch of the chain: 0 if all were \
         paid equally, near 1 if one miner received everything."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let earned = || {
            let uids = data.epochs.uids.iter();
            let miners = uids.filter(|(uid, _)| data.label(**uid).0 == NeuronKind::Miner);
            miners.map(|(_, earned)| &earned.emission_over_time)
        };
        let Some(width) = earned().map(Series::width).max() else {
            return Err(NO_EPOCH.into());
        };
        let mut paid: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for series in earned() {
            for (bin, epochs) in (0..).zip(series.widened(width)) {
                if let Some(mean) = epochs.mean() {
                    paid.entry(bin).or_default().push(mean);
                }
            }
        }
        let coefficients: Vec<(f64, f64)> = paid
            .iter()
            .filter(|(_, paid)| paid.len() > 1)
            .filter_map(|(bin, paid)| Some((middle(*bin, width), gini(paid)?)))
            .collect();
        let Some((_, last)) = coefficients.last().copied() else {
            return Err("in no epoch were several miners in the subnet and one of them paid".into());
        };
        Ok(Figure {
            x: Axis::new("epoch", Scale::Epoch),
            y: Axis::linear("Gini coefficient"),
            traces: vec![Trace::line(
                "Gini coefficient",
                Color::Main,
                coefficients.into_iter(),
            )],
            alternative: format!(
                "Line of the Gini coefficient of the pay of miners over epochs; the last is {}.",
                value(last)
            ),
            note: merged_note(width, "epoch"),
            ..Figure::default()
        })
    }
}
