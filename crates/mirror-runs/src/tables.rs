//! What a run holds, table by table: one file each, with the row, its units and its order.
//!
//! A new table is its file here and one line in [`TABLES`].

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use mirror_proto::mirror::v1::Record;

use crate::cell::ColumnError;
use crate::error::RunError;
use crate::files;

mod bonds;
mod chain;
mod epochs;
mod events;
pub(crate) mod former_names;
mod incidents;
mod losses;
mod names;
mod parameters;
mod responses;
mod transactions;
mod weights;

pub use bonds::BondRow;
use chain::{address, share};
pub use epochs::EpochRow;
pub use events::EventRow;
pub use former_names::{FORMER_MANUAL, former_name};
pub use incidents::IncidentRow;
pub use losses::LossRow;
pub use names::{MANUAL, SUCCESS, outcome_name, purpose_name};
pub use parameters::ParameterRow;
pub use responses::ResponseRow;
pub use transactions::TransactionRow;
pub use weights::WeightRow;

/// Every table of a run, in the order in which they are shown.
pub const TABLES: [Table; 9] = [
    Table::of::<EventRow>(),
    Table::of::<ResponseRow>(),
    Table::of::<WeightRow>(),
    Table::of::<LossRow>(),
    Table::of::<ParameterRow>(),
    Table::of::<EpochRow>(),
    Table::of::<BondRow>(),
    Table::of::<TransactionRow>(),
    Table::of::<IncidentRow>(),
];

/// The column that every table begins with: which run a row belongs to, so that many runs can be read as one table.
pub const RUN_ID: &str = "run_id";

/// A table by its name, for those who do not need its rows as Rust types.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// its name, and that of its file without `.parquet`
    pub name: &'static str,
    /// what one row is
    pub about: &'static str,
    fields: fn() -> Vec<Field>,
    write: fn(&[Record], &str, &Path) -> Result<u64, RunError>,
    merge: fn(Vec<PathBuf>, &str, &Path, &Path) -> Result<u64, RunError>,
}

impl Table {
    const fn of<R: Row>() -> Self {
        Self {
            name: R::TABLE,
            about: R::ABOUT,
            fields: R::fields,
            write: files::write::<R>,
            merge: files::merge::<R>,
        }
    }

    /// The table called `name`.
    pub fn named(name: &str) -> Option<Self> {
        TABLES.into_iter().find(|table| table.name == name)
    }

    /// Name of its file in a run's folder and in each of its parts.
    pub fn file_name(&self) -> String {
        file_name(self.name)
    }

    /// Names and types of its columns, [`RUN_ID`] first.
    pub fn schema(&self) -> SchemaRef {
        schema((self.fields)())
    }

    /// Writes what `records` hold of this table to a new file, in the table's order, and returns the number of rows.
    /// Without rows there is no file.
    pub(crate) fn write(&self, records: &[Record], run_id: &str, file: &Path) -> Result<u64, RunError> {
        (self.write)(records, run_id, file)
    }

    /// Writes the rows of `sources`, each in the table's order, to one file in that order, and returns their number.
    /// What it needs in between lies in `scratch`.
    pub(crate) fn merge(
        &self,
        sources: Vec<PathBuf>,
        run_id: &str,
        scratch: &Path,
        file: &Path,
    ) -> Result<u64, RunError> {
        (self.merge)(sources, run_id, scratch, file)
    }
}

pub(crate) fn file_name(table: &str) -> String {
    format!("{table}.parquet")
}

pub(crate) fn schema(fields: Vec<Field>) -> SchemaRef {
    let run_id = Field::new(RUN_ID, arrow_schema::DataType::Utf8, false);
    Arc::new(Schema::new(
        std::iter::once(run_id).chain(fields).collect::<Vec<_>>(),
    ))
}

/// The columns of a row type, [`RUN_ID`] left out: a row knows its run by where it was read from.
#[doc(hidden)]
pub trait Columns: Sized + Clone + Send + 'static {
    fn fields() -> Vec<Field>;
    fn arrays(rows: &[Self]) -> Vec<ArrayRef>;
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, ColumnError>;
    /// Roughly the memory the row takes.
    fn bytes(&self) -> usize;
    /// Columns in which two rows differ, to the last bit: name and both values.
    fn differing(&self, other: &Self) -> Vec<(&'static str, String, String)>;
}

/// One row of a table.
pub trait Row: Columns {
    /// The table's name.
    const TABLE: &'static str;
    /// What one row is.
    const ABOUT: &'static str;
    /// Columns that no two runs share: when something happened and how long it took.
    const TIMING: &'static [&'static str];

    /// Adds what `record` holds of this table.
    fn read(record: &Record, rows: &mut Vec<Self>);

    /// The table's order. Rows that are equal in it stay in the order in which they were recorded.
    fn order(&self, other: &Self) -> Ordering;

    /// Which row this is among those of its table, for people: `validator-0, step 3, forward 1`.
    fn identity(&self) -> String;
}

/// Defines a row's struct and, from the same list of fields, its columns.
macro_rules! columns {
    (
        $(#[$about:meta])*
        pub struct $row:ident {
            $($(#[$doc:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $row {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $crate::tables::Columns for $row {
            fn fields() -> Vec<arrow_schema::Field> {
                vec![$(<$type as $crate::cell::Cell>::field(stringify!($field)),)*]
            }

            fn arrays(rows: &[Self]) -> Vec<arrow_array::ArrayRef> {
                vec![$(<$type as $crate::cell::Cell>::gather(rows.iter().map(|row| &row.$field)),)*]
            }

            fn from_batch(batch: &arrow_array::RecordBatch) -> Result<Vec<Self>, $crate::cell::ColumnError> {
                $(let $field = <$type as $crate::cell::Cell>::column(batch, stringify!($field))?;)*
                Ok((0..batch.num_rows())
                    .map(|row| Self {
                        $($field: <$type as $crate::cell::Cell>::get($field, row),)*
                    })
                    .collect())
            }

            fn bytes(&self) -> usize {
                0 $(+ $crate::cell::Cell::bytes(&self.$field))*
            }

            fn differing(&self, other: &Self) -> Vec<(&'static str, String, String)> {
                use $crate::cell::Cell;
                let mut differing = Vec::new();
                $(if !self.$field.same(&other.$field) {
                    differing.push((stringify!($field), self.$field.show(), other.$field.show()));
                })*
                differing
            }
        }
    };
}
use columns;
