//! The table of uids and the totals of a run.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::collect::calls::UidTally;
use mirror_runs::NeuronKind;

use crate::collect::epochs::RAO_PER_TAO;
use crate::collect::outcome::OutcomeCounts;
use crate::moments::Moments;
use crate::numbers::{count, counted};
use crate::run_data::RunData;

/// Summary of a run: a table and totals.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// One row per uid, best paid first.
    pub uids: Vec<UidRow>,
    /// Kind of pay by which the rows are ordered.
    pub pay: Pay,
    /// Totals of the whole run.
    pub totals: Totals,
}

/// Results of one uid.
#[derive(Clone, Debug, PartialEq)]
pub struct UidRow {
    /// The uid.
    pub uid: u32,
    /// Whether it is a miner or a validator.
    pub kind: NeuronKind,
    /// Label of its group.
    pub label: String,
    /// Its behaviour, if it is known.
    pub role: Option<String>,
    /// Outcomes of its calls.
    pub outcomes: OutcomeCounts,
    /// Mean reward of its successful calls. `None` if no call received a reward.
    pub mean_reward: Option<f64>,
    /// Standard deviation of its rewards. `None` for fewer than two rewards.
    pub reward_deviation: Option<f64>,
    /// Mean over the validators of the last weight that the chain accepted from each. `None` if it accepted none.
    pub weight: Option<f64>,
    /// Incentive in the chain's last epoch. `None` without an epoch, and for a uid that earned only dividends.
    pub incentive: Option<f64>,
    /// Dividends in the chain's last epoch. `None` if they were 0.
    pub dividends: Option<f64>,
    /// Amount that the chain's epochs paid the uid, in TAO. `None` without an epoch.
    pub emission: Option<f64>,
    /// Mean duration of a call in seconds, including failed calls. `None` if the uid was never called.
    pub mean_call_time: Option<f64>,
}

impl UidRow {
    /// Returns the number of all calls to the uid.
    pub fn calls(&self) -> u64 {
        self.outcomes.calls()
    }

    /// Returns the number of successful calls.
    pub fn successes(&self) -> u64 {
        self.outcomes.successes()
    }

    /// Returns the share of successful calls, from 0 to 1. `None` if the uid was never called.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.successes(), self.calls())
    }
}

/// The measure of pay in a run: the first of these that any uid has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pay {
    /// The amount that the chain's epochs paid.
    Emission,
    /// The weights that validators set.
    Weight,
    /// The mean reward.
    Reward,
}

impl Pay {
    /// Returns the name as in a table heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emission => "emission",
            Self::Weight => "weight",
            Self::Reward => "mean reward",
        }
    }

    /// Returns the pay of a uid. `None` if it has none.
    pub fn of(self, row: &UidRow) -> Option<f64> {
        match self {
            Self::Emission => row.emission,
            Self::Weight => row.weight,
            Self::Reward => row.mean_reward,
        }
    }
}

/// Totals of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Number of forwards of the experiment.
    pub events: u64,
    /// Number of forwards that called at least one uid and in which no call succeeded.
    pub failed_events: u64,
    /// Number of forwards that called no uid.
    pub uncalled_events: u64,
    /// Number of manual forwards, which are excluded from everything else.
    pub manual: u64,
    /// Number of the last step plus one.
    pub steps: u64,
    /// Number of validators that made forwards.
    pub validators: usize,
    /// Outcomes of all calls.
    pub outcomes: OutcomeCounts,
    /// Mean of all finite rewards.
    pub mean_reward: Option<f64>,
    /// Number of successful calls whose reward is not finite.
    pub unusable_rewards: u64,
    /// Number of calls that were lost to real slowness, which may succeed in another run.
    pub timing_dependent: u64,
    /// Number of times that the chain accepted weights.
    pub weights_set: u64,
    /// Number of times that the chain refused weights.
    pub weights_refused: u64,
    /// Number of incidents of nodes.
    pub incidents: u64,
    /// Time from the start of the first forward to the end of the last, in seconds.
    pub duration: Option<f64>,
}

