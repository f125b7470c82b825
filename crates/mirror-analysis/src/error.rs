//! Errors of an analysis, with messages for the owner of the run.

use std::io;
use std::path::PathBuf;

use arrow_schema::ArrowError;
use mirror_runs::RunError;

/// The reason why a run could not be analysed, or why its report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// The run's tables could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A table lacks a column, or the column has another type.
    #[error(
        "table {table} has no column {column} of the expected type: the run was probably written by another version"
    )]
    Column {
        /// Name of the table.
        table: &'static str,
        /// Name of the column.
        column: &'static str,
    },
    /// A call belongs to no event: a table is damaged.
    #[error(
        "the tables are damaged: the call of {validator} to uid {uid} in step {step}, forward {forward_index}, belongs to \
         no event"
    )]
    Orphan {
        /// Name of the validator that made the call.
        validator: String,
        /// Step of the call.
        step: u64,
        /// Forward index of the call.
        forward_index: u32,
        /// The uid that was called.
        uid: u32,
    },
    /// There is no run to read.
    #[error("there is no run to report on")]
    NoRun,
    /// A table contains a uid that cannot exist.
    #[error("the tables are damaged: they contain uid {uid}, but the largest uid is 65535")]
    Uid {
        /// The uid.
        uid: u32,
    },
    /// Batches of a table have different columns.
    #[error("cannot join two batches of the table responses")]
    Batches(#[source] ArrowError),
    /// There is no browser that could draw the plots.
    #[error("cannot draw the plots: Chromium is not installed (`apt-get install chromium`)")]
    NoBrowser,
    /// The browser failed.
    #[error("cannot draw the plots: Chromium failed: {0}")]
    Browser(String),
    /// The page could not be rendered.
    #[error("cannot render the report")]
    Page(#[from] askama::Error),
    /// The page could not be written.
    #[error("cannot write the report {}", path.display())]
    Write {
        /// File of the report.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}
