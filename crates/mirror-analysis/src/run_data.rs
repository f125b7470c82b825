//! What a run's tables hold, gathered in one reading.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{
    Array, BooleanArray, Float32Array, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use mirror_runs::expectations::{self, Checked};
use mirror_runs::tables::{EpochRow, EventRow, IncidentRow, ResponseRow, WeightRow};
use mirror_runs::{Manifest, Run, State, roles};

use crate::columns::{batches, column};
use crate::epochs::Epochs;
use crate::error::AnalysisError;
use crate::exchange::{BestExchanges, Exchange};
use crate::moments::{Moments, Range};
use crate::outcome::OutcomeCounts;
use crate::series::Series;
use crate::tally::UidTally;
use crate::weights::Weights;

/// The purpose of the experiment's own forwards.
pub(crate) const QUERY: &str = "query";

/// The role of a validator.
pub(crate) const VALIDATOR: &str = "validator";

/// Points of a line, at most.
const POINTS: usize = 2_000;

/// Incidents kept with their words; all are counted.
const INCIDENTS: usize = 100;

/// Everything that the summary and the plots are made of. Its size is bounded by the number of uids, whatever the
/// number of events. Only the experiment's own forwards count in it: manual ones are counted and
/// left out.
#[derive(Debug)]
pub struct RunData {
    /// what the run is
    pub manifest: Manifest,
    /// how it stands
    pub state: State,
    /// what uids were told to be, by uid: a miner's behaviour, or `validator`
    pub roles: BTreeMap<u32, String>,
    /// of all forwards
    pub events: Events,
    /// of each uid that was called or was given a weight
    pub uids: BTreeMap<u32, UidTally>,
    /// rewards of all successful calls that are finite
    pub rewards: Moments,
    /// successful calls whose reward is no finite number
    pub unusable_rewards: u64,
    /// calls lost to real slowness, which another run may not lose
    pub timing_dependent: u64,
    /// of all settings of weights
    pub weights: Weights,
    /// of the chain's epochs
    pub epochs: Epochs,
    /// what happened to nodes
    pub incidents: Incidents,
    /// the best completions, best first
    pub best: Vec<Exchange>,
    /// what became of what was expected of it
    pub expectations: Vec<Checked>,
}

/// Facts of the forwards.
#[derive(Clone, Debug)]
pub struct Events {
    /// the experiment's own
    pub count: u64,
    /// of them, those in which no call succeeded
    pub failed: u64,
    /// somebody's calls to a running validator
    pub manual: u64,
    /// number of the last step and one
    pub steps: u64,
    /// iterations in a step: with `train` two, the question and its answer
    pub iterations_per_step: u64,
    /// names of those who made them
    pub validators: BTreeSet<String>,
    /// seconds of a forward, by step
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
            iterations_per_step: 1,
            validators: BTreeSet::new(),
            call_time: Series::new(POINTS),
            first_start: f64::INFINITY,
            last_end: f64::NEG_INFINITY,
        }
    }
}

/// What happened to nodes.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    /// by what happened: `exited`, `restarted`, …
    pub counts: BTreeMap<String, u64>,
    /// the first hundred
    pub first: Vec<IncidentRow>,
}

impl Incidents {
    /// Number of all.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl RunData {
    /// Reads a run, whether it has ended or goes on.
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
        // How many iterations a step has is known after the events, and wanted for the responses.
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

    /// How all calls ended.
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
            let iteration = self.events.iteration(step.value(row), forward_index.value(row));
            tally.rewards_over_time.at(iteration).push(reward);
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
    let roles = roles::load(run.layout())?;
    Ok(roles.into_iter().map(|role| (role.uid, role.role)).collect())
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

    /// Seconds from the first forward's start to the last one's end; none where there was none.
    pub fn duration(&self) -> Option<f64> {
        self.seconds_until(self.last_end)
    }

    /// Seconds from the first forward's start to `at`, itself in seconds since 1970; none before it or without one.
    pub fn seconds_until(&self, at: f64) -> Option<f64> {
        let seconds = at - self.first_start;
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    }

    /// The number of an iteration, from 0.
    fn iteration(&self, step: u64, forward_index: u32) -> u64 {
        step.saturating_mul(self.iterations_per_step)
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
            self.iterations_per_step = self
                .iterations_per_step
                .max(u64::from(forward_index.value(row)) + 1);
            if !self.validators.contains(validator.value(row)) {
                self.validators.insert(validator.value(row).to_owned());
            }
            let (start, seconds) = (started_at.value(row), call_time.value(row));
            if seconds.is_finite() {
                self.call_time.at(step.value(row)).push(seconds);
                // f64's min and max pass over a start that is no number.
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
