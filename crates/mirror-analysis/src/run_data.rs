//! Collects the data of a run's tables in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::thread;

use mirror_runs::expectations::{self, Checked};
use mirror_runs::tables::{EpochRow, FaultRow, IncidentRow, WeightRow};
use mirror_runs::{Manifest, Neuron, NeuronKind, Run, State, neurons};

use crate::collect::agreement::Agreement;
use crate::collect::calls::{Calls, UidTally};
use crate::collect::epochs::Epochs;
use crate::collect::events::Events;
use crate::collect::exchange::{BestExchanges, Exchange};
use crate::collect::faults::Faults;
use crate::collect::learning::Learning;
use crate::collect::marks::Incidents;
use crate::collect::outcome::OutcomeCounts;
use crate::collect::sample::Sample;
use crate::collect::scores::Scores;
use crate::collect::sharing::Sharing;
use crate::collect::steps::{StepTraces, TraceOfRun};
use crate::collect::texts::Texts;
use crate::collect::weights::Weights;
use crate::columns::batches;
use crate::error::AnalysisError;
use crate::forwards::{self, Collect, Extent, Part};
use crate::moments::Moments;

/// Label of miners that the experiment does not describe.
const UNKNOWN_LABEL: &str = "miners";

/// The data for the summary and the plots. Its size is bounded by the number of uids, regardless of the number of
/// events. It contains only the forwards of the experiment; manual forwards are counted and otherwise excluded.
#[derive(Debug)]
pub struct RunData {
    /// Number of runs that are read as one.
    pub runs: usize,
    /// Names of the tables whose files no longer exist, although they had rows.
    pub missing_tables: BTreeSet<&'static str>,
    /// Manifest of the run.
    pub manifest: Manifest,
    /// State of the run.
    pub state: State,
    /// The configured neurons by uid.
    pub neurons: BTreeMap<u32, Neuron>,
    /// Statistics of all forwards.
    pub events: Events,
    /// Statistics of each uid that was called or has a weight.
    pub uids: BTreeMap<u32, UidTally>,
    /// Scores of the gating model.
    pub scores: Scores,
    /// Agreement of scores with rewards.
    pub agreement: Agreement,
    /// Losses and gradients of the gating model.
    pub learning: Learning,
    /// The most frequent texts.
    pub(crate) texts: Texts,
    /// Equal completions of pairs of uids.
    pub(crate) sharing: Sharing,
    /// A sample of the forwards.
    pub sample: Sample,
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
    /// Faults, and the calls that they affected.
    pub faults: Faults,
    /// The traces of steps.
    pub traces: StepTraces,
    /// The best completions, best first.
    pub best: Vec<Exchange>,
    /// Results of the expectations.
    pub expectations: Vec<Checked>,
}

impl RunData {
    /// Reads a run that has ended or is in progress.
    pub fn read(run: &Run) -> Result<Self, AnalysisError> {
        Self::read_as_one(std::slice::from_ref(run))
    }

    /// Reads several runs as one: the steps and epochs of each run follow those of the run before. The manifest, the
    /// state, the neurons and the expectations are those of the first run, with the neurons of uids that only a later
    /// run has.
    ///
    /// # Errors
    /// Returns an error if a table cannot be read, or if there is no run.
    pub fn read_as_one(runs: &[Run]) -> Result<Self, AnalysisError> {
        thread::scope(|scope| {
            let traces = scope.spawn(|| StepTraces::read(runs));
            let mut data = Self::read_without_traces(runs)?;
            data.traces = traces.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            let named = data.named_traces();
            data.traces.find(runs, &named)?;
            Ok(data)
        })
    }

