//! Errors of an analysis, with messages for the owner of the run.

use std::io;
use std::path::PathBuf;

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
