//! The files of a journal: their names and their order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::JournalError;

const EXTENSION: &str = "journal";

/// Returns the file of segment `number`.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(name(number))
}

/// Returns the name of the file of segment `number`.
pub(crate) fn name(number: u32) -> String {
    format!("{number:06}.{EXTENSION}")
}

/// Returns the numbers of the oldest and the newest segment. `None` if there is none.
///
/// # Errors
/// Returns [`JournalError::Missing`] if a segment between the two is missing.
pub(crate) fn span(dir: &Path) -> Result<Option<(u32, u32)>, JournalError> {
    let numbers = present(dir)?;
    let (Some(&oldest), Some(&newest)) = (numbers.first(), numbers.last()) else {
        return Ok(None);
    };
    for (expected, number) in (oldest..).zip(&numbers) {
        if *number != expected {
            return Err(JournalError::Missing {
                segment: path(dir, expected),
            });
        }
    }
    Ok(Some((oldest, newest)))
}

/// Returns the numbers of the segments in a folder.
pub(crate) fn present(dir: &Path) -> Result<BTreeSet<u32>, JournalError> {
    let read_error = |source| JournalError::read(dir, source);
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(read_error)? {
        let file = PathBuf::from(entry.map_err(read_error)?.file_name());
        let is_segment = file.extension().is_some_and(|extension| extension == EXTENSION);
        let number = file
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u32>().ok());
        if let (true, Some(number)) = (is_segment, number) {
            numbers.insert(number);
        }
    }
    Ok(numbers)
}
