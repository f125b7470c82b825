//! Plot of the pay of miners over time by label, over one run or over the random seeds of a group.

use std::collections::BTreeMap;

use mirror_runs::NeuronKind;

use super::{NO_EPOCH, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::collect::epochs::Earned;
use crate::comparison::labels;
use crate::inference::half_width;
use crate::moments::{Mean, Moments};
use crate::numbers::counted;
use crate::run_data::RunData;
use crate::series::Series;

pub(super) struct PayByLabel;

impl Plot for PayByLabel {
    fn name(&self) -> &'static str {
        "pay_by_label"
    }

    fn title(&self) -> &'static str {
        "Pay of miners over time by label"
    }

    fn explain(&self) -> &'static str {
        "Mean amount that a miner with the label was paid in an epoch of the chain."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        over_runs(&[data], &PAY)
    }
}

/// A quantity of the chain's epochs by label and epoch.
pub(crate) struct ByEpoch {
    /// Title of the vertical axis.
    pub(crate) title: &'static str,
    pub(crate) kind: NeuronKind,
    pub(crate) of: fn(&Earned) -> &Series<Mean>,
}

/// The pay of miners.
pub(crate) const PAY: ByEpoch = ByEpoch {
    title: "TAO per epoch and miner",
    kind: NeuronKind::Miner,
    of: |earned| &earned.emission_over_time,
};

/// Returns the mean of the quantity over the uids of each label, by the middle of a bin of epochs.
fn by_label<'a>(data: &'a RunData, quantity: &ByEpoch) -> BTreeMap<&'a str, BTreeMap<u64, Mean>> {
    let mut labels: BTreeMap<&str, BTreeMap<u64, Mean>> = BTreeMap::new();
    for (uid, earned) in &data.epochs.uids {
        let (kind, label) = data.label(*uid);
        if kind != quantity.kind {
            continue;
        }
        let of_label = labels.entry(label).or_default();
        for (epoch, bin) in (quantity.of)(earned).bins() {
            if let Some(mean) = bin.mean() {
                of_label.entry(epoch as u64).or_default().push(mean);
            }
        }
    }
    labels
}

/// Draws the quantity over one run, or over the runs of a group with the 95% confidence interval over the random seeds.
pub(crate) fn over_runs(runs: &[&RunData], quantity: &ByEpoch) -> Result<Figure, NothingToDraw> {
    let by_run: Vec<_> = runs.iter().map(|data| by_label(data, quantity)).collect();
    if by_run.iter().all(BTreeMap::is_empty) {
        return Err(NO_EPOCH.into());
    }
    let labels = labels(runs, quantity.kind);
    let mut traces = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        let mut epochs: BTreeMap<u64, Moments> = BTreeMap::new();
        for means in by_run.iter().filter_map(|labels| labels.get(label)) {
            for (epoch, mean) in means {
                if let Some(mean) = mean.mean() {
                    epochs.entry(*epoch).or_default().push(mean);
                }
            }
        }
        let color = Color::Series(number);
        if runs.len() > 1 {
            let bounds = epochs.iter().filter_map(|(epoch, moments)| {
                let (mean, half) = (moments.mean()?, half_width(moments).unwrap_or(0.0));
                Some((*epoch as f64, (mean - half, mean + half)))
            });
            traces.push(Trace::band(*label, color, bounds));
        }
        let means = epochs
            .iter()
            .filter_map(|(epoch, moments)| Some((*epoch as f64, moments.mean()?)));
        traces.push(Trace::line(*label, color, means));
    }
    let seeds = match runs.len() {
        1 => String::new(),
        runs => format!(
            "The line is the mean over {}, the band its 95% confidence interval.",
            counted(runs as u64, "seed", "seeds")
        ),
    };
    Ok(Figure {
        x: Axis::new("epoch", Scale::Epoch),
        y: Axis::linear(quantity.title),
        traces,
        alternative: format!(
            "Lines of {} for {}: {}.",
            quantity.title,
            counted(labels.len() as u64, "label", "labels"),
            labels.into_iter().collect::<Vec<_>>().join(", ")
        ),
        note: seeds,
        ..Figure::default()
    })
}
