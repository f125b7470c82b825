//! Plots of a quantity of the chain's epochs over time by label, over one run or over the random seeds of a group.

use std::collections::BTreeMap;

use mirror_runs::NeuronKind;

use super::{NO_EPOCH, NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Color, Figure, Scale, Trace};
use crate::collect::epochs::Earned;
use crate::comparison::labels;
use crate::inference::half_width;
use crate::moments::{Mean, Moments};
use crate::numbers::counted;
use crate::run_data::RunData;
use crate::series::{Series, middle};

/// A quantity of the chain's epochs by label and epoch.
pub(crate) struct ByLabel {
    /// Name of the plot.
    pub(crate) name: &'static str,
    /// Heading of the plot.
    pub(crate) title: &'static str,
    /// Explanation of the plot.
    pub(crate) explain: &'static str,
    /// Title of the vertical axis.
    pub(crate) axis: &'static str,
    /// Scale of the vertical axis.
    pub(crate) scale: Scale,
    pub(crate) kind: NeuronKind,
    pub(crate) of: fn(&Earned) -> &Series<Mean>,
    /// Reason why the quantity is not drawn if it is always 1. `None` if it is drawn even then.
    pub(crate) always_one: Option<&'static str>,
}

impl Plot for ByLabel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn explain(&self) -> &'static str {
        self.explain
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        over_runs(&[data], self)
    }
}

/// Returns the mean of the quantity over the uids of each label, by the number of a bin of `width` epochs.
fn by_label<'a>(data: &'a RunData, quantity: &ByLabel, width: u64) -> BTreeMap<&'a str, BTreeMap<u64, Mean>> {
    let mut labels: BTreeMap<&str, BTreeMap<u64, Mean>> = BTreeMap::new();
    for (uid, earned) in &data.epochs.uids {
        let (kind, label) = data.label(*uid);
        if kind != quantity.kind {
            continue;
        }
        let of_label = labels.entry(label).or_default();
        for (bin, epochs) in (0..).zip((quantity.of)(earned).widened(width)) {
            if let Some(mean) = epochs.mean() {
                of_label.entry(bin).or_default().push(mean);
            }
        }
    }
    labels
}

/// Draws the quantity over one run, or over the runs of a group with the 95% confidence interval over the random seeds.
pub(crate) fn over_runs(runs: &[&RunData], quantity: &ByLabel) -> Result<Figure, NothingToDraw> {
    let earned = runs.iter().flat_map(|data| data.epochs.uids.values());
    let Some(width) = earned.map(|earned| (quantity.of)(earned).width()).max() else {
        return Err(NO_EPOCH.into());
    };
    let by_run: Vec<_> = runs.iter().map(|data| by_label(data, quantity, width)).collect();
    let mut means = by_run
        .iter()
        .flat_map(BTreeMap::values)
        .flat_map(BTreeMap::values);
    if means.all(|mean| mean.mean().is_none()) {
        return Err(match quantity.kind {
            NeuronKind::Miner => "no miner was in an epoch of the chain".into(),
            NeuronKind::Validator => "no validator was in an epoch of the chain".into(),
        });
    }
    let mut means = by_run
        .iter()
        .flat_map(BTreeMap::values)
        .flat_map(BTreeMap::values);
    if let Some(why) = quantity.always_one
        && means.all(|mean| mean.mean() == Some(1.0))
    {
        return Err(why.into());
    }
    let labels = labels(runs, quantity.kind);
    if let (Some(label), 1) = (labels.first(), labels.len()) {
        let kind = quantity.kind.name();
        return Err(NothingToDraw(format!("all {kind}s have the label `{label}`")));
    }
    let mut traces = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        let mut bins: BTreeMap<u64, Moments> = BTreeMap::new();
        for means in by_run.iter().filter_map(|labels| labels.get(label)) {
            for (bin, mean) in means {
                if let Some(mean) = mean.mean() {
                    bins.entry(*bin).or_default().push(mean);
                }
            }
        }
        if bins.is_empty() {
            continue;
        }
        let color = Color::Series(number);
        if runs.len() > 1 {
            let bounds = bins.iter().filter_map(|(bin, moments)| {
                let (mean, half) = (moments.mean()?, half_width(moments)?);
                Some((middle(*bin, width), (mean - half, mean + half)))
            });
            traces.push(Trace::band(*label, color, bounds));
        }
        let means = bins
            .iter()
            .filter_map(|(bin, moments)| Some((middle(*bin, width), moments.mean()?)));
        traces.push(Trace::line(*label, color, means));
    }
    let merged = merged_note(width, "epoch");
    let note = match runs.len() {
        1 => merged,
        runs => format!(
            "The line is the mean over {}, the band its 95% confidence interval. {merged}",
            counted(runs as u64, "seed", "seeds")
        ),
    };
    Ok(Figure {
        x: Axis::new("epoch", Scale::Epoch),
        y: Axis::new(quantity.axis, quantity.scale),
        traces,
        alternative: format!(
            "Lines of {} for {}: {}.",
            quantity.axis,
            counted(labels.len() as u64, "label", "labels"),
            labels.into_iter().collect::<Vec<_>>().join(", ")
        ),
        note: note.trim_end().to_owned(),
        ..Figure::default()
    })
}
