//! Reads a journal from its first record to its last intact one.

use std::path::{Path, PathBuf};

use crate::frame::{Format, HEADER, Head};
use crate::scan::{Cause, Damage, Item, Scan};
use crate::{JournalError, segment};

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
        /// Sequence number that the segment must begin with. `None` if the previous segment has none.
        expected: Option<u64>,
    },
    Inside(Scan),
    Done,
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
            state: State::Between {
                next: first,
                expected: None,
            },
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
                State::Between { next, .. } if *next > self.last => self.state = State::Done,
                State::Between { next, expected } => {
                    let scan = Scan::open(&self.dir, *next)?;
                    if let (Some(expected), Format::Numbered { head, .. }) = (*expected, scan.format())
                        && head.first != expected
                    {
                        return Err(JournalError::Corrupt {
                            segment: scan.path().to_owned(),
                            offset: 0,
                            reason: "the records between the previous segment and this one are missing",
                        });
                    }
                    self.state = State::Inside(scan);
                }
                State::Inside(scan) => match scan.next()? {
                    Item::Record { bytes, .. } => {
                        return Ok(Some(Entry {
                            segment: scan.number(),
                            bytes,
                        }));
                    }
                    Item::EndOfSegment { .. } => {}
                    Item::EndOfFile => self.state = State::after(scan),
                    Item::Damage(damage) if scan.number() == self.last && may_be_torn(scan, &damage) => {
                        self.torn = damage.bytes;
                        self.state = State::Done;
                    }
                    // The writer has begun the next segment and is writing the mark at the end of this one. The next
                    // segment begins with the sequence number that follows, if no record is missing.
                    Item::Damage(damage)
                        if may_be_torn(scan, &damage) && is_part_of_a_mark(scan, &damage) =>
                    {
                        self.state = State::after(scan);
                    }
                    Item::Damage(damage) => return Err(corrupt(scan, &damage)),
                },
            }
        }
    }
}

impl State {
    fn after(scan: &Scan) -> Self {
        let is_numbered = matches!(scan.format(), Format::Numbered { .. });
        Self::Between {
            next: scan.number() + 1,
            expected: is_numbered.then(|| scan.expected()),
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

/// Returns whether the damage may be the remains of a write that was cut short.
///
/// Such a write leaves an incomplete frame. A power failure can also leave a last page that was never filled. If an
/// intact frame follows, neither is the case: the segment is damaged, and cutting it off would discard valid records.
fn may_be_torn(scan: &Scan, damage: &Damage) -> bool {
    match damage.cause {
        Cause::Short | Cause::Header | Cause::Payload => damage.offset + damage.bytes == scan.size(),
        Cause::CopyOfHead | Cause::Head | Cause::Sequence => false,
    }
}

fn is_part_of_a_mark(scan: &Scan, damage: &Damage) -> bool {
    matches!(scan.format(), Format::Numbered { .. })
        && damage.cause == Cause::Short
        && damage.bytes < HEADER as u64
}

fn corrupt(scan: &Scan, damage: &Damage) -> JournalError {
    JournalError::Corrupt {
        segment: scan.path().to_owned(),
        offset: damage.offset,
        reason: damage.cause.reason(),
    }
}

/// The end of a segment at which a writer continues.
pub(crate) struct End {
    /// Offset after the last intact record.
    pub(crate) offset: u64,
    /// Number of bytes after it.
    pub(crate) torn: u64,
    /// Head of the segment, and number of its next record. `None` if the writer must begin another segment: this one
    /// is full or has the former format.
    pub(crate) next: Option<(Head, u64)>,
}

/// Returns the end of a segment that is not empty.
pub(crate) fn end_of(dir: &Path, number: u32) -> Result<End, JournalError> {
    let mut scan = Scan::open(dir, number)?;
    let mut is_full = false;
    loop {
        let offset = scan.offset();
        let torn = match scan.next()? {
            Item::Record { .. } => continue,
            Item::EndOfSegment { .. } => {
                is_full = true;
                continue;
            }
            Item::EndOfFile => 0,
            Item::Damage(damage) if may_be_torn(&scan, &damage) => damage.bytes,
            Item::Damage(damage) => return Err(corrupt(&scan, &damage)),
        };
        let next = match scan.format() {
            Format::Numbered { head, .. } if !is_full => Some((head, scan.expected())),
            _ => None,
        };
        return Ok(End { offset, torn, next });
    }
}

/// Returns the number of the record after the last intact one of a segment. 0 if its records have no numbers.
pub(crate) fn sequence_after(dir: &Path, number: u32) -> Result<u64, JournalError> {
    let mut scan = Scan::open(dir, number)?;
    while !matches!(scan.next()?, Item::EndOfFile) {}
    Ok(scan.expected())
}
