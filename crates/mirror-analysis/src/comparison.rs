//! Compares the pay of each labelled group with that of its control, over the random seeds of one or several runs.

use std::collections::{BTreeMap, BTreeSet};

use mirror_runs::{NeuronKind, State};
use serde::Serialize;

use crate::collect::epochs::Earned;
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
    /// Number of random seeds with which both groups have a value. Everything below is over these seeds.
    pub seeds: u64,
    /// Value of the group.
    pub own_value: Estimate,
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
    /// Returns the difference in units of the control's mean, with its 95% confidence interval in the same units.
    /// `None` if the control's mean is not above zero.
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
    /// Number of random seeds with which it has a value.
    pub seeds: u64,
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

/// Values of one group by random seed. Runs with the same seed are not independent, so their mean counts once.
#[derive(Default)]
struct Values {
    uids: usize,
    control: Option<String>,
    by_seed: BTreeMap<u64, Moments>,
    trust: BTreeMap<u64, Moments>,
}

impl Values {
    /// Returns the mean with each seed.
    fn means(by_seed: &BTreeMap<u64, Moments>) -> impl Iterator<Item = (u64, f64)> {
        let means = by_seed.iter();
        means.filter_map(|(seed, values)| Some((*seed, values.mean()?)))
    }
}

/// The labelled groups of one or several runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The groups: the miners first, each kind in the order of labels.
    pub groups: Vec<GroupPay>,
    /// Number of runs that are left out because their pay is measured in another way, for example because they ended
    /// before the chain's first epoch.
    pub left_out: usize,
    /// Number of runs of a group that are left out because they did not complete.
    pub incomplete: usize,
}

/// Compares the labelled groups. Pay is measured by emission if any run has one, otherwise by weights if any run has
/// some, otherwise by rewards.
///
/// Of several runs, only those that completed are compared: an interrupted run has had less time to learn and to pay.
pub fn compare(all: &[(&RunData, &Summary)]) -> Comparison {
    let is_compared = |(data, _): &&(&RunData, &Summary)| all.len() == 1 || data.state == State::Done;
    let runs: Vec<(&RunData, &Summary)> = all.iter().filter(is_compared).copied().collect();
    let has = |pay: &Pay| runs.iter().any(|(_, summary)| summary.pay == *pay);
    let Some(pay) = [Pay::Emission, Pay::Weight, Pay::Reward].into_iter().find(has) else {
        return Comparison::default();
    };
    let of_pay: Vec<_> = runs.iter().filter(|(_, summary)| summary.pay == pay).collect();
    let mut groups: BTreeMap<(NeuronKind, &str), Values> = BTreeMap::new();
    for (data, summary) in &of_pay {
        let mut of_run: BTreeMap<(NeuronKind, &str), (Moments, Moments, usize)> = BTreeMap::new();
        for row in &summary.uids {
            let (kind, label) = data.label(row.uid);
            let (values, trust, uids) = of_run.entry((kind, label)).or_default();
            *uids += 1;
            if let Some(value) = Measure::of(kind, pay).value(data, row) {
                values.push(value);
            }
            let within = data.epochs.uids.get(&row.uid);
            if let Some(within) = within.and_then(Earned::mean_validator_trust) {
                trust.push(within);
            }
            let control = data.neurons.get(&row.uid);
            let control = control.and_then(|neuron| neuron.control.clone());
            let group = groups.entry((kind, label)).or_default();
            group.control = group.control.take().or(control);
        }
        let seed = data.manifest.seed;
        for (key, (values, trust, uids)) in of_run {
            let group = groups.entry(key).or_default();
            group.uids = group.uids.max(uids);
            if let Some(mean) = values.mean() {
                group.by_seed.entry(seed).or_default().push(mean);
            }
            if let Some(mean) = trust.mean() {
                group.trust.entry(seed).or_default().push(mean);
            }
        }
    }
    let compared = groups.iter().map(|(&(kind, label), values)| {
        let control = values.control.as_deref();
        let control = control.and_then(|control| Some((control, groups.get(&(kind, control))?)));
        let means: Vec<f64> = Values::means(&values.by_seed).map(|(_, mean)| mean).collect();
        let trust: Vec<f64> = Values::means(&values.trust).map(|(_, mean)| mean).collect();
        GroupPay {
            kind,
            label: label.to_owned(),
            uids: values.uids,
            seeds: means.len() as u64,
            measure: Measure::of(kind, pay),
            value: Estimate::of(&moments(&means)),
            trust: (kind == NeuronKind::Validator)
                .then(|| Estimate::of(&moments(&trust)))
                .flatten(),
            difference: control.and_then(|(name, control)| difference(values, name, control)),
        }
    });
    Comparison {
        groups: compared.collect(),
        left_out: runs.len() - of_pay.len(),
        incomplete: all.len() - runs.len(),
    }
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

fn moments(values: &[f64]) -> Moments {
    let mut moments = Moments::default();
    for value in values {
        moments.push(*value);
    }
    moments
}

/// Compares a group with its control over the random seeds with which both have a value. `None` if there is none.
fn difference(group: &Values, name: &str, control: &Values) -> Option<Difference> {
    let of_control: BTreeMap<u64, f64> = Values::means(&control.by_seed).collect();
    let pairs = Values::means(&group.by_seed).filter_map(|(seed, own)| Some((own, *of_control.get(&seed)?)));
    let (own, control_values): (Vec<f64>, Vec<f64>) = pairs.unzip();
    let differences = own.iter().zip(&control_values);
    let differences: Vec<f64> = differences.map(|(own, control)| own - control).collect();
    let (own, control_values) = (moments(&own), moments(&control_values));
    let difference = Estimate::of(&moments(&differences))?;
    let verdict = match difference.bounds() {
        None => Verdict::OneRun,
        Some((least, _)) if least > 0.0 => Verdict::More,
        Some((_, greatest)) if greatest < 0.0 => Verdict::Less,
        Some(_) => Verdict::NoDifferenceFound,
    };
    Some(Difference {
        control: name.to_owned(),
        control_uids: control.uids,
        seeds: differences.len() as u64,
        own_value: Estimate::of(&own)?,
        control_value: Estimate::of(&control_values)?,
        difference,
        effect: effect_size(&own, &control_values),
        verdict,
    })
}
