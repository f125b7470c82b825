//! Column names and values of earlier versions, so that their runs can still be read, compared and queried.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::Schema;

use super::MANUAL;

/// A column to which an earlier version gave another name.
#[derive(Clone, Copy, Debug)]
struct FormerColumn {
    /// Name in the tables of earlier versions.
    former: &'static str,
    /// Current name.
    name: &'static str,
}

/// All columns that were renamed.
const FORMER_COLUMNS: [FormerColumn; 2] = [
    FormerColumn {
        former: "step_sub",
        name: "forward_index",
    },
    // `at` is a keyword of DuckDB.
    FormerColumn {
        former: "at",
        name: "occurred_at",
    },
];

/// The value that the column `purpose` had for [`MANUAL`] in the tables of earlier versions.
pub const FORMER_MANUAL: &str = "by hand";

/// Returns the name under which an earlier version wrote the column that is now named `name`.
pub fn former_name(name: &str) -> Option<&'static str> {
    let column = FORMER_COLUMNS.iter().find(|column| column.name == name);
    column.map(|column| column.former)
}

/// Gives the columns of `batch` their current names, and the column `purpose` its current values.
pub(crate) fn with_names_of_today(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| {
        let is_former = |column: &&FormerColumn| column.former == field.name();
        match FORMER_COLUMNS.iter().find(is_former) {
            Some(column) => Arc::new(field.as_ref().clone().with_name(column.name)),
            None => Arc::clone(field),
        }
    });
    let renamed = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = renamed
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, values)| match field.name().as_str() {
            "purpose" => purposes_of_today(values),
            _ => Arc::clone(values),
        });
    let columns = columns.collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(renamed, columns, &rows)
        .expect("renaming columns does not change their types and lengths")
}

fn purposes_of_today(values: &ArrayRef) -> ArrayRef {
    let Some(texts) = values.as_any().downcast_ref::<StringArray>() else {
        return Arc::clone(values);
    };
    if !texts.iter().flatten().any(|text| text == FORMER_MANUAL) {
        return Arc::clone(values);
    }
    let of_today = texts.iter().map(|text| match text {
        Some(FORMER_MANUAL) => Some(MANUAL),
        other => other,
    });
    Arc::new(of_today.collect::<StringArray>())
}
