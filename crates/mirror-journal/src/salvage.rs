//! Reads the intact records of a damaged journal.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::frame::Format;
use crate::scan::{Cause, Damage, Item, Scan};
use crate::{JournalError, segment};

/// Maximum number of losses that are described for one segment. The last of them extends to the last damage.
const MAX_LOSSES: usize = 1_000;

/// Part of a journal that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Loss {
    /// Bytes of a segment are damaged, or were removed.
    Bytes {
        /// Number of the segment, from 1.
        segment: u32,
        /// Offset of the first damaged byte in the file of the segment, in bytes.
        offset: u64,
        /// Number of damaged bytes. 0 if records were removed without a trace.
        bytes: u64,
        /// Records that cannot be read.
        missing: Missing,
    },
    /// The files of consecutive segments are missing.
    Segments {
        /// Number of the first missing segment.
        first: u32,
        /// Number of the last missing segment.
        last: u32,
        /// Records that cannot be read.
        missing: Missing,
    },
}

/// The records that a damage made unreadable, by their sequence numbers. The first record of a journal has number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "records", rename_all = "snake_case")]
pub enum Missing {
    /// No record: only bytes around records are damaged.
    Nothing,
    /// These records.
    Range {
        /// First missing record.
        first: u64,
        /// Last missing record.
        last: u64,
    },
    /// The end of the journal is missing, from this record on. The number of records in it is unknown.
    From {
        /// First missing record.
        first: u64,
    },
    /// Unknown, because the records around the damage have no sequence numbers.
    Unknown,
}

impl Missing {
    /// Creates the range from `first` to the record before `end`.
    fn between(first: u64, end: u64) -> Self {
        match end.checked_sub(1) {
            Some(last) if last >= first => Self::Range { first, last },
            _ => Self::Nothing,
        }
    }

    /// Returns the smallest range that contains both.
    fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Nothing, missing) | (missing, Self::Nothing) => missing,
            (Self::Range { first, .. }, Self::Range { last, .. }) => Self::Range { first, last },
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Range { first, .. }, Self::From { .. }) | (Self::From { first }, _) => {
                Self::From { first }
            }
        }
    }
}

impl Loss {
    /// Returns the records that cannot be read.
    pub fn missing(&self) -> Missing {
        match self {
            Self::Bytes { missing, .. } | Self::Segments { missing, .. } => *missing,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "no record is missing"),
            Self::Range { first, last } if first == last => write!(f, "record {first} is missing"),
            Self::Range { first, last } => {
                let count = (last - first).saturating_add(1);
                write!(f, "records {first} to {last} are missing ({count})")
            }
            Self::From { first } => write!(f, "the records from {first} on are missing, an unknown number"),
            Self::Unknown => write!(f, "an unknown number of records is missing"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = |number: u32| segment::name(number);
        match self {
            Self::Bytes {
                segment,
                offset,
                bytes: 0,
                missing,
            } => write!(f, "{}, byte {offset}: {missing}", file(*segment)),
            Self::Bytes {
                segment,
                offset,
                bytes,
                missing,
            } => {
                let unit = if *bytes == 1 { "byte" } else { "bytes" };
                write!(
                    f,
                    "{}, byte {offset}: {bytes} {unit} damaged, {missing}",
                    file(*segment)
                )
            }
            Self::Segments { first, last, missing } if first == last => {
                write!(f, "{}: the file does not exist, {missing}", file(*first))
            }
            Self::Segments { first, last, missing } => write!(
                f,
                "{} to {}: {} files do not exist, {missing}",
                file(*first),
                file(*last),
                last - first + 1
            ),
        }
    }
}

/// A journal that may be damaged.
#[derive(Debug)]
pub struct Salvage {
    dir: PathBuf,
    present: BTreeSet<u32>,
    saved: BTreeSet<u32>,
    /// Number of the newest segment that is known to have existed, 0 if there is none.
    newest: u32,
    /// Number of the record after the last one. `None` if it is unknown.
    end: Option<u64>,
}

/// The result of reading a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// The parts that cannot be read, in their order.
    pub losses: Vec<Loss>,
    /// Number of bytes of an incomplete record at the end of the journal. Either its write was cut short, or the end of
    /// the file was cut off later.
    pub torn: u64,
}

