//! Errors of a journal.

use std::io;
use std::path::{Path, PathBuf};

/// Reading or writing a journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the user's quota is full. Nothing of the batch was kept; it can be appended again once there is
    /// space.
    #[error("no space left for {}: free some space and try again", path.display())]
    Full {
        /// File that was being written.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The folder cannot be written.
    #[error("cannot write {}: the folder is read-only or belongs to another user", path.display())]
    ReadOnly {
        /// File or folder that was being written.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another writer has the journal open.
    #[error("journal {} is being written by another process", dir.display())]
    InUse {
        /// Folder of the journal.
        dir: PathBuf,
    },
    /// A record exceeds [`MAX_RECORD`](crate::MAX_RECORD), or a batch exceeds [`MAX_BATCH`](crate::MAX_BATCH). Nothing
    /// of the batch was written.
    #[error("{what} of {bytes} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// "a record" or "a batch".
        what: &'static str,
        /// Size in bytes.
        bytes: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// A record is damaged, and not because a write was cut short.
    #[error("record at byte {offset} of {} is damaged: {reason}", segment.display())]
    Corrupt {
        /// File of the segment.
        segment: PathBuf,
        /// Offset of the record in the file, in bytes.
        offset: u64,
        /// Reason for which the record is considered damaged.
        reason: &'static str,
    },
    /// A segment between the first and the last is missing.
    #[error("segment {} of the journal is missing", segment.display())]
    Missing {
        /// File that is missing.
        segment: PathBuf,
    },
    /// Any other error of the operating system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// Operation that failed.
        action: &'static str,
        /// File or folder of the operation.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl JournalError {
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
}
