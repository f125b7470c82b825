//! The files of a journal: their names and their order.

use std::path::{Path, PathBuf};

use crate::JournalError;

const EXTENSION: &str = "journal";

/// The file of segment `number`.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:06}.{EXTENSION}"))
}

/// Number of the newest segment; 0 where there is none. Segments count from 1 without a gap.
pub(crate) fn last(dir: &Path) -> Result<u32, JournalError> {
    let read_error = |source| JournalError::read(dir, source);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(read_error)? {
        let file = PathBuf::from(entry.map_err(read_error)?.file_name());
        let is_segment = file.extension().is_some_and(|extension| extension == EXTENSION);
        let number = file
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u32>().ok());
        if let (true, Some(number)) = (is_segment, number) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            return Err(JournalError::Missing {
                segment: path(dir, expected),
            });
        }
    }
    Ok(numbers.last().copied().unwrap_or(0))
}
