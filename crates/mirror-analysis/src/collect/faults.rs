//! Faults: when they were in effect, and the calls that they affected.

use std::collections::{BTreeMap, HashMap};

use mirror_runs::tables::FaultRow;

use crate::collect::steps::TraceOfRun;
use crate::forwards::{Collect, Forward};

/// Maximum number of periods that are kept, to be drawn. All are counted.
const MAX_PERIODS: usize = 100;

/// Maximum number of faults that are kept, which is that of a running network. Others are ignored.
const MAX_FAULTS: usize = 10_000;

/// The faults of a run.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The faults, in the order in which they were first due.
    pub all: Vec<FaultTally>,
    /// The first hundred periods in which a fault was in effect, in the order of their beginnings.
    pub periods: Vec<Period>,
    /// Number of periods in which a fault was in effect.
    pub occurrences: u64,
    /// Number of calls that at least one fault affected.
    pub calls: u64,
    /// Number of these calls that did not succeed.
    pub failed: u64,
    /// Index in `all` by name.
    index: HashMap<String, usize>,
}

/// A fault, with the calls that it affected.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultTally {
    /// Name of the fault.
    pub fault: String,
    /// Kind of the fault.
    pub kind: String,
    /// The nodes that it names.
    pub who: String,
    /// The first step that it could affect. `None` outside the steps.
    pub from_step: Option<u64>,
    /// The first step after it was last lifted. `None` if it was not lifted, or outside the steps.
    pub to_step: Option<u64>,
    /// Number of times that it took effect.
    pub occurrences: u64,
    /// Number of calls that it affected.
    pub calls: u64,
    /// Number of these calls that did not succeed.
    pub failed: u64,
    /// The trace of the first call that it affected. `None` if there is none, or if it is unknown.
    pub first_trace: Option<TraceOfRun>,
    /// The first entry about something that did not go as the fault requires. Empty if there is none.
    pub detail: String,
}

/// A period in which a fault was in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Name of the fault.
    pub fault: String,
    /// Kind of the fault.
    pub kind: String,
    /// The nodes that it names.
    pub who: String,
    /// Number of the occurrence, from 0.
    pub occurrence: u64,
    /// The beginning.
    pub from: Change,
    /// The end. `None` if the fault was not lifted.
    pub to: Option<Change>,
}

/// The time of a change of a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The first step that it could affect, over all runs. `None` outside the steps.
    pub step: Option<u64>,
    /// The last closed block. `None` if the chain did not answer.
    pub block: Option<u64>,
    /// Seconds since 1970.
    pub at: f64,
}

impl Faults {
    /// Adds a change of a run that begins at `first_step`. The changes of a run follow those of the run before.
    pub(crate) fn note(&mut self, row: &FaultRow, first_step: u64) {
        let change = Change {
            step: row.step.map(|step| first_step.saturating_add(step)),
            block: row.block,
            at: row.occurred_at,
        };
        let Some(tally) = self.tally(row) else { return };
        if tally.detail.is_empty() {
            tally.detail.clone_from(&row.detail);
        }
        if row.is_lifted() {
            tally.to_step = change.step;
            let ended = |period: &&mut Period| {
                period.to.is_none() && (&period.fault, period.occurrence) == (&row.fault, row.occurrence)
            };
            // The latest, because the faults of several runs may have equal names.
            if let Some(period) = self.periods.iter_mut().rev().find(ended) {
                period.to = Some(change);
            }
        } else if row.takes_effect() {
            if tally.occurrences == 0 {
                tally.from_step = change.step;
            }
            // It is in effect again.
            tally.to_step = None;
            tally.occurrences += 1;
            self.occurrences += 1;
            if self.periods.len() < MAX_PERIODS {
                self.periods.push(Period {
                    fault: row.fault.clone(),
                    kind: row.kind.clone(),
                    who: row.who.clone(),
                    occurrence: row.occurrence,
                    from: change,
                    to: None,
                });
            }
        }
    }

    fn tally(&mut self, row: &FaultRow) -> Option<&mut FaultTally> {
        if let Some(index) = self.index.get(&row.fault) {
            return self.all.get_mut(*index);
        }
        if self.all.len() >= MAX_FAULTS {
            return None;
        }
        self.index.insert(row.fault.clone(), self.all.len());
        self.all.push(FaultTally {
            fault: row.fault.clone(),
            kind: row.kind.clone(),
            who: row.who.clone(),
            from_step: None,
            to_step: None,
            occurrences: 0,
            calls: 0,
            failed: 0,
            first_trace: None,
            detail: String::new(),
        });
        self.all.last_mut()
    }

    /// Returns whether no fault was due.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the faults that took effect.
    pub fn applied(&self) -> impl Iterator<Item = &FaultTally> {
        self.all.iter().filter(|fault| fault.occurrences > 0)
    }

    /// Returns the number of faults that took effect, by kind.
    pub fn kinds(&self) -> BTreeMap<&str, u64> {
        let mut kinds = BTreeMap::new();
        for fault in self.applied() {
            *kinds.entry(fault.kind.as_str()).or_default() += 1;
        }
        kinds
    }

    /// Returns the number of periods that are not in `periods`.
    pub fn periods_left_out(&self) -> u64 {
        self.occurrences - self.periods.len() as u64
    }
}

/// Returns the name of the fault in an effect such as `slow/drop`, or `backward slow/drop` for the call that reported
/// the reward.
fn fault_of(effect: &str) -> &str {
    let effect = effect.strip_prefix("backward ").unwrap_or(effect);
    effect.split_once('/').map_or(effect, |(fault, _)| fault)
}

impl Collect for Faults {
    /// Counts the calls that faults affected.
    fn add(&mut self, forward: &Forward<'_>) {
        for call in forward.calls() {
            let Some(faults) = call.faults() else { continue };
            let failed = u64::from(!call.is_success());
            self.calls += 1;
            self.failed += failed;
            let mut names: Vec<&str> = faults.split(", ").map(fault_of).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let index = self.index.get(name);
                if let Some(tally) = index.and_then(|index| self.all.get_mut(*index)) {
                    if tally.calls == 0 {
                        tally.first_trace = forward.trace();
                    }
                    tally.calls += 1;
                    tally.failed += failed;
                }
            }
        }
    }
}
