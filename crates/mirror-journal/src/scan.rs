//! Reads one segment and finds the next intact frame after damage.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::frame::{COPY, Content, FORMER_HEADER, Format, FormerHeader, HEAD, HEADER, Header};
use crate::{JournalError, MAX_RECORD, segment};

/// Maximum size of the buffer in which headers are searched for, in bytes.
const WINDOW: usize = 64 << 10;

/// Distance after a broken frame of the former format within which an intact frame is searched for, in bytes.
const SEARCHED: u64 = 64 << 20;

/// Maximum number of payload bytes whose checksum is computed in the searches of a segment of the former format. Its
/// headers have no checksum, so that any four bytes may be a length.
const CHECKED_IN_FORMER: u64 = 4 << 30;

/// Maximum number of payload bytes whose checksum is computed in the searches of a numbered segment, as a multiple of
/// its size. Only a segment with many copies of its headers reaches it.
const CHECKED_SIZES: u64 = 8;

/// The frames of a segment in order. Damaged bytes are skipped.
pub(crate) struct Scan {
    number: u32,
    path: PathBuf,
    file: BufReader<File>,
    /// Offset of the next frame.
    offset: u64,
    /// Size of the file when it was opened, in bytes.
    size: u64,
    format: Format,
    /// Number of the next record, if none is missing.
    expected: u64,
    /// Number of payload bytes that may still be checked in searches.
    room: u64,
    /// The damage that ends at `offset`, after which records may be missing.
    gap: Gap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Reported,
}

/// The next part of a segment.
#[derive(Debug)]
pub(crate) enum Item {
    /// A record. `sequence` is `None` in the former format.
    Record { bytes: Vec<u8>, sequence: Option<u64> },
    /// The mark at the end of a full segment. `sequence` is the number of the next record.
    EndOfSegment { sequence: u64 },
    /// Bytes that are no intact frame.
    Damage(Damage),
    /// The end of the file.
    EndOfFile,
}

/// Bytes of a segment that are no intact frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    /// Number of bytes. 0 if records are missing between two frames that follow each other.
    pub(crate) bytes: u64,
    pub(crate) cause: Cause,
    /// Highest sequence number among the intact headers in these bytes, if the last of them ends with the file.
    pub(crate) last: Option<u64>,
}

/// The reason why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The segment ends before the end of the frame.
    Short,
    /// The header of the frame is wrong.
    Header,
    /// The frame is complete and its checksum is wrong.
    Payload,
    /// One copy of the head of the segment is wrong. No record is affected.
    CopyOfHead,
    /// Both copies of the head of the segment are wrong.
    Head,
    /// The sequence numbers of two frames that follow each other have a gap.
    Sequence,
}

impl Cause {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Short => "it extends past the end of the segment",
            Self::Header => "its header is wrong",
            Self::Payload => "its checksum is wrong",
            Self::CopyOfHead => "a copy of the head of the segment is wrong",
            Self::Head => "the head of the segment is wrong",
            Self::Sequence => "the records before it are missing",
        }
    }
}

/// Result of reading a frame.
enum Frame {
    Intact(Item),
    Broken(Cause, Option<Header>),
}