impl Totals {
    /// Returns the share of successful calls, from 0 to 1. `None` without a call.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.outcomes.successes(), self.outcomes.calls())
    }

    /// Returns the outcomes of all calls as a sentence without a capital and a full stop.
    pub fn calls_in_words(&self) -> String {
        let calls = self.outcomes.calls();
        let all = counted(calls, "call", "calls");
        let failures: Vec<String> = self
            .outcomes
            .failures()
            .map(|(outcome, calls)| format!("{} {}", count(calls), outcome.name))
            .collect();
        let failures = failures.join(", ");
        match self.outcomes.successes() {
            _ if calls == 0 => "no uid was called".to_owned(),
            0 => format!("none of {all} succeeded: {failures}"),
            successes if successes == calls => format!("{all} made, all successful"),
            successes => format!("{} of {all} succeeded; the others: {failures}", count(successes)),
        }
    }

    /// Returns the number of steps per second. `None` if the duration is unknown or 0.
    pub fn step_rate(&self) -> Option<f64> {
        let seconds = self.duration.filter(|&seconds| seconds > 0.0)?;
        Some(self.steps as f64 / seconds)
    }
}

impl Summary {
    /// Summarises a run. Every uid in the tables or among the configured neurons has a row.
    pub fn of(data: &RunData) -> Self {
        let of_chain = data.epochs.uids.keys();
        let uids: BTreeSet<u32> = data
            .uids
            .keys()
            .chain(of_chain)
            .chain(data.neurons.keys())
            .copied()
            .collect();
        let row = |uid| uid_row(data, uid);
        let mut uids: Vec<UidRow> = uids.into_iter().map(row).collect();
        let pay = [Pay::Emission, Pay::Weight]
            .into_iter()
            .find(|pay| uids.iter().any(|row| pay.of(row).is_some_and(|paid| paid > 0.0)))
            .unwrap_or(Pay::Reward);
        // The sort is stable, so uids with equal pay remain in the order of uids.
        uids.sort_by(|one, other| {
            falling(pay.of(one), pay.of(other)).then_with(|| falling(one.dividends, other.dividends))
        });
        Self {
            uids,
            pay,
            totals: totals(data),
        }
    }

    /// Returns the pay of each miner, or an empty list if pay is measured by the mean reward.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let miners = self.uids.iter().filter(|row| row.kind == NeuronKind::Miner);
        let paid = miners.filter_map(|row| self.pay.of(row));
        paid.filter(|_| self.pay != Pay::Reward).collect()
    }

    /// Returns the number of uids that were called.
    pub fn called(&self) -> usize {
        self.uids.iter().filter(|row| row.calls() > 0).count()
    }
}

fn uid_row(data: &RunData, uid: u32) -> UidRow {
    let tally = data.uids.get(&uid);
    let earned = data.epochs.uids.get(&uid);
    let (kind, label) = data.label(uid);
    let rewards = tally.map_or_else(Moments::default, |tally| tally.rewards);
    UidRow {
        uid,
        kind,
        label: label.to_owned(),
        role: data.neurons.get(&uid).map(|neuron| neuron.role.clone()),
        outcomes: tally.map_or_else(OutcomeCounts::default, |tally| tally.outcomes),
        mean_reward: rewards.mean(),
        reward_deviation: rewards.deviation(),
        weight: tally.and_then(|_| data.weights.last_mean(uid)),
        incentive: earned.and_then(|earned| earned.incentive),
        dividends: earned.and_then(|earned| earned.dividends),
        emission: earned.map(|earned| earned.emission as f64 / RAO_PER_TAO),
        mean_call_time: tally.and_then(|tally: &UidTally| tally.call_time.mean()),
    }
}

fn totals(data: &RunData) -> Totals {
    Totals {
        events: data.events.count,
        failed_events: data.events.failed,
        uncalled_events: data.events.uncalled,
        manual: data.events.manual,
        steps: data.events.steps,
        validators: data.events.validators.len(),
        outcomes: data.outcomes(),
        mean_reward: data.rewards.mean(),
        unusable_rewards: data.unusable_rewards,
        timing_dependent: data.timing_dependent,
        weights_set: data.weights.set,
        weights_refused: data.weights.refused,
        incidents: data.incidents.count(),
        duration: data.events.duration(),
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Compares in descending order, with `None` last.
fn falling(one: Option<f64>, other: Option<f64>) -> Ordering {
    let known = |value: Option<f64>| value.unwrap_or(f64::NEG_INFINITY);
    known(other).total_cmp(&known(one))
}
