//! What can go wrong with a journal, in words for the person whose disk it is.

use std::io;
use std::path::{Path, PathBuf};

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk, or the user's share of it, is full. Nothing of the batch was kept; after making room it can be
    /// appended again.
    #[error("no space left for {}: free some and try again", path.display())]
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
    /// Another writer has the journal open.
    #[error("journal {} is being written by another process", dir.display())]
    InUse {
        /// the journal's folder
        dir: PathBuf,
    },
    /// A record larger than [`MAX_RECORD`](crate::MAX_RECORD), or a batch larger than [`MAX_BATCH`](crate::MAX_BATCH).
    /// Nothing of the batch was written.
    #[error("{what} of {bytes} bytes is larger than the {limit} that a journal takes")]
    TooLarge {
        /// "a record" or "a batch"
        what: &'static str,
        /// its size
        bytes: usize,
        /// the largest size allowed
        limit: usize,
    },
    /// A record is damaged, and not by a write that was cut short.
    #[error("record at byte {offset} of {} is damaged: {reason}", segment.display())]
    Corrupt {
        /// the segment's file
        segment: PathBuf,
        /// where in it the record begins
        offset: u64,
        /// what is wrong with it
        reason: &'static str,
    },
    /// A segment between the first and the last is not there.
    #[error("segment {} of the journal is missing", segment.display())]
    Missing {
        /// the file that should be there
        segment: PathBuf,
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
