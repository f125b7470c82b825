//! Incidents and where they lie on the time axes of plots.

use std::collections::BTreeMap;

use mirror_runs::tables::IncidentRow;

use crate::forwards::{Collect, Forward};

/// Maximum number of incidents that are kept. All incidents are counted.
const KEPT: usize = 100;

/// Incidents of nodes.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    /// Number of incidents by kind: `exited`, `restarted`, …
    pub counts: BTreeMap<String, u64>,
    /// Number of incidents that a fault caused.
    pub caused_by_faults: u64,
    /// The first hundred incidents.
    pub first: Vec<IncidentRow>,
    /// For each of the first incidents the forward at which it happened.
    pub placed: Vec<Option<Moment>>,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Step, from 0.
    pub step: u64,
    /// Number of the forward over all steps, from 0.
    pub forward: u64,
    /// Block.
    pub block: u64,
}

impl Incidents {
    pub(crate) fn note(&mut self, incident: IncidentRow) {
        *self.counts.entry(incident.what.clone()).or_default() += 1;
        self.caused_by_faults += u64::from(incident.is_caused_by_fault());
        if self.first.len() < KEPT {
            self.first.push(incident);
            self.placed.push(None);
        }
    }

    /// Returns the number of all incidents.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Collect for Incidents {
    /// Places the incidents that happened before this forward and after the previous one.
    fn add(&mut self, forward: &Forward<'_>) {
        let waiting = self.first.iter().zip(&mut self.placed);
        for (incident, place) in waiting.filter(|(_, place)| place.is_none()) {
            let began = incident
                .occurred_at
                .zip(forward.started_at())
                .is_some_and(|(at, start)| at <= start);
            let closed = incident.block.is_some_and(|block| block <= forward.block());
            if began || closed {
                *place = Some(Moment {
                    step: forward.step(),
                    forward: forward.number(),
                    block: forward.block(),
                });
            }
        }
    }
}
