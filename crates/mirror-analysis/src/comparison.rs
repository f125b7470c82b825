//! Compares the pay of each labelled group with that of its control, over the random seeds of one or several runs.

use std::collections::{BTreeMap, BTreeSet};

use mirror_runs::NeuronKind;
use serde::Serialize;

use crate::inference::{effect_size, half_width};
use crate::moments::Moments;
use crate::run_data::RunData;
use crate::summary::{Pay, Summary, UidRow};

/// The quantity by which a group is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Miners: TAO per epoch and uid for incentive.
    Emission,
    /// Miners without an epoch of the chain: the last weights.
    Weight,
    /// Miners without weights: the mean reward.
    Reward,
    /// Validators: dividends per epoch relative to the stake.
    Yield,
}

impl Measure {
    /// Returns the name as in a table heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emission => "TAO per epoch and uid",
            Self::Weight => "weight",
            Self::Reward => "mean reward",
            Self::Yield => "dividends per stake and epoch",
        }
    }

    fn of(kind: NeuronKind, pay: Pay) -> Self {
        match (kind, pay) {
            (NeuronKind::Validator, _) => Self::Yield,
            (NeuronKind::Miner, Pay::Emission) => Self::Emission,
            (NeuronKind::Miner, Pay::Weight) => Self::Weight,
            (NeuronKind::Miner, Pay::Reward) => Self::Reward,
        }
    }

    /// Returns the value of a uid. `None` if it has none.
    fn value(self, data: &RunData, row: &UidRow) -> Option<f64> {
        let earned = || data.epochs.uids.get(&row.uid);
        match self {
            Self::Emission => Some(
                earned()
                    .and_then(super::collect::epochs::Earned::incentive_per_epoch)
                    .unwrap_or(0.0),
            ),
            Self::Weight => Some(row.weight.unwrap_or(0.0)),
            Self::Reward => row.mean_reward,
            Self::Yield => earned().and_then(super::collect::epochs::Earned::yield_per_epoch),
        }
    }
}

/// A mean over random seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of its 95% confidence interval. `None` for one run.
    pub half_width: Option<f64>,
}

impl Estimate {
    fn of(values: &Moments) -> Option<Self> {
        Some(Self {
            mean: values.mean()?,
            half_width: half_width(values),
        })
    }

    /// Returns the bounds of the 95% confidence interval. `None` for one run.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        let half = self.half_width?;
        Some((self.mean - half, self.mean + half))
    }
}

/// Whether a difference was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval of the difference is above zero.
    More,
    /// The interval of the difference is below zero.
    Less,
    /// The interval of the difference contains zero.
    NoDifferenceFound,
    /// There is no interval, because there is only one run.
    OneRun,
}

impl Verdict {
    /// Returns the verdict in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
            Self::NoDifferenceFound => "no difference found",
            Self::OneRun => "one run: no interval",
        }
    }
}

/// The difference between a group and its control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Label of the control.
    pub control: String,
    /// Number of uids of the control.
    pub control_uids: usize,
    /// Value of the control.
    pub control_value: Estimate,
    /// Difference between the group and the control, paired by random seed.
    pub difference: Estimate,
    /// Difference in standard deviations over the random seeds (Hedges' g). `None` for fewer than two runs, and without
    /// any deviation.
    pub effect: Option<f64>,
    /// Whether a difference was found.
    pub verdict: Verdict,
}

impl Difference {
    /// Returns the difference relative to the control, with its 95% confidence interval. `None` if the control has
    /// nothing.
    pub fn relative(&self) -> Option<(f64, Option<(f64, f64)>)> {
        let control = self.control_value.mean;
        if control <= 0.0 {
            return None;
        }
        let bounds = self.difference.bounds();
        Some((
            self.difference.mean / control,
            bounds.map(|(least, greatest)| (least / control, greatest / control)),
        ))
    }
}

/// A labelled group, over the runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupPay {
    /// Whether the group consists of miners or validators.
    pub kind: NeuronKind,
    /// Its label.
    pub label: String,
    /// Number of its uids, the largest over the runs.
    pub uids: usize,
    /// Number of runs in which it has a value.
    pub runs: u64,
    /// The quantity by which it is judged.
    pub measure: Measure,
    /// Its value: the mean over its uids, then over the runs. `None` if no run has one.
    pub value: Option<Estimate>,
    /// Validators: the mean share of their weights that was within consensus.
    pub trust: Option<Estimate>,
    /// The difference from its control. `None` for a control group.
    pub difference: Option<Difference>,
}

impl GroupPay {
    /// Returns whether another group of the kind among `all` is compared with this one.
    pub fn is_control(&self, all: &[Self]) -> bool {
        let others = all.iter().filter(|other| other.kind == self.kind);
        let mut controls = others.filter_map(|other| other.difference.as_ref());
        controls.any(|difference| difference.control == self.label)
    }
}

