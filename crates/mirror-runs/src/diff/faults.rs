//! The changes of faults of two runs, matched by fault, occurrence and change.

use std::collections::{BTreeMap, HashMap};

use crate::error::RunError;
use crate::files::Rows;
use crate::run::Run;
use crate::tables::FaultRow;

/// A change of a fault.
pub(super) struct Change {
    pub(super) row: FaultRow,
    /// Whether it was due by the clock, so that its step and block differ from run to run.
    pub(super) by_clock: bool,
}

/// A change that one or both runs have.
pub(super) enum Matched {
    First(Change),
    Second(Change),
    Both(Box<[Change; 2]>),
}

/// Name and number of an occurrence of a fault.
type Occurrence = (String, u64);

/// Reads the changes of a run in the order in which they happened.
struct Changes {
    rows: Rows<FaultRow>,
    /// Whether each occurrence that is in effect ends by the clock.
    ends_by_clock: HashMap<Occurrence, bool>,
}

impl Changes {
    fn of(run: &Run) -> Result<Self, RunError> {
        Ok(Self {
            rows: run.rows()?,
            ends_by_clock: HashMap::new(),
        })
    }

    fn next(&mut self) -> Result<Option<Change>, RunError> {
        let Some(row) = self.rows.next().transpose()? else {
            return Ok(None);
        };
        let occurrence = (row.fault.clone(), row.occurrence);
        let by_clock = if row.is_lifted() {
            self.ends_by_clock.remove(&occurrence).unwrap_or(false)
        } else {
            let ends = row.planned_end.as_deref().is_some_and(is_by_clock);
            self.ends_by_clock.insert(occurrence, ends);
            begins_by_clock(&row)
        };
        Ok(Some(Change { row, by_clock }))
    }
}

/// Returns whether a fault begins by the clock. The time at which a manual fault began is in its definition.
fn begins_by_clock(row: &FaultRow) -> bool {
    if let Some(planned) = &row.planned {
        return is_by_clock(planned);
    }
    let definition = row.definition.as_deref().unwrap_or_default();
    let definition: serde_json::Value = serde_json::from_str(definition).unwrap_or_default();
    definition["at"].as_str().is_some_and(is_by_clock)
}

/// Returns whether a planned time is a time by the clock, such as `5s`.
fn is_by_clock(planned: &str) -> bool {
    !planned.starts_with("step ") && !planned.starts_with("block ")
}

/// Passes every change of the two runs to `take`: those of both runs first, in the order of the later one, then the
/// others in the order of steps. Only changes without a counterpart so far are in memory.
pub(super) fn matched(
    first: &Run,
    second: &Run,
    mut take: impl FnMut(Matched) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let key = |change: &Change| {
        let row = &change.row;
        (row.fault.clone(), row.occurrence, row.change.clone())
    };
    let (mut firsts, mut seconds) = (Changes::of(first)?, Changes::of(second)?);
    let mut only_first = BTreeMap::new();
    let mut only_second = BTreeMap::new();
    loop {
        let (one, other) = (firsts.next()?, seconds.next()?);
        if one.is_none() && other.is_none() {
            break;
        }
        if let Some(one) = one {
            match only_second.remove(&key(&one)) {
                Some(other) => take(Matched::Both(Box::new([one, other])))?,
                None => drop(only_first.insert(key(&one), one)),
            }
        }
        if let Some(other) = other {
            match only_first.remove(&key(&other)) {
                Some(one) => take(Matched::Both(Box::new([one, other])))?,
                None => drop(only_second.insert(key(&other), other)),
            }
        }
    }
    let of_step = |change: &Change| change.row.step.unwrap_or(u64::MAX);
    let mut only_first: Vec<Change> = only_first.into_values().collect();
    let mut only_second: Vec<Change> = only_second.into_values().collect();
    only_first.sort_by_key(of_step);
    only_second.sort_by_key(of_step);
    only_first
        .into_iter()
        .map(Matched::First)
        .try_for_each(&mut take)?;
    only_second.into_iter().map(Matched::Second).try_for_each(take)
}
