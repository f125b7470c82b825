//! The log file of a node: the standard error of all its incarnations.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::LastLog;

/// Opens a log for appending.
pub(super) fn append(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Returns the last whole lines of a log, at most `bytes`, or the end of the last line if that line is longer. Invalid
/// UTF-8 is replaced.
pub(crate) fn last(path: &Path, bytes: u64) -> io::Result<LastLog> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(bytes);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    let whole = match text.split_once('\n') {
        Some((_cut, whole)) if start > 0 && !whole.is_empty() => whole,
        _ => &text,
    };
    Ok(LastLog(whole.to_owned()))
}

/// Returns the end of a log as [`last`] does, or the reason why it cannot be read.
pub(super) fn last_or_reason(path: &Path, bytes: u64) -> LastLog {
    last(path, bytes).unwrap_or_else(|error| LastLog(format!("(cannot read its log: {error})")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[track_caller]
    fn check(written: &[u8], bytes: u64, expected: &str) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(written).unwrap();
        assert_eq!(last(file.path(), bytes).unwrap(), LastLog(expected.to_owned()));
    }

    #[test]
    fn the_end_of_a_log_is_whole_lines_within_the_bound() {
        check(b"", 10, "");
        check(b"one\ntwo\n", 100, "one\ntwo\n");
        check(b"one\ntwo\nthree\n", 8, "three\n");
        check(b"one\ntwo\nthree", 7, "three");
        check(b"a line that is too long", 8, "too long");
        check(b"a line that is too long\n", 9, "too long\n");
        check(b"\xff\n", 10, "\u{fffd}\n");
    }
}
