//! The nodes of a run that ended before their time, and so may have lost spans.

use std::collections::BTreeSet;

use mirror_runs::tables::IncidentRow;
use mirror_runs::{Run, RunError};

/// Values of `what` after which a process no longer exists.
const ENDS: [&str; 5] = ["exited", "hung", "left", "killed", "failed"];

/// The nodes of a run whose processes ended before their time.
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    /// Name of the node and number of its earlier starts.
    ended: BTreeSet<(String, u32)>,
}

impl Incidents {
    /// Reads the table `incidents` of a run.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub fn of_run(run: &Run) -> Result<Self, RunError> {
        let mut incidents = Self::default();
        for row in run.rows::<IncidentRow>()? {
            let row = row?;
            if ENDS.contains(&row.what.as_str()) {
                incidents.add(row.node, row.incarnation.unwrap_or_default());
            }
        }
        Ok(incidents)
    }

    /// Adds a node that ended before its time after `incarnation` earlier starts.
    pub fn add(&mut self, node: impl Into<String>, incarnation: u32) {
        self.ended.insert((node.into(), incarnation));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// Returns the name of the node if it ended before its time at any of its starts.
    pub(crate) fn of(&self, node: &str) -> Option<&str> {
        let mut ended = self.ended.iter();
        ended
            .find(|(ended, _)| ended == node)
            .map(|(ended, _)| ended.as_str())
    }

    /// Returns the name of the node if it ended before its time at this start.
    pub(crate) fn of_start(&self, node: &str, incarnation: u32) -> Option<&str> {
        let ended = self.ended.get(&(node.to_owned(), incarnation));
        ended.map(|(ended, _)| ended.as_str())
    }

    /// Returns the name of the first validator that ended before its time and is not `server`.
    pub(crate) fn of_a_caller(&self, server: &str) -> Option<&str> {
        let mut ended = self.ended.iter().map(|(ended, _)| ended.as_str());
        ended.find(|ended| ended.starts_with("validator") && *ended != server)
    }
}