/// Values of one group by run. A run without the group, or in which it has no value, is left out.
#[derive(Default)]
struct Values {
    uids: usize,
    control: Option<String>,
    by_run: BTreeMap<usize, f64>,
    trust: Moments,
}

/// Returns all labelled groups: the miners first, each kind in the order of labels. The list is empty if the runs do
/// not all measure pay in the same way.
pub fn compare(runs: &[(&RunData, &Summary)]) -> Vec<GroupPay> {
    let Some((_, first)) = runs.first() else {
        return Vec::new();
    };
    if runs.iter().any(|(_, summary)| summary.pay != first.pay) {
        return Vec::new();
    }
    let mut groups: BTreeMap<(NeuronKind, &str), Values> = BTreeMap::new();
    for (run, (data, summary)) in runs.iter().enumerate() {
        let mut of_run: BTreeMap<(NeuronKind, &str), (Moments, Moments, usize)> = BTreeMap::new();
        for row in &summary.uids {
            let (kind, label) = data.label(row.uid);
            let (values, trust, uids) = of_run.entry((kind, label)).or_default();
            *uids += 1;
            if let Some(value) = Measure::of(kind, summary.pay).value(data, row) {
                values.push(value);
            }
            let within = data.epochs.uids.get(&row.uid);
            if let Some(within) = within.and_then(super::collect::epochs::Earned::mean_validator_trust) {
                trust.push(within);
            }
            let control = data
                .neurons
                .get(&row.uid)
                .and_then(|neuron| neuron.control.clone());
            let group = groups.entry((kind, label)).or_default();
            group.control = group.control.take().or(control);
        }
        for (key, (values, trust, uids)) in of_run {
            let group = groups.entry(key).or_default();
            group.uids = group.uids.max(uids);
            if let Some(mean) = values.mean() {
                group.by_run.insert(run, mean);
            }
            if let Some(mean) = trust.mean() {
                group.trust.push(mean);
            }
        }
    }
    let compared = groups.iter().map(|(&(kind, label), values)| {
        let control = values.control.as_deref();
        let control = control.and_then(|control| Some((control, groups.get(&(kind, control))?)));
        GroupPay {
            kind,
            label: label.to_owned(),
            uids: values.uids,
            runs: values.by_run.len() as u64,
            measure: Measure::of(kind, first.pay),
            value: Estimate::of(&moments(values.by_run.values())),
            trust: (kind == NeuronKind::Validator)
                .then(|| Estimate::of(&values.trust))
                .flatten(),
            difference: control.and_then(|(name, control)| difference(values, name, control)),
        }
    });
    compared.collect()
}

/// Returns the labels of a kind, in the order in which plots and tables show them.
pub(crate) fn labels<'a>(runs: &[&'a RunData], kind: NeuronKind) -> BTreeSet<&'a str> {
    let described = runs.iter().flat_map(|data| data.neurons.values());
    let described = described.filter(|neuron| neuron.kind == kind);
    let described = described.map(|neuron| neuron.label.as_str());
    let others = runs.iter().flat_map(|data| {
        data.uids
            .keys()
            .chain(data.epochs.uids.keys())
            .map(|uid| data.label(*uid))
    });
    let others = others.filter(|(other, _)| *other == kind).map(|(_, label)| label);
    described.chain(others).collect()
}

fn moments<'a>(values: impl Iterator<Item = &'a f64>) -> Moments {
    let mut moments = Moments::default();
    for value in values {
        moments.push(*value);
    }
    moments
}

fn difference(group: &Values, name: &str, control: &Values) -> Option<Difference> {
    let pairs = group.by_run.iter();
    let pairs: Vec<(f64, f64)> = pairs
        .filter_map(|(run, value)| Some((*value, *control.by_run.get(run)?)))
        .collect();
    let differences: Vec<f64> = pairs.iter().map(|(value, control)| value - control).collect();
    let difference = Estimate::of(&moments(differences.iter()))?;
    let verdict = match difference.bounds() {
        None => Verdict::OneRun,
        Some((least, _)) if least > 0.0 => Verdict::More,
        Some((_, greatest)) if greatest < 0.0 => Verdict::Less,
        Some(_) => Verdict::NoDifferenceFound,
    };
    let of_group: Vec<f64> = pairs.iter().map(|(value, _)| *value).collect();
    let of_control: Vec<f64> = pairs.iter().map(|(_, control)| *control).collect();
    Some(Difference {
        control: name.to_owned(),
        control_uids: control.uids,
        control_value: Estimate::of(&moments(of_control.iter()))?,
        difference,
        effect: effect_size(&moments(of_group.iter()), &moments(of_control.iter())),
        verdict,
    })
}