    /// Reads several runs as one, but only counts their spans.
    ///
    /// # Errors
    /// Returns an error if a table cannot be read, or if there is no run.
    pub(crate) fn read_without_traces(runs: &[Run]) -> Result<Self, AnalysisError> {
        let first = runs.first().ok_or(AnalysisError::NoRun)?;
        let (extent, first_steps) = Extent::of(runs)?;
        let mut incidents = Incidents::default();
        let mut faults = Faults::default();
        for (run, &first_step) in runs.iter().zip(&first_steps) {
            for change in run.rows::<FaultRow>()? {
                faults.note(&change?, first_step);
            }
            for incident in run.rows::<IncidentRow>()? {
                incidents.note(incident?);
            }
        }
        let mut events = Events::new(extent);
        let mut calls = Calls::new(extent);
        let mut scores = Scores::new(extent);
        let mut agreement = Agreement::new(extent);
        let mut texts = Texts::new(extent);
        let mut sharing = Sharing::default();
        let mut sample = Sample::default();
        let mut best = BestExchanges::default();
        {
            let mut collectors: [&mut dyn Collect; 10] = [
                &mut events,
                &mut calls,
                &mut scores,
                &mut agreement,
                &mut texts,
                &mut sharing,
                &mut sample,
                &mut best,
                &mut incidents,
                &mut faults,
            ];
            let mut position = 0;
            for (run, &first_step) in runs.iter().zip(&first_steps) {
                let part = Part {
                    run,
                    first_step,
                    position,
                };
                position += forwards::read(part, extent, |forward| {
                    for collector in &mut collectors {
                        collector.add(forward);
                    }
                })?;
            }
        }
        let (rewards, unusable_rewards, timing_dependent) =
            (calls.rewards, calls.unusable_rewards, calls.timing_dependent);
        let mut uids = calls.into_uids();
        let mut weights = Weights::default();
        let mut epochs = Epochs::default();
        let mut learning = Learning::default();
        let mut neurons_by_uid = BTreeMap::new();
        for (run, &first_step) in runs.iter().zip(&first_steps) {
            for batch in batches::<WeightRow>(run, &Weights::COLUMNS)? {
                weights.read(&batch?, first_step, &mut uids)?;
            }
            let earlier = epochs.last;
            epochs.note_unpaid(run, earlier)?;
            for batch in batches::<EpochRow>(run, &Epochs::COLUMNS)? {
                epochs.read(&batch?, earlier)?;
            }
            learning.read(run, first_step, extent)?;
            for neuron in neurons::load(run.layout())? {
                neurons_by_uid.entry(neuron.uid).or_insert(neuron);
            }
        }
        Ok(Self {
            runs: runs.len(),
            missing_tables: runs.iter().flat_map(Run::missing_tables).collect(),
            manifest: first.manifest().clone(),
            state: first.state(),
            neurons: neurons_by_uid,
            events,
            uids,
            scores,
            agreement,
            learning,
            texts,
            sharing,
            sample,
            rewards,
            unusable_rewards,
            timing_dependent,
            weights,
            epochs,
            incidents,
            faults,
            traces: StepTraces::counted(runs)?,
            best: best.into_best(),
            expectations: expectations::load(first.layout())?,
        })
    }

    /// Returns the traces of the forwards, completions and faults that a report can name.
    fn named_traces(&self) -> BTreeSet<TraceOfRun> {
        let forwards = self.sample.forwards().into_iter().map(|forward| &forward.trace);
        let best = self.best.iter().map(|exchange| &exchange.trace);
        let faults = self.faults.all.iter().map(|fault| &fault.first_trace);
        forwards.chain(best).chain(faults).flatten().cloned().collect()
    }

    /// Returns the outcomes of all calls.
    pub fn outcomes(&self) -> OutcomeCounts {
        let mut all = OutcomeCounts::default();
        for tally in self.uids.values() {
            all.add_all(&tally.outcomes);
        }
        all
    }

    /// Returns whether the run was imported from event logs.
    pub fn is_imported(&self) -> bool {
        self.manifest.is_imported()
    }

    /// Drops the texts and scores, which the report of a group does not need.
    pub(crate) fn drop_texts_and_scores(&mut self) {
        self.sample = Sample::default();
        self.texts.clear();
        self.sharing = Sharing::default();
        self.best = Vec::new();
        self.scores.uids = Vec::new();
    }

    /// Returns the kind and the label of a uid. A uid that the experiment does not describe is a miner.
    pub fn label(&self, uid: u32) -> (NeuronKind, &str) {
        self.neurons
            .get(&uid)
            .map_or((NeuronKind::Miner, UNKNOWN_LABEL), |neuron| {
                (neuron.kind, neuron.label.as_str())
            })
    }
}
