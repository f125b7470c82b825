//! The plots of a group of runs, over their random seeds.

use std::collections::BTreeMap;

use mirror_runs::NeuronKind;

use super::super::Plots;
use crate::chart::{Axis, Color, Data, Figure, Scale, Trace, Values};
use crate::comparison::labels;
use crate::inference::{gini, half_width, nakamoto};
use crate::moments::Moments;
use crate::numbers::{counted, quantity};
use crate::plots::NothingToDraw;
use crate::plots::by_label::over_runs;
use crate::plots::dividends_by_label::DIVIDENDS;
use crate::plots::incentive_by_label::INCENTIVE;
use crate::plots::pay_by_label::PAY;
use crate::plots::validator_trust_by_label::VALIDATOR_TRUST;
use crate::run_data::RunData;
use crate::summary::Summary;

/// Draws all plots of a group.
pub(super) fn draw(runs: &[(&RunData, &Summary)]) -> Plots {
    let data: Vec<&RunData> = runs.iter().map(|(data, _)| *data).collect();
    let mut plots = Plots::default();
    for quantity in [PAY, INCENTIVE, DIVIDENDS, VALIDATOR_TRUST] {
        let built = over_runs(&data, &quantity);
        plots.push(quantity.name, quantity.title, quantity.explain, built);
    }
    plots.push(
        "average_reward_by_label",
        "Mean reward by label",
        "Mean reward of a miner with the label: the mean over the miners, then over the runs, with its 95% confidence \
         interval over the random seeds.",
        average_reward(&data),
    );
    plots.push(
        "gini_by_run",
        "Concentration of the pay of miners by run",
        "Gini coefficient of the pay of miners in each run: 0 if all were paid equally, near 1 if one miner received \
         everything.",
        by_run(runs, "Gini coefficient", gini),
    );
    plots.push(
        "nakamoto_by_run",
        "Miners with more than half of the pay by run",
        "Nakamoto coefficient of each run: the smallest number of miners that together received more than half.",
        by_run(runs, "Nakamoto coefficient", |paid| nakamoto(paid).map(|few| few as f64)),
    );
    plots
}

/// Draws a coefficient of the pay of miners as a bar for each run, by random seed.
fn by_run(
    runs: &[(&RunData, &Summary)],
    coefficient: &str,
    of: fn(&[f64]) -> Option<f64>,
) -> Result<Figure, NothingToDraw> {
    let known = runs
        .iter()
        .filter_map(|(data, summary)| Some((data.manifest.seed.to_string(), of(&summary.shares())?)));
    let (seeds, values): (Vec<String>, Vec<f64>) = known.unzip();
    if values.is_empty() {
        return Err("no run has pay: no validator set weights".into());
    }
    if values.len() < 2 {
        return Err("only one run has pay".into());
    }
    let shown: Vec<String> = values.iter().map(|value| quantity(*value)).collect();
    let bars = values.into_iter().map(Some).collect();
    Ok(Figure {
        x: Axis::new("random seed", Scale::Words),
        y: Axis::linear(coefficient),
        traces: vec![Trace::bars(coefficient, Color::Main, Values::Words(seeds), bars)],
        alternative: format!("Bars of the {coefficient} by run: {}.", shown.join(", ")),
        ..Figure::default()
    })
}

/// Draws the mean reward of the miners of each label as a bar with its interval over the runs.
fn average_reward(runs: &[&RunData]) -> Result<Figure, NothingToDraw> {
    let mut over_runs: BTreeMap<&str, Moments> = BTreeMap::new();
    for data in runs {
        let mut of_run: BTreeMap<&str, Moments> = BTreeMap::new();
        for (uid, tally) in &data.uids {
            let (kind, label) = data.label(*uid);
            if let Some(reward) = tally.rewards.mean()
                && kind == NeuronKind::Miner
            {
                of_run.entry(label).or_default().push(reward);
            }
        }
        for (label, rewards) in of_run {
            if let Some(mean) = rewards.mean() {
                over_runs.entry(label).or_default().push(mean);
            }
        }
    }
    let labels = labels(runs, NeuronKind::Miner);
    let known: Vec<(&str, Moments, f64)> = labels
        .into_iter()
        .filter_map(|label| over_runs.get(label).map(|moments| (label, moments)))
        .filter_map(|(label, moments)| Some((label, *moments, moments.mean()?)))
        .collect();
    if known.is_empty() {
        return Err("no call received a reward".into());
    }
    let bars = Data::Bars {
        x: Values::Words(known.iter().map(|(label, ..)| (*label).to_owned()).collect()),
        y: known.iter().map(|(.., mean)| Some(*mean)).collect(),
        half_widths: known.iter().map(|(_, moments, _)| half_width(moments)).collect(),
        text: Vec::new(),
    };
    let shown: Vec<String> = known
        .iter()
        .map(|(label, _, mean)| format!("{label} {}", quantity(*mean)))
        .collect();
    Ok(Figure {
        x: Axis::new("label", Scale::Words),
        y: Axis::linear("mean reward"),
        traces: vec![Trace::new("mean reward", Color::Main, bars)],
        alternative: format!(
            "Bars of the mean reward of {}: {}.",
            counted(known.len() as u64, "label", "labels"),
            shown.join(", ")
        ),
        ..Figure::default()
    })
}
