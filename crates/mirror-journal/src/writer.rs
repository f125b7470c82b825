//! Appends records to a journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::frame::{HEAD, HEADER, Head, Header};
use crate::reader::{self, End};
use crate::{JournalError, MAX_RECORD, segment};

/// Maximum size of a batch including frames, in bytes.
pub const MAX_BATCH: usize = 256 << 20;

/// Capacity of the batch buffer that is kept between batches, in bytes.
const KEPT_BUFFER: usize = 1 << 20;

/// A position between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the segment, from 1.
    pub segment: u32,
    /// Offset in the segment, in bytes.
    pub offset: u64,
}

/// A journal opened for writing.
#[derive(Debug)]
pub struct Opened {
    /// Writer that continues after the last intact record.
    pub writer: Writer,
    /// Size of the torn tail that was cut off, in bytes. 0 after a clean shutdown.
    pub torn: u64,
}

/// The only writer of a journal. It holds a lock on the folder until it is dropped or its process ends.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    /// Open folder, which holds the lock and syncs the directory entries.
    folder: File,
    segment_bytes: u64,
    file: File,
    path: PathBuf,
    position: Position,
    /// Head of the current segment. It is written with the first batch of the segment.
    head: Head,
    /// Sequence number of the next record.
    sequence: u64,
    tail: Tail,
    buffer: Vec<u8>,
}

/// State of the file after the writer's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Clean,
    /// Contains the remains of a failed write, which are cut off before the next write.
    Ragged,
}