impl Scan {
    pub(crate) fn open(dir: &Path, number: u32) -> Result<Self, JournalError> {
        let path = segment::path(dir, number);
        let read_error = |source| JournalError::read(&path, source);
        let mut file = File::open(&path).map_err(read_error)?;
        let size = file.metadata().map_err(read_error)?.len();
        let mut start = Vec::new();
        (&mut file)
            .take(HEAD as u64)
            .read_to_end(&mut start)
            .map_err(read_error)?;
        let format = Format::of(&start);
        let mut scan = Self {
            number,
            file: BufReader::with_capacity(WINDOW, file),
            offset: 0,
            size,
            format,
            expected: 0,
            room: CHECKED_IN_FORMER,
            gap: Gap::None,
            path,
        };
        if let Format::Numbered { head, .. } = format {
            scan.offset = HEAD as u64;
            scan.expected = head.first;
            scan.room = size.saturating_mul(CHECKED_SIZES);
        }
        scan.seek(scan.offset)?;
        Ok(scan)
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the number of the next record, if none is missing.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    pub(crate) fn next(&mut self) -> Result<Item, JournalError> {
        if let Format::Numbered {
            head,
            damaged: Some(offset),
        } = self.format
        {
            self.format = Format::Numbered { head, damaged: None };
            return Ok(Item::Damage(Damage {
                offset,
                bytes: COPY as u64,
                cause: Cause::CopyOfHead,
                last: None,
            }));
        }
        if self.offset >= self.size {
            return Ok(Item::EndOfFile);
        }
        let begin = self.offset;
        let (cause, header) = match self.frame()? {
            Frame::Intact(item) => return self.accept(begin, item),
            Frame::Broken(cause, header) => (cause, header),
        };
        let (end, last) = self.search(begin, header)?;
        self.seek(end)?;
        self.gap = Gap::Reported;
        Ok(Item::Damage(Damage {
            offset: begin,
            bytes: end - begin,
            cause,
            last,
        }))
    }

    /// Returns the item that was read at `begin`, or the gap in the sequence before it, after which the item is read
    /// again.
    fn accept(&mut self, begin: u64, item: Item) -> Result<Item, JournalError> {
        let (sequence, next) = match &item {
            Item::Record {
                sequence: Some(sequence),
                ..
            } => (*sequence, sequence.saturating_add(1)),
            Item::EndOfSegment { sequence } => (*sequence, *sequence),
            _ => return Ok(item),
        };
        if sequence > self.expected && self.gap == Gap::None {
            self.seek(begin)?;
            self.gap = Gap::Reported;
            return Ok(Item::Damage(Damage {
                offset: begin,
                bytes: 0,
                cause: Cause::Sequence,
                last: None,
            }));
        }
        self.expected = next;
        self.gap = Gap::None;
        Ok(item)
    }

    /// Returns the offset of the first intact frame after `begin`, or the size of the segment, and the sequence number
    /// of the last damaged record if it ends with the file. `header` is the intact header at `begin`.
    fn search(&mut self, begin: u64, header: Option<Header>) -> Result<(u64, Option<u64>), JournalError> {
        match self.format {
            Format::Former => Ok((self.search_former(begin)?.unwrap_or(self.size), None)),
            Format::Numbered { head, .. } => self.search_numbered(begin, header, head.salt),
            Format::Headless | Format::Unreadable => Ok((self.size, None)),
        }
    }

    fn search_numbered(
        &mut self,
        begin: u64,
        header: Option<Header>,
        salt: u32,
    ) -> Result<(u64, Option<u64>), JournalError> {
        let ends_with_file = |offset: u64, header: Header, size: u64| {
            (offset + (HEADER + header.payload_bytes()) as u64 == size).then_some(header.sequence)
        };
        let mut last = header.and_then(|header| ends_with_file(begin, header, self.size));
        let mut from = begin + 1;
        let mut window = Vec::new();
        // Most damage is short, so that the first window is short too.
        let mut size = 16 * HEADER;
        loop {
            self.seek(from)?;
            window.clear();
            (&mut self.file)
                .take(size as u64)
                .read_to_end(&mut window)
                .map_err(|source| JournalError::read(&self.path, source))?;
            let found = window.windows(HEADER).zip(from..).find_map(|(bytes, at)| {
                let header = Header::read(salt, bytes.try_into().ok()?)?;
                (header.sequence >= self.expected).then_some((at, header))
            });
            let Some((at, header)) = found else {
                if window.len() < HEADER || from + window.len() as u64 >= self.size {
                    return Ok((self.size, last));
                }
                from += (window.len() - HEADER + 1) as u64;
                size = (2 * size).min(WINDOW);
                continue;
            };
            let Some(room) = self.room.checked_sub(header.payload_bytes() as u64) else {
                return Ok((self.size, None));
            };
            self.room = room;
            self.seek(at)?;
            if let Frame::Intact(_) = self.frame()? {
                return Ok((at, None));
            }
            last = ends_with_file(at, header, self.size);
            from = at + 1;
        }
    }

    /// Tries all offsets, because a damaged length leaves the start of the next frame unknown.
    fn search_former(&mut self, begin: u64) -> Result<Option<u64>, JournalError> {
        let mut bytes = Vec::new();
        self.seek(begin)?;
        (&mut self.file)
            .take((self.size - begin).min(SEARCHED))
            .read_to_end(&mut bytes)
            .map_err(|source| JournalError::read(&self.path, source))?;
        for at in 1..bytes.len() {
            let Some((header, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk()) else {
                break;
            };
            let header = FormerHeader::read(*header);
            let Some(payload) = rest.get(..header.length as usize) else {
                continue;
            };
            // A cut write leaves only a few records to search. The bound limits the search in other cases.
            let Some(room) = self.room.checked_sub(payload.len() as u64) else {
                return Ok(None);
            };
            self.room = room;
            if header.matches(payload) {
                return Ok(Some(begin + at as u64));
            }
        }
        Ok(None)
    }

    /// Reads the frame at `offset`. `offset` advances only if the frame is intact.
    fn frame(&mut self) -> Result<Frame, JournalError> {
        match self.format {
            Format::Former => self.former_frame(),
            Format::Numbered { head, .. } => self.numbered_frame(head.salt),
            Format::Headless => Ok(Frame::Broken(Cause::Short, None)),
            Format::Unreadable => Ok(Frame::Broken(Cause::Head, None)),
        }
    }

    fn numbered_frame(&mut self, salt: u32) -> Result<Frame, JournalError> {
        let left = self.size - self.offset;
        if left < HEADER as u64 {
            return Ok(Frame::Broken(Cause::Short, None));
        }
        let mut bytes = [0; HEADER];
        self.fill(&mut bytes)?;
        let Some(header) = Header::read(salt, bytes).filter(|header| header.sequence >= self.expected) else {
            return Ok(Frame::Broken(Cause::Header, None));
        };
        if left - (HEADER as u64) < header.payload_bytes() as u64 {
            return Ok(Frame::Broken(Cause::Short, Some(header)));
        }
        let mut payload = vec![0; header.payload_bytes()];
        self.fill(&mut payload)?;
        if !header.matches(&payload) {
            return Ok(Frame::Broken(Cause::Payload, Some(header)));
        }
        self.offset += (HEADER + payload.len()) as u64;
        let sequence = header.sequence;
        Ok(Frame::Intact(match header.content {
            Content::Record(_) => Item::Record {
                bytes: payload,
                sequence: Some(sequence),
            },
            Content::End => Item::EndOfSegment { sequence },
        }))
    }

    fn former_frame(&mut self) -> Result<Frame, JournalError> {
        let left = self.size - self.offset;
        if left < FORMER_HEADER as u64 {
            return Ok(Frame::Broken(Cause::Short, None));
        }
        let mut bytes = [0; FORMER_HEADER];
        self.fill(&mut bytes)?;
        let header = FormerHeader::read(bytes);
        let length = header.length as usize;
        if length > MAX_RECORD {
            return Ok(Frame::Broken(Cause::Header, None));
        }
        if left - (FORMER_HEADER as u64) < u64::from(header.length) {
            return Ok(Frame::Broken(Cause::Short, None));
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        if !header.matches(&payload) {
            return Ok(Frame::Broken(Cause::Payload, None));
        }
        self.offset += (FORMER_HEADER + length) as u64;
        Ok(Frame::Intact(Item::Record {
            bytes: payload,
            sequence: None,
        }))
    }

    fn seek(&mut self, offset: u64) -> Result<(), JournalError> {
        self.offset = offset;
        self.file
            .seek(SeekFrom::Start(offset))
            .map_err(|source| JournalError::read(&self.path, source))?;
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.file
            .read_exact(bytes)
            .map_err(|source| JournalError::read(&self.path, source))
    }
}
