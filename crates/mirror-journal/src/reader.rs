//! Reads a journal from its first record to its last intact one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::frame::{HEADER, Header};
use crate::{JournalError, MAX_RECORD, segment};

/// How far behind a broken frame an intact one is looked for, bytes.
const SEARCHED: u64 = 64 << 20;

/// Most bytes whose checksum is computed in that search.
const CHECKED: u64 = 4 << 30;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// the segment it lies in
    pub segment: u32,
    /// its payload, as it was appended
    pub bytes: Vec<u8>,
}

/// An iterator over the records of a journal, in the order in which they were appended.
///
/// It ends before a torn tail of the newest segment ([`Reader::torn`] says how long that is), and after the first
/// error. It may read while a writer writes, and holds one record at a time. Of the segment that was the newest when
/// the reader was opened it sees what was there when it came to it; of later segments nothing.
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
    /// Where the next frame begins.
    offset: u64,
    /// Bytes in the file when it was opened.
    size: u64,
}

/// What lies at the place where a frame should begin.
enum Frame {
    Intact(Vec<u8>),
    /// Fewer bytes than the frame needs.
    Short,
    /// The length is larger than any record's.
    Nonsense,
    /// All bytes are there and the checksum is wrong.
    Damaged,
}

impl Reader {
    /// From the first record on. A folder without segments is a journal without records.
    ///
    /// # Errors
    /// [`JournalError::Missing`] for a journal whose first segments are not there.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, JournalError> {
        Self::from_segment(dir, 1)
    }

    /// From the first record on that a writer has [left](crate::Writer::remove_before).
    pub fn oldest(dir: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let dir = dir.into();
        let first = segment::span(&dir)?.map_or(1, |(oldest, _)| oldest);
        Self::from_segment(dir, first)
    }

    /// From the first record of segment `first` on. Nothing where the journal does not reach that far.
    ///
    /// # Errors
    /// [`JournalError::Missing`] where it begins later.
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

    /// Number of the segment from which it reads.
    pub fn first_segment(&self) -> u32 {
        self.oldest
    }

    /// Number of the newest segment when the reader was opened; 0 where there was none.
    pub fn newest_segment(&self) -> u32 {
        self.last
    }

    /// Bytes after the last intact record, once the iterator has ended: what a killed writer had begun to write.
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

/// Where the intact records of one segment end, and how many bytes lie behind. For the segment that a writer goes on
/// with.
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

    /// The next record. `None` where the segment ends in a torn tail, which only the journal's newest may.
    ///
    /// A write that was cut short leaves a frame without its end; a power cut may besides leave a last page that was
    /// never filled. Anything with an intact frame behind it is neither: that is damage, and cutting it off would throw
    /// good records away.
    fn record(&mut self, newest: bool) -> Result<Option<Vec<u8>>, JournalError> {
        let begin = self.offset;
        let reason = match self.frame()? {
            Frame::Intact(payload) => return Ok(Some(payload)),
            Frame::Short => "it reaches past the segment's end",
            Frame::Nonsense => "its length is larger than any record",
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

    /// Whether there is a whole record anywhere behind `begin`: where the length of the frame there is damaged, nobody
    /// knows where the next begins.
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
            // What is searched is a few records long where a write was cut; beyond, the search must end.
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

    /// Reads one frame; `offset` moves behind it only where all of it is there.
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