impl Writer {
    /// Opens the journal in `dir`, creating it if necessary, and cuts off a torn tail. A segment is full at
    /// `segment_bytes`. It holds at least one batch, even if the batch is larger.
    pub fn open(dir: impl Into<PathBuf>, segment_bytes: u64) -> Result<Opened, JournalError> {
        let dir = dir.into();
        let write_error = |source| JournalError::write(&dir, source);
        std::fs::create_dir_all(&dir).map_err(write_error)?;
        let folder = File::open(&dir).map_err(write_error)?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { dir }),
            Err(TryLockError::Error(source)) => return Err(JournalError::write(&dir, source)),
        }
        let number = segment::span(&dir)?.map_or(1, |(_, newest)| newest);
        let path = segment::path(&dir, number);
        let file = open_segment(&path)?;
        let size = file
            .metadata()
            .map_err(|source| JournalError::read(&path, source))?
            .len();
        let mut writer = Self {
            head: Head { salt: 0, first: 0 },
            sequence: 0,
            dir,
            folder,
            segment_bytes,
            file,
            path,
            position: Position {
                segment: number,
                offset: 0,
            },
            tail: Tail::Clean,
            buffer: Vec::new(),
        };
        let torn = writer.continue_segment(size)?;
        Ok(Opened { writer, torn })
    }

    /// Sets the position after the last intact record of the current segment, which has `size` bytes, and cuts off the
    /// torn tail. Returns the size of the tail in bytes.
    fn continue_segment(&mut self, size: u64) -> Result<u64, JournalError> {
        let number = self.position.segment;
        let end = (size > 0)
            .then(|| reader::end_of(&self.dir, number))
            .transpose()?;
        let torn = end.as_ref().map_or(0, |end| end.torn);
        match end {
            Some(End {
                offset,
                next: Some((head, sequence)),
                ..
            }) if sequence > head.first => {
                self.cut(offset, size)?;
                self.head = head;
                self.sequence = sequence;
                self.position.offset = offset;
            }
            Some(End {
                offset, next: None, ..
            }) if offset > 0 => {
                self.cut(offset, size)?;
                self.sequence = reader::sequence_after(&self.dir, number)?;
                self.begin_segment(number + 1)?;
            }
            end => {
                // The segment has no record. Its head is written with the first one.
                self.cut(0, size)?;
                let before = number.saturating_sub(1);
                self.head = match end.and_then(|end| end.next) {
                    Some((head, _)) => head,
                    None if segment::path(&self.dir, before).exists() => {
                        new_head(&self.path, reader::sequence_after(&self.dir, before)?)?
                    }
                    None => new_head(&self.path, 0)?,
                };
                self.sequence = self.head.first;
            }
        }
        Ok(torn)
    }

    fn cut(&self, offset: u64, size: u64) -> Result<(), JournalError> {
        if offset < size {
            self.file
                .set_len(offset)
                .map_err(|source| JournalError::write(&self.path, source))?;
        }
        Ok(())
    }

    /// Returns the position after the last record.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the sequence number of the next record. Records that earlier versions wrote have no number.
    pub fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// Appends either all of `records` or none, with one write to the operating system, and returns the position after
    /// them.
    ///
    /// After an error the journal is unchanged, so that the same batch can be appended again.
    pub fn append_batch<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<Position, JournalError> {
        let size = batch_size(records)?;
        if size == 0 {
            return Ok(self.position);
        }
        if self.position.offset > 0 && self.position.offset + size as u64 > self.segment_bytes {
            self.rotate()?;
        }
        self.cut_ragged_tail()?;
        self.buffer.clear();
        self.buffer.reserve(HEAD + size);
        if self.position.offset == 0 {
            self.head.append_to(&mut self.buffer);
        }
        let mut sequence = self.sequence;
        for record in records {
            Header::append_record(self.head, sequence, record.as_ref(), &mut self.buffer);
            sequence += 1;
        }
        self.write_buffer()?;
        self.sequence = sequence;
        Ok(self.position)
    }

    /// Writes the buffer at the current position with one write, and advances the position. After an error nothing is
    /// written.
    fn write_buffer(&mut self) -> Result<(), JournalError> {
        let size = self.buffer.len() as u64;
        let written = self.file.write_all_at(&self.buffer, self.position.offset);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        if let Err(source) = written {
            self.tail = Tail::Ragged;
            // If cutting fails too, the tail stays marked and is cut off before the next write.
            let failure = JournalError::write(&self.path, source);
            return Err(self.cut_ragged_tail().err().unwrap_or(failure));
        }
        self.position.offset += size;
        Ok(())
    }

    /// Syncs all appended records to disk.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file
            .sync_data()
            .map_err(|source| JournalError::write(&self.path, source))?;
        self.folder
            .sync_all()
            .map_err(|source| JournalError::write(&self.dir, source))
    }

    /// Syncs the segment, which is not written any more, marks its end, and begins the next one. Does nothing if the
    /// segment is empty.
    pub fn rotate(&mut self) -> Result<(), JournalError> {
        if self.position.offset == 0 {
            return Ok(());
        }
        self.cut_ragged_tail()?;
        self.sync()?;
        let number = self.position.segment + 1;
        // The next segment is created first, so that a mark proves that it existed.
        let next = segment::path(&self.dir, number);
        drop(open_segment(&next)?);
        self.buffer.clear();
        Header::append_end(self.head, self.sequence, &mut self.buffer);
        if let Err(error) = self.write_buffer() {
            std::fs::remove_file(&next).map_err(|source| JournalError::write(&next, source))?;
            return Err(error);
        }
        self.begin_segment(number)
    }

    fn begin_segment(&mut self, number: u32) -> Result<(), JournalError> {
        let path = segment::path(&self.dir, number);
        let head = new_head(&path, self.sequence)?;
        self.file = open_segment(&path)?;
        self.path = path;
        self.head = head;
        self.position = Position {
            segment: number,
            offset: 0,
        };
        Ok(())
    }

    /// Removes the segments before `segment`, oldest first, so that the remaining segments never have a gap. The
    /// current segment is kept. This is for a journal whose beginning is not needed any more; it is read from
    /// [`Reader::oldest`](crate::Reader::oldest).
    pub fn remove_before(&mut self, segment: u32) -> Result<(), JournalError> {
        let Some((oldest, newest)) = segment::span(&self.dir)? else {
            return Ok(());
        };
        for number in oldest..segment.min(newest) {
            let path = segment::path(&self.dir, number);
            std::fs::remove_file(&path).map_err(|source| JournalError::write(&path, source))?;
        }
        Ok(())
    }

    fn cut_ragged_tail(&mut self) -> Result<(), JournalError> {
        if self.tail == Tail::Ragged {
            self.file
                .set_len(self.position.offset)
                .map_err(|source| JournalError::write(&self.path, source))?;
            self.tail = Tail::Clean;
        }
        Ok(())
    }
}

fn new_head(path: &Path, first: u64) -> Result<Head, JournalError> {
    let mut salt = [0; 4];
    rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
        JournalError::Io {
            action: "draw a random number for",
            path: path.to_owned(),
            source: error.into(),
        }
    })?;
    Ok(Head {
        salt: u32::from_le_bytes(salt),
        first,
    })
}

fn open_segment(path: &Path) -> Result<File, JournalError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|source| JournalError::write(path, source))
}

/// Returns the size of the batch including frames, in bytes.
fn batch_size<R: AsRef<[u8]>>(records: &[R]) -> Result<usize, JournalError> {
    let mut size = 0;
    for record in records {
        let bytes = record.as_ref().len();
        if bytes > MAX_RECORD {
            return Err(JournalError::TooLarge {
                what: "a record",
                bytes,
                limit: MAX_RECORD,
            });
        }
        size += HEADER + bytes;
    }
    if size > MAX_BATCH {
        return Err(JournalError::TooLarge {
            what: "a batch",
            bytes: size,
            limit: MAX_BATCH,
        });
    }
    Ok(size)
}
