//! Errors of run directories, with messages for the owner of the run.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use mirror_journal::{JournalError, Loss};
use parquet::errors::ParquetError;

use crate::cell::ColumnError;

/// The reason why a run could not be written, read or found.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The disk or the user's quota is full. Records written until then are kept.
    #[error("no space left to write {}: free some space, then try again or recover the run", path.display())]
    Full {
        /// The file that was being written.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory cannot be written.
    #[error("cannot write {}: the directory is read-only or belongs to another user", path.display())]
    ReadOnly {
        /// The file or directory that was being written.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Any other error of the operating system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The failed operation.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The run's journal could not be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The run's journal is damaged.
    #[error("the journal of run {} is damaged: `mirror runs recover` keeps every intact record", path.display())]
    Damaged {
        /// The run's directory.
        path: PathBuf,
        /// The first damage.
        source: JournalError,
    },
    /// The run cannot be recovered without losses, and losses are not allowed.
    #[error("the journal of run {} has gaps, nothing was written:\n  {}", path.display(), lines(losses))]
    Gaps {
        /// The run's directory.
        path: PathBuf,
        /// The parts of the journal that cannot be read.
        losses: Vec<Loss>,
    },
    /// A Parquet file is damaged or could not be written.
    #[error("cannot read or write table {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The error of the Parquet library.
        source: ParquetError,
    },
    /// A Parquet file has other columns than its table.
    #[error("{} is not a table of a run", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The column and its error.
        source: ColumnError,
    },
    /// The directory contains no manifest.
    #[error("{} is not a run: it has no manifest.json; give the folder of a run, such as runs/<id>", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// A JSON file of a run has unexpected content.
    #[error("{} cannot be read", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The error and its position.
        source: serde_json::Error,
    },
    /// The results of the expectations cannot be written as `JUnit` XML.
    #[error("{} cannot be written", path.display())]
    JUnit {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: quick_junit::SerializeError,
    },
    /// The run was written by a later version.
    #[error("{} has format {found}, but this version supports formats up to {known}: read it with the version that wrote it", path.display())]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// Format of the run.
        found: u64,
        /// The newest supported format.
        known: u64,
    },
    /// The run is still in progress: its coordinator holds the lock.
    #[error("run {} is still in progress: wait until it has ended, or stop it with Ctrl-C", path.display())]
    InProgress {
        /// The run's directory.
        path: PathBuf,
    },
    /// No run matches.
    #[error(
        "no run {wanted:?} in {}: `mirror runs list` shows the runs, and --runs-dir selects another folder",
        runs_dir.display()
    )]
    NotFound {
        /// The requested id.
        wanted: String,
        /// The directory of runs.
        runs_dir: PathBuf,
    },
    /// More than one id begins with the requested text.
    #[error("{wanted:?} matches {} runs; write more characters of the id:\n  {}", candidates.len(), candidates.join("\n  "))]
    Ambiguous {
        /// The requested id.
        wanted: String,
        /// The matching ids, newest first.
        candidates: Vec<String>,
    },
    /// The table has no such column.
    #[error("table {table} has no column {column:?}")]
    NoColumn {
        /// Name of the table.
        table: &'static str,
        /// The requested column.
        column: String,
    },
    /// `responses` contains a call of a forward that is not in `events`.
    #[error("{call} belongs to no event: the run's tables are inconsistent")]
    Orphan {
        /// Description of the call.
        call: String,
    },
    /// The view of the events could not be written.
    #[error("cannot write the events")]
    Export(#[source] io::Error),
}

/// Maximum number of losses in a message.
const SHOWN: usize = 20;

fn lines(losses: &[Loss]) -> String {
    let shown: Vec<String> = losses.iter().take(SHOWN).map(Loss::to_string).collect();
    let more = losses.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("\n  and {more} more")
    } else {
        String::new()
    };
    shown.join("\n  ") + &more
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

    /// Converts an error of the Parquet library. A wrapped error of the operating system, such as a full disk, is
    /// unwrapped.
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

    /// Returns whether the error is caused by a missing file.
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
