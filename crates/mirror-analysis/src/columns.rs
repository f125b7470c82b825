//! Reads tables in batches, and the columns of a batch as typed arrays.

use arrow_array::{Array, RecordBatch, UInt32Array};
use mirror_runs::tables::{Row, Table};
use mirror_runs::{Batches, Run};
use mirror_spec::key::MAX_UID;

use crate::error::AnalysisError;

/// Returns `columns` of table `R` in batches.
pub(crate) fn batches<R: Row>(run: &Run, columns: &[&str]) -> Result<Batches, AnalysisError> {
    let table = Table::named(R::TABLE).expect("every row type belongs to a table");
    Ok(run.batches(&table, columns)?)
}

/// Returns the column `column` of a batch of table `R`.
pub(crate) fn column<'a, R: Row, A: Array + 'static>(
    batch: &'a RecordBatch,
    column: &'static str,
) -> Result<&'a A, AnalysisError> {
    batch
        .column_by_name(column)
        .and_then(|array| array.as_any().downcast_ref::<A>())
        .ok_or(AnalysisError::Column {
            table: R::TABLE,
            column,
        })
}

/// Checks that every uid of a column has 16 bits, so that the number of uids is bounded.
pub(crate) fn known_uids(uids: &UInt32Array) -> Result<(), AnalysisError> {
    match uids.values().iter().find(|uid| **uid > MAX_UID) {
        Some(uid) => Err(AnalysisError::Uid { uid: *uid }),
        None => Ok(()),
    }
}