impl Salvage {
    /// Opens the journal in `dir`. The records of the segments in `saved` have been stored elsewhere, so these segments
    /// may be missing. `end` is the sequence number that followed the last record when the journal was complete. It is
    /// `None` if it is unknown because the writer was killed.
    pub fn open(
        dir: impl Into<PathBuf>,
        saved: BTreeSet<u32>,
        end: Option<u64>,
    ) -> Result<Self, JournalError> {
        let dir = dir.into();
        let present = if dir.exists() {
            segment::present(&dir)?
        } else {
            BTreeSet::new()
        };
        let mut newest = present.iter().chain(&saved).max().copied().unwrap_or(0);
        if present.contains(&newest) && is_full(&dir, newest)? {
            newest = newest.saturating_add(1);
        }
        Ok(Self {
            dir,
            present,
            saved,
            newest,
            end,
        })
    }

    /// Returns the numbers of the segments that exist and are not saved, in ascending order.
    pub fn segments(&self) -> impl Iterator<Item = u32> {
        self.present.difference(&self.saved).copied()
    }

    /// Returns the segments that must have existed and are missing.
    pub fn missing_segments(&self) -> Result<Vec<Loss>, JournalError> {
        let mut known: BTreeSet<u32> = self.present.union(&self.saved).copied().collect();
        // A segment after the newest one ends the last gap.
        known.insert(self.newest.saturating_add(1));
        let mut losses = Vec::new();
        let mut before = 0;
        for next in known {
            if next > before + 1 {
                let (first, last) = (before + 1, next - 1);
                let missing = match (self.end_of(before)?, self.begin_of(next)?) {
                    (Some(first), Some(end)) => Missing::between(first, end),
                    (Some(first), None) => Missing::From { first },
                    (None, _) => Missing::Unknown,
                };
                losses.push(Loss::Segments { first, last, missing });
            }
            before = next;
        }
        if self.newest == 0
            && let Some(end) = self.end.filter(|end| *end > 0)
        {
            losses.push(Loss::Segments {
                first: 1,
                last: 1,
                missing: Missing::between(0, end),
            });
        }
        Ok(losses)
    }

    /// Reads a segment that exists, and passes the payload of each intact record to `record`.
    ///
    /// One record at a time is in memory. The time is proportional to the size of the segment.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self, number: u32, mut record: impl FnMut(Vec<u8>)) -> Result<Salvaged, JournalError> {
        let mut scan = Scan::open(&self.dir, number)?;
        let format = scan.format();
        let mut found = Findings {
            segment: number,
            losses: Vec::new(),
        };
        let mut is_full = false;
        // The damage before the next frame, and the number of its first record.
        let mut damage: Option<(Damage, u64)> = None;
        loop {
            let expected = scan.expected();
            let sequence = match scan.next()? {
                Item::Record { bytes, sequence } => {
                    record(bytes);
                    sequence
                }
                Item::EndOfSegment { sequence } => {
                    is_full = true;
                    Some(sequence)
                }
                Item::Damage(copy) if copy.cause == Cause::CopyOfHead => {
                    found.lose(copy.offset, copy.bytes, Missing::Nothing);
                    continue;
                }
                Item::Damage(new) => {
                    damage = Some((new, expected));
                    continue;
                }
                Item::EndOfFile => break,
            };
            if let Some((damage, expected)) = damage.take() {
                let missing = sequence.map_or(Missing::Unknown, |next| Missing::between(expected, next));
                found.lose(damage.offset, damage.bytes, missing);
            }
        }

