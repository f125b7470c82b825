//! The tables of a run. Each table has a module with its row, units and order.
//!
//! To add a table, add its module and an entry in [`TABLES`].

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
mod faults;
pub(crate) mod former_names;
mod incidents;
mod losses;
mod metrics;
mod names;
mod parameters;
mod responses;
mod spans;
mod transactions;
mod weights;

pub use bonds::BondRow;
use chain::{address, share};
pub use epochs::EpochRow;
pub use events::EventRow;
pub use faults::{APPLIED, FaultRow, LIFTED, NOT_IN_EFFECT};
pub use former_names::{FORMER_MANUAL, former_name};
pub use incidents::{AFTER_FAULT, BY_FAULT, IncidentRow};
pub use losses::LossRow;
pub use metrics::MetricRow;
pub use names::{MANUAL, SUCCESS, outcome_name, purpose_name};
pub use parameters::ParameterRow;
pub use responses::ResponseRow;
pub use spans::SpanRow;
pub use transactions::TransactionRow;
pub use weights::WeightRow;

/// All tables of a run, in the order in which they are shown.
pub const TABLES: [Table; 12] = [
    Table::of::<EventRow>(),
    Table::of::<ResponseRow>(),
    Table::of::<WeightRow>(),
    Table::of::<LossRow>(),
    Table::of::<ParameterRow>(),
    Table::of::<EpochRow>(),
    Table::of::<BondRow>(),
    Table::of::<TransactionRow>(),
    Table::of::<IncidentRow>(),
    Table::of::<FaultRow>(),
    Table::of::<SpanRow>(),
    Table::of::<MetricRow>(),
];

/// Name of the first column of every table: the id of the run to which a row belongs, so that many runs can be read as
/// one table.
pub const RUN_ID: &str = "run_id";

/// A table by its name, for callers that do not need its rows as Rust types.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name of the table, and of its file without `.parquet`.
    pub name: &'static str,
    /// Description of one row.
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

    /// Returns the table named `name`.
    pub fn named(name: &str) -> Option<Self> {
        TABLES.into_iter().find(|table| table.name == name)
    }

    /// Returns the name of its file in a run's directory and in each part.
    pub fn file_name(&self) -> String {
        file_name(self.name)
    }

    /// Returns the names and types of its columns, [`RUN_ID`] first.
    pub fn schema(&self) -> SchemaRef {
        schema((self.fields)())
    }

    /// Writes the rows of this table among `records` to a new file, in the order of the table, and returns their
    /// number. No file is created if there are no rows.
    pub(crate) fn write(&self, records: &[Record], run_id: &str, file: &Path) -> Result<u64, RunError> {
        (self.write)(records, run_id, file)
    }

    /// Merges the rows of `sources`, each in the order of the table, into one file in that order, and returns their
    /// number. Intermediate files are written in `scratch`.
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

/// The columns of a row type except [`RUN_ID`]. The run of a row is known from the file that contains it.
#[doc(hidden)]
pub trait Columns: Sized + Clone + Send + 'static {
    fn fields() -> Vec<Field>;
    fn arrays<'a>(rows: impl Iterator<Item = &'a Self> + Clone) -> Vec<ArrayRef>;
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, ColumnError>;
    /// Returns the approximate size of the row in memory, in bytes.
    fn bytes(&self) -> usize;
    /// Returns the columns in which two rows differ, compared to the last bit: name and both values.
    fn differing(&self, other: &Self) -> Vec<(&'static str, String, String)>;
}

/// A row of a table.
pub trait Row: Columns {
    /// Name of the table.
    const TABLE: &'static str;
    /// Description of one row.
    const ABOUT: &'static str;
    /// Columns that differ from run to run: times and durations.
    const TIMING: &'static [&'static str];
    /// Columns most of whose values occur once, so that a dictionary of them would make the file larger.
    const DISTINCT: &'static [&'static str] = &[];

    /// Adds the rows of this table in `record`. Rows that do not come from the journal are written with
    /// [`crate::telemetry::Parts`].
    fn read(_record: &Record, _rows: &mut Vec<Self>) {}

    /// Compares two rows in the order of the table. Rows with equal keys keep the order in which they were recorded.
    fn order(&self, other: &Self) -> Ordering;

    /// Identifies the row in its table, for people: `validator-0, step 3, forward 1`.
    fn identity(&self) -> String;
}

/// Defines the struct of a row and, from the same list of fields, its columns.
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

            fn arrays<'a>(rows: impl Iterator<Item = &'a Self> + Clone) -> Vec<arrow_array::ArrayRef> {
                vec![$(<$type as $crate::cell::Cell>::gather(rows.clone().map(|row| &row.$field)),)*]
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
