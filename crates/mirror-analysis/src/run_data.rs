//! Collects the data of a run's tables in one pass.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{
    Array, BooleanArray, Float32Array, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use mirror_runs::expectations::{self, Checked};
use mirror_runs::tables::{EpochRow, EventRow, IncidentRow, ResponseRow, WeightRow};
use mirror_runs::{Manifest, Run, State, neurons};

use crate::columns::{batches, column};
use crate::epochs::Epochs;
use crate::error::AnalysisError;
use crate::exchange::{BestExchanges, Exchange};
use crate::moments::{Moments, Range};
use crate::outcome::OutcomeCounts;
use crate::series::Series;
use crate::tally::UidTally;
use crate::weights::Weights;

/// Purpose of the forwards of the experiment.
pub(crate) const QUERY: &str = "query";

/// Role of a validator.
pub(crate) const VALIDATOR: &str = "validator";

/// Maximum number of points of a line.
const POINTS: usize = 2_000;

/// Maximum number of incidents that are kept. All incidents are counted.
const INCIDENTS: usize = 100;

/// The data for the summary and the plots. Its size is bounded by the number of uids, regardless of the number of
/// events. It contains only the forwards of the experiment; manual forwards are counted and otherwise excluded.
#[derive(Debug)]
pub struct RunData {
    /// Manifest of the run.
    pub manifest: Manifest,
    /// State of the run.
    pub state: State,
    /// Configured role by uid: the behaviour of a miner, or `validator`.
    pub roles: BTreeMap<u32, String>,
    /// Statistics of all forwards.
    pub events: Events,
    /// Statistics of each uid that was called or has a weight.
    pub uids: BTreeMap<u32, UidTally>,
    /// Finite rewards of all successful calls.
    pub rewards: Moments,
    /// Number of successful calls whose reward is not finite.
    pub unusable_rewards: u64,
    /// Number of calls that were lost to real slowness, which may succeed in another run.
    pub timing_dependent: u64,
    /// Weights that validators set.
    pub weights: Weights,
    /// Results of the chain's epochs.
    pub epochs: Epochs,
    /// Incidents of nodes.
    pub incidents: Incidents,
    /// The best completions, best first.
    pub best: Vec<Exchange>,
    /// Results of the expectations.
    pub expectations: Vec<Checked>,
}

/// Statistics of the forwards.
#[derive(Clone, Debug)]
pub struct Events {
    /// Number of forwards of the experiment.
    pub count: u64,
    /// Number of those forwards in which no call succeeded.
    pub failed: u64,
    /// Number of calls of clients to a running validator.
    pub manual: u64,
    /// Number of the last step plus one.
    pub steps: u64,
    /// Number of iterations in a step. It is 2 for `train`: the question and its answer.
    pub forwards_per_step: u64,
    /// Names of the validators that made the forwards.
    pub validators: BTreeSet<String>,
    /// Duration of a forward in seconds, by step.
    pub call_time: Series<Range>,
    first_start: f64,
    last_end: f64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            count: 0,
            failed: 0,
            manual: 0,
            steps: 0,
            forwards_per_step: 1,
            validators: BTreeSet::new(),
            call_time: Series::new(POINTS),
            first_start: f64::INFINITY,
            last_end: f64::NEG_INFINITY,
        }
    }
}

/// Incidents of nodes.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    /// Number of incidents by kind: `exited`, `restarted`, …
    pub counts: BTreeMap<String, u64>,
    /// The first hundred incidents.
    pub first: Vec<IncidentRow>,
}

impl Incidents {
    /// Returns the number of all incidents.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl RunData {
    /// Reads a run that has ended or is in progress.
    pub fn read(run: &Run) -> Result<Self, AnalysisError> {
        let mut data = Self {
            manifest: run.manifest().clone(),
            state: run.state(),
            roles: roles_of(run)?,
            events: Events::default(),
            uids: BTreeMap::new(),
            rewards: Moments::default(),
            unusable_rewards: 0,
            timing_dependent: 0,
            weights: Weights::default(),
            epochs: Epochs::default(),
            incidents: Incidents::default(),
            best: Vec::new(),
            expectations: expectations::load(run.layout())?,
        };
        // The events are read first, because the responses need the number of iterations per step.
        for batch in batches::<EventRow>(run, &Events::COLUMNS)? {
            data.events.read(&batch?)?;
        }
        let mut best = BestExchanges::default();
        for batch in batches::<ResponseRow>(run, &RESPONSE_COLUMNS)? {
            data.read_responses(&batch?, &mut best)?;
        }
        data.best = best.with_messages(run)?;
        for batch in batches::<WeightRow>(run, &Weights::COLUMNS)? {
            data.weights.read(&batch?, &mut data.uids)?;
        }
        for batch in batches::<EpochRow>(run, &Epochs::COLUMNS)? {
            data.epochs.read(&batch?)?;
        }
        for incident in run.rows::<IncidentRow>()? {
            data.incidents.note(incident?);
        }
        Ok(data)
    }

    /// Returns the outcomes of all calls.
    pub fn outcomes(&self) -> OutcomeCounts {
        let mut all = OutcomeCounts::default();
        for tally in self.uids.values() {
            all.add_all(&tally.outcomes);
        }
        all
    }

