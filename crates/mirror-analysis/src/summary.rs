//! The table of uids and the totals of a run.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::epochs::RAO_PER_TAO;
use crate::moments::Moments;
use crate::numbers::{count, counted};
use crate::outcome::OutcomeCounts;
use crate::run_data::RunData;
use crate::tally::UidTally;

/// A run in one table and a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// one a uid, best paid first
    pub uids: Vec<UidRow>,
    /// what the rows are ordered by
    pub pay: Pay,
    /// of the whole run
    pub totals: Totals,
}

/// What one uid did and got.
#[derive(Clone, Debug, PartialEq)]
pub struct UidRow {
    /// whose row
    pub uid: u32,
    /// what it is, where it is known
    pub role: Option<String>,
    /// how its calls ended
    pub outcomes: OutcomeCounts,
    /// mean reward of its successful calls; none where no call got one
    pub mean_reward: Option<f64>,
    /// the rewards' standard deviation; none of fewer than two
    pub reward_deviation: Option<f64>,
    /// mean over the validators of the last weights that the chain took from each; none where it took none
    pub weight: Option<f64>,
    /// its share of what the chain's last epoch paid miners; none without an epoch, and of who earned by dividends
    /// alone
    pub incentive: Option<f64>,
    /// its share of what the chain's last epoch paid validators; none where it got none
    pub dividends: Option<f64>,
    /// TAO that the chain's epochs paid it; none without an epoch
    pub emission: Option<f64>,
    /// seconds a call, those that failed included; none where it was never called
    pub mean_call_time: Option<f64>,
}

impl UidRow {
    /// Number of all calls to it.
    pub fn calls(&self) -> u64 {
        self.outcomes.calls()
    }

    /// Number of calls that it answered with a completion that counts.
    pub fn successes(&self) -> u64 {
        self.outcomes.successes()
    }

    /// Successes among calls, 0 … 1; none where it was never called.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.successes(), self.calls())
    }
}

/// What "paid" means in a run: the first of these that any uid has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pay {
    /// the chain's incentive
    Incentive,
    /// the weights that validators set
    Weight,
    /// the mean reward
    Reward,
}

impl Pay {
    /// In the words of a table's heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incentive => "incentive",
            Self::Weight => "weight",
            Self::Reward => "mean reward",
        }
    }

    /// A uid's pay; none where it has none.
    pub fn of(self, row: &UidRow) -> Option<f64> {
        match self {
            Self::Incentive => row.incentive,
            Self::Weight => row.weight,
            Self::Reward => row.mean_reward,
        }
    }
}

/// A run in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// the experiment's forwards
    pub events: u64,
    /// forwards in which no call succeeded
    pub failed_events: u64,
    /// manual forwards, which nothing else counts
    pub manual: u64,
    /// number of the last step and one
    pub steps: u64,
    /// who made the forwards
    pub validators: usize,
    /// how all calls ended
    pub outcomes: OutcomeCounts,
    /// of all rewards that are finite numbers
    pub mean_reward: Option<f64>,
    /// successful calls whose reward is no finite number
    pub unusable_rewards: u64,
    /// calls lost to real slowness, which another run may not lose
    pub timing_dependent: u64,
    /// settings of weights that the chain took
    pub weights_set: u64,
    /// settings of weights that the chain refused
    pub weights_refused: u64,
    /// things that happened to nodes
    pub incidents: u64,
    /// seconds from the first forward's start to the last one's end
    pub duration: Option<f64>,
}

impl Totals {
    /// Successes among all calls, 0 … 1; none where there was no call.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.outcomes.successes(), self.outcomes.calls())
    }

    /// How all calls ended, as a sentence without its full stop.
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
            successes if successes == calls => format!("{all} made, and every one succeeded"),
            successes => format!("{} of {all} succeeded; the others: {failures}", count(successes)),
        }
    }

    /// Steps a second; none where nothing took any time.
    pub fn step_rate(&self) -> Option<f64> {
        let seconds = self.duration.filter(|&seconds| seconds > 0.0)?;
        Some(self.steps as f64 / seconds)
    }
}

impl Summary {
    /// Of a run. A uid has a row when the tables or a role name it.
    pub fn of(data: &RunData) -> Self {
        let of_chain = data.epochs.uids.keys();
        let uids: BTreeSet<u32> = data
            .uids
            .keys()
            .chain(of_chain)
            .chain(data.roles.keys())
            .copied()
            .collect();
        let row = |uid| uid_row(data, uid);
        let mut uids: Vec<UidRow> = uids.into_iter().map(row).collect();
        let pay = [Pay::Incentive, Pay::Weight]
            .into_iter()
            .find(|pay| uids.iter().any(|row| pay.of(row).is_some_and(|paid| paid > 0.0)))
            .unwrap_or(Pay::Reward);
        // The sort is stable: who is paid the same stays in the order of uids.
        uids.sort_by(|one, other| {
            falling(pay.of(one), pay.of(other)).then_with(|| falling(one.dividends, other.dividends))
        });
        Self {
            uids,
            pay,
            totals: totals(data),
        }
    }

    /// Number of uids that were called.
    pub fn called(&self) -> usize {
        self.uids.iter().filter(|row| row.calls() > 0).count()
    }
}

fn uid_row(data: &RunData, uid: u32) -> UidRow {
    let tally = data.uids.get(&uid);
    let earned = data.epochs.uids.get(&uid);
    let rewards = tally.map_or_else(Moments::default, |tally| tally.rewards);
    UidRow {
        uid,
        role: data.roles.get(&uid).cloned(),
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

/// Greatest first, none last.
fn falling(one: Option<f64>, other: Option<f64>) -> Ordering {
    let known = |value: Option<f64>| value.unwrap_or(f64::NEG_INFINITY);
    known(other).total_cmp(&known(one))
}
