//! Reads a journal from its first record to its last intact one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::frame::{HEADER, Header};
use crate::{JournalError, MAX_RECORD, segment};

/// Distance after a broken frame within which an intact frame is searched for, in bytes.
const SEARCHED: u64 = 64 << 20;

/// Maximum number of bytes whose checksum is computed in that search.
const CHECKED: u64 = 4 << 30;

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of its segment.
    pub segment: u32,
    /// Payload, as it was appended.
    pub bytes: Vec<u8>,
}

/// An iterator over the records of a journal, in the order in which they were appended.
///
/// The iterator ends before a torn tail of the newest segment ([`Reader::torn`] returns its size), and after the first
/// error. It can read while a writer writes, and holds one record at a time. Of the segment that was the newest when
/// the reader was opened, it returns the records that are present when it reaches the segment. It returns no records of
/// later segments.
pub struct Reader {
    dir: PathBuf,
    oldest: u32,
    last: u32,
    state: State,
    torn: u64,
}

enum State {
    /// Before the first byte of a segment.
    Between {
        next: u32,
    },
    Inside(Segment),
    Done,
}

struct Segment {
    number: u32,
    path: PathBuf,
    file: BufReader<File>,
    /// Offset of the next frame.
    offset: u64,
    /// Size of the file when it was opened, in bytes.
    size: u64,
}

/// Result of reading a frame.
enum Frame {
    Intact(Vec<u8>),
    /// The segment ends before the end of the frame.
    Short,
    /// The length exceeds the maximum size of a record.
    Nonsense,
    /// The frame is complete and the checksum is wrong.
    Damaged,
}

impl Reader {
    /// Reads from the first record on. A folder without segments is a journal without records.
    ///
    /// # Errors
    /// Returns [`JournalError::Missing`] if the first segments of the journal are missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, JournalError> {
        Self::from_segment(dir, 1)
    }

    /// Reads from the first record on that [`Writer::remove_before`](crate::Writer::remove_before) has left.
    pub fn oldest(dir: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let dir = dir.into();
        let first = segment::span(&dir)?.map_or(1, |(oldest, _)| oldest);
        Self::from_segment(dir, first)
    }

    /// Reads from the first record of segment `first` on. There are no records if the journal ends before that segment.
    ///
    /// # Errors
    /// Returns [`JournalError::Missing`] if the journal begins later.
    pub fn from_segment(dir: impl Into<PathBuf>, first: u32) -> Result<Self, JournalError> {
        let dir = dir.into();
        let first = first.max(1);
        let (oldest, newest) = segment::span(&dir)?.unwrap_or((first, 0));
        if first < oldest {
            return Err(JournalError::Missing {
                segment: segment::path(&dir, first),
            });
        }
        Ok(Self {
            dir,
            oldest: first,
            last: newest,
            state: State::Between { next: first },
            torn: 0,
        })
    }

    /// Returns the number of the segment from which the reader reads.
    pub fn first_segment(&self) -> u32 {
        self.oldest
    }

    /// Returns the number of the newest segment when the reader was opened, 0 if there was none.
    pub fn newest_segment(&self) -> u32 {
        self.last
    }

    /// Returns the number of bytes after the last intact record, once the iterator has ended: the part of a record that
    /// a killed writer had written.
    pub fn torn(&self) -> u64 {
        self.torn
    }

    fn advance(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            match &mut self.state {
                State::Done => return Ok(None),
                State::Between { next } if *next > self.last => self.state = State::Done,
                State::Between { next } => {
                    let number = *next;
                    self.state = State::Inside(Segment::open(&self.dir, number)?);
                }
                State::Inside(segment) if segment.offset == segment.size => {
                    self.state = State::Between {
                        next: segment.number + 1,
                    };
                }
                State::Inside(segment) => {
                    let number = segment.number;
                    if let Some(bytes) = segment.record(number == self.last)? {
                        return Ok(Some(Entry {
                            segment: number,
                            bytes,
                        }));
                    }
                    self.torn = segment.size - segment.offset;
                    self.state = State::Done;
                }
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if let Some(Err(_)) = item {
            self.state = State::Done;
        }
        item
    }
}

