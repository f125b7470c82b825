//! The lock of a run in progress. The operating system releases it when the process that holds it exits.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;

use crate::error::RunError;
use crate::layout::Layout;

/// The lock, held by the only process that writes the run.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Acquires the lock. Returns [`RunError::InProgress`] if another process holds it.
    pub(crate) fn take(layout: &Layout) -> Result<Self, RunError> {
        let path = layout.lock();
        let write_error = |source| RunError::write(&path, source);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(write_error)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(source)) => return Err(write_error(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            // A process that only checks the lock ([`is_held`]) acquires a shared lock for an instant. A writer holds
            // an exclusive lock.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(write_error)?,
                Err(TryLockError::Error(source)) => return Err(write_error(source)),
                Err(TryLockError::WouldBlock) => {
                    return Err(RunError::InProgress {
                        path: layout.root().to_owned(),
                    });
                }
            }
        }
    }
}

/// Returns whether a process is writing the run.
pub(crate) fn is_held(layout: &Layout) -> Result<bool, RunError> {
    let path = layout.lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(RunError::read(&path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(RunError::read(&path, source)),
    }
}
