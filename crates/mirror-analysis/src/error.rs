//! What can go wrong with an analysis, in words for the person whose run it is.

use std::io;
use std::path::PathBuf;

use mirror_runs::RunError;

/// Why a run could not be analysed or its report not be written.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// The run's tables could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A table lacks a column, or the column holds something else.
    #[error(
        "table {table} has no column {column} of the type that is read here: was the run written by another version?"
    )]
    Column {
        /// the table
        table: &'static str,
        /// the column
        column: &'static str,
    },
    /// The page could not be filled.
    #[error("cannot make the report")]
    Page(#[from] askama::Error),
    /// The page could not be written.
    #[error("cannot write the report {}", path.display())]
    Write {
        /// its file
        path: PathBuf,
        /// the operating system's word
        source: io::Error,
    },
}