        let is_last = self.is_last(number)?;
        let follows = match self.begin_of(number.saturating_add(1))? {
            None if is_last => self.end,
            begin => begin,
        };
        let has_numbers = matches!(format, Format::Numbered { .. });
        let begins = match (&damage, format) {
            (Some((_, expected)), Format::Numbered { .. }) => Some(*expected),
            (None, Format::Numbered { .. }) => Some(scan.expected()),
            (_, Format::Former) if scan.size() > 0 => None,
            _ => self.end_of(number.saturating_sub(1))?,
        };
        let last = damage.and_then(|(damage, _)| damage.last);
        let missing = match (begins, follows.or(last.map(|last| last.saturating_add(1)))) {
            (Some(first), Some(end)) => Missing::between(first, end),
            (Some(first), None) => Missing::From { first },
            (None, _) => Missing::Unknown,
        };
        let missing = if is_full { Missing::Nothing } else { missing };
        let mut torn = 0;
        match damage {
            Some((damage, _)) if damage.cause == Cause::Short && is_last && follows.is_none() => {
                torn = damage.bytes;
            }
            Some((damage, _)) => found.lose(damage.offset, damage.bytes, missing),
            // A segment of the former format does not show that its end was cut off.
            None if !has_numbers && scan.size() > 0 => {}
            None if is_last && follows.is_none() => {}
            None if missing == Missing::Nothing => {}
            None => found.lose(scan.size(), 0, missing),
        }
        Ok(Salvaged {
            losses: found.losses,
            torn,
        })
    }

    /// Returns whether no later segment is known to contain a record.
    fn is_last(&self, number: u32) -> Result<bool, JournalError> {
        if number >= self.newest {
            return Ok(true);
        }
        // A writer that is killed between two segments leaves an empty one.
        let next = number.saturating_add(1);
        Ok(next == self.newest && self.present.contains(&next) && Scan::open(&self.dir, next)?.size() == 0)
    }

    /// Returns the sequence number of the first record of a segment. For the segment after the newest one, it is the
    /// end of the journal. `None` if it is unknown.
    fn begin_of(&self, number: u32) -> Result<Option<u64>, JournalError> {
        if number > self.newest {
            return Ok(self.end);
        }
        if !self.present.contains(&number) {
            return Ok(None);
        }
        Ok(match Scan::open(&self.dir, number)?.format() {
            Format::Numbered { head, .. } => Some(head.first),
            _ => None,
        })
    }

    /// Returns the number of the record after the last intact one of a segment. `None` if it is unknown.
    fn end_of(&self, number: u32) -> Result<Option<u64>, JournalError> {
        if number == 0 {
            return Ok(Some(0));
        }
        if !self.present.contains(&number) {
            return Ok(None);
        }
        let mut scan = Scan::open(&self.dir, number)?;
        while !matches!(scan.next()?, Item::EndOfFile) {}
        Ok(match scan.format() {
            Format::Numbered { .. } => Some(scan.expected()),
            _ => None,
        })
    }
}

/// Returns whether a segment ends with the mark of a full segment.
fn is_full(dir: &Path, number: u32) -> Result<bool, JournalError> {
    let mut scan = Scan::open(dir, number)?;
    loop {
        match scan.next()? {
            Item::EndOfSegment { .. } => return Ok(true),
            Item::EndOfFile => return Ok(false),
            Item::Record { .. } | Item::Damage(_) => {}
        }
    }
}

/// The losses of a segment.
struct Findings {
    segment: u32,
    losses: Vec<Loss>,
}

impl Findings {
    fn lose(&mut self, offset: u64, bytes: u64, missing: Missing) {
        if self.losses.len() < MAX_LOSSES {
            self.losses.push(Loss::Bytes {
                segment: self.segment,
                offset,
                bytes,
                missing,
            });
        } else if let Some(Loss::Bytes {
            offset: begin,
            bytes: length,
            missing: before,
            ..
        }) = self.losses.last_mut()
        {
            *length = (offset + bytes).saturating_sub(*begin);
            *before = before.and(missing);
        }
    }
}