    fn read_responses(&mut self, batch: &RecordBatch, best: &mut BestExchanges) -> Result<(), AnalysisError> {
        let validator: &StringArray = column::<ResponseRow, _>(batch, "validator")?;
        let purpose: &StringArray = column::<ResponseRow, _>(batch, "purpose")?;
        let step: &UInt64Array = column::<ResponseRow, _>(batch, "step")?;
        let forward_index: &UInt32Array = column::<ResponseRow, _>(batch, "forward_index")?;
        let uid: &UInt32Array = column::<ResponseRow, _>(batch, "uid")?;
        let outcome: &StringArray = column::<ResponseRow, _>(batch, "outcome")?;
        let latency: &Float32Array = column::<ResponseRow, _>(batch, "latency")?;
        let completion: &StringArray = column::<ResponseRow, _>(batch, "completion")?;
        let reward: &Float32Array = column::<ResponseRow, _>(batch, "reward")?;
        let timing_dependent: &BooleanArray = column::<ResponseRow, _>(batch, "timing_dependent")?;
        for row in 0..batch.num_rows() {
            if purpose.value(row) != QUERY {
                continue;
            }
            let tally = self.uids.entry(uid.value(row)).or_default();
            tally.outcomes.add(outcome.value(row));
            self.timing_dependent += u64::from(timing_dependent.value(row));
            let latency = f64::from(latency.value(row));
            if latency.is_finite() {
                tally.call_time.push(latency);
            }
            if reward.is_null(row) {
                continue;
            }
            let reward = f64::from(reward.value(row));
            if !reward.is_finite() {
                self.unusable_rewards += 1;
                continue;
            }
            self.rewards.push(reward);
            tally.rewards.push(reward);
            let forward_number = self
                .events
                .forward_number(step.value(row), forward_index.value(row));
            tally.rewards_over_time.at(forward_number).push(reward);
            if best.would_keep(reward) {
                best.offer(Exchange {
                    validator: validator.value(row).to_owned(),
                    step: step.value(row),
                    forward_index: forward_index.value(row),
                    uid: uid.value(row),
                    reward,
                    message: String::new(),
                    completion: completion.value(row).to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn roles_of(run: &Run) -> Result<BTreeMap<u32, String>, AnalysisError> {
    let neurons = neurons::load(run.layout())?;
    Ok(neurons
        .into_iter()
        .map(|neuron| (neuron.uid, neuron.role))
        .collect())
}

const RESPONSE_COLUMNS: [&str; 10] = [
    "validator",
    "purpose",
    "step",
    "forward_index",
    "uid",
    "outcome",
    "latency",
    "completion",
    "reward",
    "timing_dependent",
];

impl Events {
    const COLUMNS: [&'static str; 7] = [
        "validator",
        "purpose",
        "step",
        "forward_index",
        "best_uid",
        "started_at",
        "call_time",
    ];

    /// Returns the time from the start of the first forward to the end of the last in seconds. `None` without a
    /// forward.
    pub fn duration(&self) -> Option<f64> {
        self.seconds_until(self.last_end)
    }

    /// Returns the time from the start of the first forward to `at` in seconds; `at` is in seconds since 1970. `None`
    /// if `at` is earlier or if there was no forward.
    pub fn seconds_until(&self, at: f64) -> Option<f64> {
        let seconds = at - self.first_start;
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    }

    /// Returns the number of a forward over all steps, from 0.
    fn forward_number(&self, step: u64, forward_index: u32) -> u64 {
        step.saturating_mul(self.forwards_per_step)
            .saturating_add(forward_index.into())
    }

    fn read(&mut self, batch: &RecordBatch) -> Result<(), AnalysisError> {
        let validator: &StringArray = column::<EventRow, _>(batch, "validator")?;
        let purpose: &StringArray = column::<EventRow, _>(batch, "purpose")?;
        let step: &UInt64Array = column::<EventRow, _>(batch, "step")?;
        let forward_index: &UInt32Array = column::<EventRow, _>(batch, "forward_index")?;
        let best_uid: &UInt32Array = column::<EventRow, _>(batch, "best_uid")?;
        let started_at: &Float64Array = column::<EventRow, _>(batch, "started_at")?;
        let call_time: &Float64Array = column::<EventRow, _>(batch, "call_time")?;
        for row in 0..batch.num_rows() {
            if purpose.value(row) != QUERY {
                self.manual += 1;
                continue;
            }
            self.count += 1;
            self.failed += u64::from(best_uid.is_null(row));
            self.steps = self.steps.max(step.value(row).saturating_add(1));
            self.forwards_per_step = self
                .forwards_per_step
                .max(u64::from(forward_index.value(row)) + 1);
            if !self.validators.contains(validator.value(row)) {
                self.validators.insert(validator.value(row).to_owned());
            }
            let (start, seconds) = (started_at.value(row), call_time.value(row));
            if seconds.is_finite() {
                self.call_time.at(step.value(row)).push(seconds);
                // `f64::min` and `f64::max` ignore a start that is NaN.
                self.first_start = self.first_start.min(start);
                self.last_end = self.last_end.max(start + seconds);
            }
        }
        Ok(())
    }
}

impl Incidents {
    fn note(&mut self, incident: IncidentRow) {
        *self.counts.entry(incident.what.clone()).or_default() += 1;
        if self.first.len() < INCIDENTS {
            self.first.push(incident);
        }
    }
}
