//! The lock that says a run goes on. It falls with the process that holds it, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;

use crate::error::RunError;
use crate::layout::Layout;

/// Held by the one process that writes the run.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock, or says that the run goes on.
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
            // Those who only look ([`is_held`]) share it for an instant; a writer shares it with nobody.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(write_error)?,
                Err(TryLockError::Error(source)) => return Err(write_error(source)),
                Err(TryLockError::WouldBlock) => {
                    return Err(RunError::GoingOn {
                        path: layout.root().to_owned(),
                    });
                }
            }
        }
    }
}

/// Whether some process writes the run.
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
