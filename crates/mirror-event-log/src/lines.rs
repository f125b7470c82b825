//! Lines of a plain or gzip file, with a bound on their length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// Maximum length of a line in bytes. An event of a subnet with 4,096 uids has about 1 MB.
pub(crate) const LONGEST_LINE: usize = 16 << 20;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    is_compressed: bool,
    /// Number of the line that was read last, from 1.
    number: u64,
}

/// The next line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line in the caller's buffer, without its line feed.
    Ended,
    /// The last line, in the caller's buffer, if the file does not end with the end of a line.
    Unended,
    /// A line longer than [`LONGEST_LINE`], which was skipped.
    TooLong,
    /// The end of the file.
    End,
    /// The end of what can be decompressed. The rest of the file is missing or damaged, and so is the line that was
    /// being read.
    Damaged,
}

impl Lines {
    /// Opens a file, which is decompressed if it begins as a gzip file does.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        let is_compressed = file.fill_buf()?.starts_with(&GZIP);
        let reader: Box<dyn BufRead> = if is_compressed {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self {
            reader,
            is_compressed,
            number: 0,
        })
    }

    /// Returns the number of the line that was read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line into `buffer`, whose former content is removed.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> io::Result<Line> {
        buffer.clear();
        self.number += 1;
        match self.read(buffer) {
            Err(error) if self.is_compressed && is_damage(&error) => Ok(Line::Damaged),
            line => line,
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Line> {
        let most = LONGEST_LINE as u64 + 2;
        let read = (&mut self.reader).take(most).read_until(b'\n', buffer)?;
        if read == 0 {
            return Ok(Line::End);
        }
        let ended = buffer.pop_if(|last| *last == b'\n').is_some();
        if buffer.len() > LONGEST_LINE {
            if !ended {
                self.reader.skip_until(b'\n')?;
            }
            buffer.clear();
            return Ok(Line::TooLong);
        }
        if self.number == 1 && buffer.starts_with(BYTE_ORDER_MARK) {
            buffer.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(if ended { Line::Ended } else { Line::Unended })
    }
}

/// Returns whether an error of the decompression is caused by the content of the file.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(content: &[u8]) -> (Vec<Vec<u8>>, Line) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, content).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut buffer = Vec::new();
        let mut seen = Vec::new();
        loop {
            match lines.next(&mut buffer).unwrap() {
                Line::Ended => seen.push(buffer.clone()),
                Line::TooLong => seen.push(b"too long".to_vec()),
                Line::Unended => seen.push([b"unended ", buffer.as_slice()].concat()),
                end => return (seen, end),
            }
        }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_are_read_without_their_line_feeds() {
        assert_eq!(read(b""), (vec![], Line::End));
        let expected = vec![b"a\r".to_vec(), b"b".to_vec(), vec![], b"unended c".to_vec()];
        assert_eq!(read(b"\xef\xbb\xbfa\r\nb\n\nc"), (expected, Line::End));
    }

    #[test]
    fn members_of_a_gzip_file_are_joined() {
        let joined = [gzip(b"a\nb"), gzip(b"c\nd\n")].concat();
        assert_eq!(
            read(&joined),
            (vec![b"a".to_vec(), b"bc".to_vec(), b"d".to_vec()], Line::End)
        );
    }

    #[test]
    fn complete_lines_of_a_gzip_file_that_is_cut_off_are_read() {
        let mut content = Vec::new();
        for number in 0..20_000_u32 {
            writeln!(content, "line {number} {}", number.wrapping_mul(2_654_435_761)).unwrap();
        }
        let whole: Vec<_> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let compressed = gzip(&content);
        for cut in [compressed.len() / 2, compressed.len() - 1, 12] {
            let (lines, end) = read(&compressed[..cut]);
            assert_eq!(end, Line::Damaged, "{cut}");
            assert_eq!(lines, whole[..lines.len()], "{cut}");
        }
        let (lines, _) = read(&compressed[..compressed.len() / 2]);
        assert!(lines.len() > 5_000, "{}", lines.len());
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let longest = vec![b'x'; LONGEST_LINE];
        let content = [
            &longest,
            b"\n".as_slice(),
            &longest,
            b"x\n",
            &longest,
            &longest,
            b"\nb\n",
        ]
        .concat();
        let long = b"too long".to_vec();
        let (lines, end) = read(&content);
        assert!(lines[0] == longest);
        assert_eq!(
            (&lines[1..], end),
            (&[long.clone(), long, b"b".to_vec()][..], Line::End)
        );
    }
}
