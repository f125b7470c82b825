//! All traces of a run, one after the other.

use std::iter::Peekable;

use mirror_runs::tables::{Row, SpanRow, Table};
use mirror_runs::{Rows, Run, RunError};

use crate::incidents::Incidents;
use crate::trace::Trace;

/// Returns whether a run has any span.
///
/// # Errors
/// Returns an error if the table cannot be read.
pub fn has_spans(run: &Run) -> Result<bool, RunError> {
    let table = Table::named(SpanRow::TABLE).expect("spans are a table");
    Ok(run.row_count(&table)? > 0)
}

/// The traces of a run in the order of their ids. Only one trace is in memory at a time.
pub struct Traces {
    groups: Groups,
    incidents: Incidents,
}

impl Traces {
    /// Begins with the first trace of a run.
    ///
    /// # Errors
    /// Returns an error if a table cannot be read.
    pub fn of_run(run: &Run) -> Result<Self, RunError> {
        Ok(Self {
            groups: Groups::of_run(run)?,
            incidents: Incidents::of_run(run)?,
        })
    }
}

impl Iterator for Traces {
    type Item = Result<Trace, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.groups.next()?;
        Some(rows.map(|rows| Trace::new(rows, &self.incidents)))
    }
}

/// The rows of one trace after the other, not yet as trees.
pub(crate) struct Groups {
    rows: Peekable<Rows<SpanRow>>,
}

impl Groups {
    pub(crate) fn of_run(run: &Run) -> Result<Self, RunError> {
        Ok(Self {
            rows: run.rows()?.peekable(),
        })
    }
}

impl Iterator for Groups {
    type Item = Result<Vec<SpanRow>, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let mut rows = vec![first];
        while let Some(row) = self
            .rows
            .next_if(|row| row.as_ref().is_ok_and(|row| row.trace_id == rows[0].trace_id))
        {
            match row {
                Ok(row) => rows.push(row),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(rows))
    }
}
