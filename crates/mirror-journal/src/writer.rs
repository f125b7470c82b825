//! Appends records to a journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::frame::{HEADER, Header};
use crate::{JournalError, MAX_RECORD, reader, segment};

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
        let (offset, torn) = reader::intact_end(&dir, number)?;
        if torn > 0 {
            file.set_len(offset)
                .map_err(|source| JournalError::write(&path, source))?;
        }
        let writer = Self {
            dir,
            folder,
            segment_bytes,
            file,
            path,
            position: Position {
                segment: number,
                offset,
            },
            tail: Tail::Clean,
            buffer: Vec::new(),
        };
        Ok(Opened { writer, torn })
    }

    /// Returns the position after the last record.
    pub fn position(&self) -> Position {
        self.position
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
        self.buffer.reserve(size);
        for record in records {
            let payload = record.as_ref();
            Header::of(payload).append_to(&mut self.buffer);
            self.buffer.extend_from_slice(payload);
        }
        let written = self.file.write_all_at(&self.buffer, self.position.offset);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        if let Err(source) = written {
            self.tail = Tail::Ragged;
            // If cutting fails too, the tail stays marked and is cut off before the next write.
            let failure = JournalError::write(&self.path, source);
            return Err(self.cut_ragged_tail().err().unwrap_or(failure));
        }
        self.position.offset += size as u64;
        Ok(self.position)
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

    /// Syncs the segment, which is not written any more, and begins the next one. Does nothing if the segment is empty.
    pub fn rotate(&mut self) -> Result<(), JournalError> {
        if self.position.offset == 0 {
            return Ok(());
        }
        self.cut_ragged_tail()?;
        self.sync()?;
        let number = self.position.segment + 1;
        let path = segment::path(&self.dir, number);
        self.file = open_segment(&path)?;
        self.path = path;
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
