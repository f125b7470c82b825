//! What can go wrong with a run directory, in words for the person whose run it is.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use mirror_journal::JournalError;
use parquet::errors::ParquetError;

use crate::cell::ColumnError;

/// Why a run could not be written, read or found.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The disk, or the user's share of it, is full. What was recorded until then is kept.
    #[error("no space left for {}: free some, then try again or recover the run", path.display())]
    Full {
        /// the file that was being written
        path: PathBuf,
        /// the operating system's word
        source: io::Error,
    },
    /// The folder cannot be written.
    #[error("cannot write {}: the folder is read-only or belongs to somebody else", path.display())]
    ReadOnly {
        /// the file or folder that was being written
        path: PathBuf,
        /// the operating system's word
        source: io::Error,
    },
    /// Any other failure of the operating system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// what was being done
        action: &'static str,
        /// to which file or folder
        path: PathBuf,
        /// the operating system's word
        source: io::Error,
    },
    /// The run's journal could not be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A Parquet file is damaged, or could not be written.
    #[error("table {} cannot be used", path.display())]
    Parquet {
        /// the file
        path: PathBuf,
        /// what the Parquet library says
        source: ParquetError,
    },
    /// A Parquet file holds other columns than its table.
    #[error("table {} is not one of a run's", path.display())]
    Columns {
        /// the file
        path: PathBuf,
        /// which column
        source: ColumnError,
    },
    /// The folder holds no manifest.
    #[error("{} is not a run: it has no manifest.json", path.display())]
    NotARun {
        /// the folder
        path: PathBuf,
    },
    /// A run's JSON file says something else than it should.
    #[error("{} cannot be read", path.display())]
    Json {
        /// the file
        path: PathBuf,
        /// what is wrong and where
        source: serde_json::Error,
    },
    /// The expectations cannot be written as the XML of `JUnit`.
    #[error("{} cannot be written", path.display())]
    JUnit {
        /// the file
        path: PathBuf,
        /// what is wrong
        source: quick_junit::SerializeError,
    },
    /// The run was written by a later version.
    #[error("{} has format {found}, and this version knows formats up to {known}: read it with the version that wrote it", path.display())]
    NewerFormat {
        /// the manifest
        path: PathBuf,
        /// its format
        found: u64,
        /// the newest one known here
        known: u64,
    },
    /// The run goes on: its coordinator holds the lock.
    #[error("run {} is still going on", path.display())]
    GoingOn {
        /// the run's folder
        path: PathBuf,
    },
    /// Nothing by that name.
    #[error("no run {wanted:?} in {}", runs_dir.display())]
    NotFound {
        /// what was looked for
        wanted: String,
        /// where
        runs_dir: PathBuf,
    },
    /// The beginning of more than one id.
    #[error("{wanted:?} matches {} runs:\n  {}", candidates.len(), candidates.join("\n  "))]
    Ambiguous {
        /// what was looked for
        wanted: String,
        /// the ids that begin so, newest first
        candidates: Vec<String>,
    },
    /// A table has no such column.
    #[error("table {table} has no column {column:?}")]
    NoColumn {
        /// the table
        table: &'static str,
        /// what was asked for
        column: String,
    },
    /// `responses` holds a call of a forward that is not in `events`.
    #[error("{call} belongs to no event: the run's tables do not fit each other")]
    Orphan {
        /// which call
        call: String,
    },
    /// The view of the events could not be written out.
    #[error("cannot write the events out")]
    Export(#[source] io::Error),
}

impl RunError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, source }
            }
            _ => Self::Io {
                action: "write",
                path,
                source,
            },
        }
    }

    /// The Parquet library wraps the operating system's errors; a full disk is still called one.
    pub(crate) fn parquet(path: &Path, source: ParquetError) -> Self {
        match source {
            ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                Ok(cause) => Self::write(path, *cause),
                Err(cause) => Self::Parquet {
                    path: path.to_owned(),
                    source: ParquetError::External(cause),
                },
            },
            source => Self::Parquet {
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Whether a file was not where it was looked for.
    pub(crate) fn is_absence(&self) -> bool {
        if matches!(self, Self::Journal(JournalError::Missing { .. })) {
            return true;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return io.kind() == io::ErrorKind::NotFound;
            }
            cause = error.source();
        }
        false
    }
}