/// Returns the offset at which the intact records of a segment end, and the number of bytes after it. A writer
/// continues at this offset.
pub(crate) fn intact_end(dir: &Path, number: u32) -> Result<(u64, u64), JournalError> {
    let mut segment = Segment::open(dir, number)?;
    while segment.offset < segment.size && segment.record(true)?.is_some() {}
    Ok((segment.offset, segment.size - segment.offset))
}

impl Segment {
    fn open(dir: &Path, number: u32) -> Result<Self, JournalError> {
        let path = segment::path(dir, number);
        let read_error = |source| JournalError::read(&path, source);
        let file = File::open(&path).map_err(read_error)?;
        let size = file.metadata().map_err(read_error)?.len();
        Ok(Self {
            number,
            file: BufReader::with_capacity(64 << 10, file),
            offset: 0,
            size,
            path,
        })
    }

    /// Returns the next record. `None` if the segment ends in a torn tail, which only the newest segment may have.
    ///
    /// A write that was cut short leaves an incomplete frame. A power failure can also leave a last page that was never
    /// filled. If an intact frame follows, neither is the case: the segment is damaged, and cutting it off would
    /// discard valid records.
    fn record(&mut self, newest: bool) -> Result<Option<Vec<u8>>, JournalError> {
        let begin = self.offset;
        let reason = match self.frame()? {
            Frame::Intact(payload) => return Ok(Some(payload)),
            Frame::Short => "it extends past the end of the segment",
            Frame::Nonsense => "its length exceeds the maximum",
            Frame::Damaged => "its checksum is wrong",
        };
        self.offset = begin;
        if newest && !self.has_intact_frame_behind(begin)? {
            return Ok(None);
        }
        Err(JournalError::Corrupt {
            segment: self.path.clone(),
            offset: begin,
            reason,
        })
    }

    /// Returns whether a complete record begins at any byte after `begin`. All offsets are tried, because a damaged
    /// length leaves the start of the next frame unknown.
    fn has_intact_frame_behind(&mut self, begin: u64) -> Result<bool, JournalError> {
        let mut bytes = Vec::new();
        self.seek(begin)?;
        (&mut self.file)
            .take((self.size - begin).min(SEARCHED))
            .read_to_end(&mut bytes)
            .map_err(|source| JournalError::read(&self.path, source))?;
        self.seek(begin)?;
        let frames = (1..bytes.len()).filter_map(|at| bytes.get(at..)?.split_first_chunk::<HEADER>());
        let mut room = CHECKED;
        for (header, rest) in frames {
            let header = Header::from_bytes(*header);
            let Some(payload) = rest.get(..header.length as usize) else {
                continue;
            };
            // A cut write leaves only a few records to search. The bound limits the search in other cases.
            room = match room.checked_sub(payload.len() as u64) {
                Some(room) => room,
                None => return Ok(false),
            };
            if header.matches(payload) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn seek(&mut self, offset: u64) -> Result<(), JournalError> {
        self.file
            .seek(SeekFrom::Start(offset))
            .map_err(|source| JournalError::read(&self.path, source))?;
        Ok(())
    }

    /// Reads one frame. `offset` advances only if the frame is complete.
    fn frame(&mut self) -> Result<Frame, JournalError> {
        let left = self.size - self.offset;
        if left < HEADER as u64 {
            return Ok(Frame::Short);
        }
        let mut header = [0; HEADER];
        self.fill(&mut header)?;
        let header = Header::from_bytes(header);
        let length = header.length as usize;
        if length > MAX_RECORD {
            return Ok(Frame::Nonsense);
        }
        if left - (HEADER as u64) < u64::from(header.length) {
            return Ok(Frame::Short);
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        self.offset += (HEADER + length) as u64;
        if header.matches(&payload) {
            Ok(Frame::Intact(payload))
        } else {
            Ok(Frame::Damaged)
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.file
            .read_exact(bytes)
            .map_err(|source| JournalError::read(&self.path, source))
    }
}
