//! A bound on the log of a foreign program, whose standard output and standard error are the file itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

/// Size in bytes from which a log is shortened. Between two checks it can grow further.
const LONGEST: u64 = 8 << 20;

/// Number of bytes at the end of a log that are kept.
const KEPT: u64 = 64 << 10;

/// Shortens the log to its end if it is too long. The log is the standard error of this process, to which it appends.
/// Anything but a file stays as it is.
pub(super) fn shorten() {
    // The program must not be affected, and the next check tries again.
    let _ = try_shorten(LONGEST, KEPT);
}

fn try_shorten(longest: u64, kept: u64) -> io::Result<()> {
    let log = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let metadata = log.metadata()?;
    if !metadata.is_file() || metadata.len() <= longest {
        return Ok(());
    }
    shorten_file(log, File::open("/proc/self/fd/2")?, kept)
}

/// Keeps the whole lines in the last `kept` bytes of a file. `log` is opened for appending and `reader` for reading.
fn shorten_file(mut log: File, mut reader: File, kept: u64) -> io::Result<()> {
    reader.seek(SeekFrom::End(-i64::try_from(kept).unwrap_or(i64::MAX)))?;
    let mut end = Vec::new();
    reader.take(kept).read_to_end(&mut end)?;
    let whole = end.iter().position(|byte| *byte == b'\n');
    let whole = whole.map_or(&end[..], |line_end| &end[line_end + 1..]);
    log.set_len(0)?;
    log.write_all(b"(the log was too long, so that its beginning was removed)\n")?;
    log.write_all(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_of_a_long_log_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("miner-3.log");
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a file");
        for line in 0..1_000 {
            writeln!(log, "line {line}").expect("the file can be written");
        }
        let reader = File::open(&path).expect("the file can be read");
        shorten_file(log.try_clone().expect("a handle"), reader, 20).expect("the file can be shortened");
        // The program continues with its handle.
        writeln!(log, "line 1000").expect("the file can be written");
        let left = std::fs::read_to_string(&path).expect("text");
        assert_eq!(
            left,
            "(the log was too long, so that its beginning was removed)\nline 998\nline 999\nline 1000\n"
        );
    }
}
