//! The memory-mapped form of a data set, which is written once and opened by every miner.
//!
//! Opening a file reads one page, independent of its size, and finding a question reads three. All processes that open
//! the same file share its pages. Numbers are little endian.
//!
//! | part | bytes | content |
//! |---|---|---|
//! | header | 48 | see below |
//! | offsets | 8 × rows | start of the record of each row, from the start of the file |
//! | slots | 8 × slots | hash index, linear probing: upper half of the hash (u32), row + 1 or 0 if empty (u32) |
//! | records | – | question length (u32), number of answers (u32), question, then length (u32) and text per answer |
//!
//! The header consists of magic, version (u32), rows (u32), slots (u64), file length (u64), checksum of everything
//! after the header (u64), and checksum of the header up to this field (u64).
//!
//! Hash and checksums are 64-bit FNV-1a. The content of a file is not trusted: a damaged file is refused when it is
//! opened, or returns no texts, but it never causes a panic or a read outside of the file.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use thiserror::Error;

use crate::{Row, RowError};

/// Maximum size of a compiled file, and of the text that is loaded from sources, in bytes.
pub(crate) const SIZE_MAX: u64 = 4 << 30;
/// Maximum number of rows. A slot contains row + 1 in 32 bits.
pub(crate) const ROWS_MAX: usize = u32::MAX as usize - 1;

/// Version of the file format. It is part of the hash that names a cached file, so a new version never opens a file of
/// an older one.
pub(crate) const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"mirrorQA";
const HEADER_BYTES: usize = 48;
const OFFSET_BYTES: usize = 8;
const SLOT_BYTES: usize = 8;

/// A compiled data set, mapped into memory. It is cheap to open and can be shared between threads.
#[derive(Debug)]
pub struct Dataset {
    map: Mmap,
    header: Header,
}

/// The accepted answers of one row, in the order of the source.
#[derive(Clone, Debug, Default)]
pub struct Answers<'a> {
    left: u32,
    bytes: &'a [u8],
}

/// Error from opening a compiled data set.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant documents it")]
pub enum OpenError {
    #[error("cannot open the compiled data set {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not a compiled data set")]
    Foreign { path: PathBuf },
    #[error("{path} has version {found}, but this program reads version {VERSION}; compile it again")]
    Version { path: PathBuf, found: u32 },
    #[error("the compiled data set {path} is damaged: {what}; compile it again")]
    Damaged { path: PathBuf, what: &'static str },
}

/// Error from compiling a data set.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant documents it")]
pub enum CompileError {
    #[error("a data set needs at least one row")]
    NoRows,
    #[error("row {index} cannot be compiled")]
    Row { index: usize, source: RowError },
    #[error("the data set has {rows} rows; the limit is {ROWS_MAX}")]
    TooManyRows { rows: usize },
    #[error("the compiled data set would have {bytes} bytes; the limit is {SIZE_MAX}")]
    TooLarge { bytes: u64 },
    #[error("cannot write the compiled data set {path}")]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Clone, Copy, Debug)]
struct Header {
    rows: u32,
    slots: u64,
    length: u64,
    body_checksum: u64,
}

impl Dataset {
    /// Maps the file and checks its header. The cost does not depend on the number of rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or is not a valid compiled data set of this version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io_error)?;
        let metadata = file.metadata().map_err(io_error)?;
        if !metadata.is_file() || metadata.len() < HEADER_BYTES as u64 {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
            });
        }
        let map = map(&file).map_err(io_error)?;
        let header = Header::read(&map, path)?;
        Ok(Self { map, header })
    }

    /// Reads the whole file once and compares its checksum. `path` is used in the error message.
    ///
    /// # Errors
    /// Returns [`OpenError::Damaged`] if the checksum does not match.
    pub fn verify(&self, path: &Path) -> Result<(), OpenError> {
        let body = self.map.get(HEADER_BYTES..).unwrap_or_default();
        if Fnv::of(body) != self.header.body_checksum {
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                what: "the checksum does not match",
            });
        }
        Ok(())
    }

    /// Returns the number of rows, at least 1 in a file that [`compile`] wrote.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a data set without rows cannot be compiled"
    )]
    pub fn len(&self) -> u32 {
        self.header.rows
    }

    /// Returns the question of a row, or `None` if there is no such row or the file is damaged.
    pub fn question(&self, row: u32) -> Option<&str> {
        self.record(row).map(|(question, _)| question)
    }

    /// Returns the answers of a row, or none if there is no such row or the file is damaged.
    pub fn answers(&self, row: u32) -> Answers<'_> {
        self.record(row)
            .map_or_else(Answers::default, |(_, answers)| answers)
    }

    /// Returns the number of answers that [`Dataset::answers`] yields.
    pub fn answer_count(&self, row: u32) -> usize {
        self.answers(row).count()
    }

    /// Returns the first row with exactly this question.
    pub fn find(&self, question: &str) -> Option<u32> {
        let hash = Fnv::of(question.as_bytes());
        for slot in probes(hash, self.header.slots) {
            let at = self.slots_start() + slot as usize * SLOT_BYTES;
            let row = u32_at(&self.map, at + 4)?.checked_sub(1)?;
            if u32_at(&self.map, at)? == fingerprint(hash) && self.question(row) == Some(question) {
                return Some(row);
            }
        }
        None
    }

    fn slots_start(&self) -> usize {
        HEADER_BYTES + self.header.rows as usize * OFFSET_BYTES
    }

    /// Returns the question and the answers of a row, or `None` if there is no such row or its bytes are invalid.
    fn record(&self, row: u32) -> Option<(&str, Answers<'_>)> {
        if row >= self.header.rows {
            return None;
        }
        let offset = u64_at(&self.map, HEADER_BYTES + row as usize * OFFSET_BYTES)?;
        let record = self.map.get(usize::try_from(offset).ok()?..)?;
        let question_bytes = u32_at(record, 0)? as usize;
        let left = u32_at(record, 4)?;
        let (question, bytes) = record.get(8..)?.split_at_checked(question_bytes)?;
        Some((str::from_utf8(question).ok()?, Answers { left, bytes }))
    }
}

impl<'a> Iterator for Answers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        let length = u32_at(self.bytes, 0)? as usize;
        let (answer, rest) = self.bytes.get(4..)?.split_at_checked(length)?;
        self.bytes = rest;
        str::from_utf8(answer).ok()
    }
}

impl Header {
    fn read(bytes: &[u8], path: &Path) -> Result<Self, OpenError> {
        let damaged = |what| OpenError::Damaged {
            path: path.to_owned(),
            what,
        };
        let foreign = || OpenError::Foreign {
            path: path.to_owned(),
        };
        if !bytes.starts_with(MAGIC) {
            return Err(foreign());
        }
        let found = u32_at(bytes, 8).ok_or_else(foreign)?;
        if found != VERSION {
            return Err(OpenError::Version {
                path: path.to_owned(),
                found,
            });
        }
        let fields = bytes.get(..HEADER_BYTES - 8).ok_or_else(foreign)?;
        if u64_at(bytes, HEADER_BYTES - 8) != Some(Fnv::of(fields)) {
            return Err(damaged("the checksum of the header does not match"));
        }
        let header = Self {
            rows: u32_at(bytes, 12).ok_or_else(foreign)?,
            slots: u64_at(bytes, 16).ok_or_else(foreign)?,
            length: u64_at(bytes, 24).ok_or_else(foreign)?,
            body_checksum: u64_at(bytes, 32).ok_or_else(foreign)?,
        };
        if header.length != bytes.len() as u64 {
            return Err(damaged("the length is not the one in the header"));
        }
        if !header.slots.is_power_of_two() {
            return Err(damaged("the number of slots is not a power of two"));
        }
        match header.records_start() {
            Some(start) if start <= header.length => Ok(header),
            _ => Err(damaged("the index is longer than the file")),
        }
    }

    fn records_start(&self) -> Option<u64> {
        let offsets = u64::from(self.rows) * OFFSET_BYTES as u64;
        let slots = self.slots.checked_mul(SLOT_BYTES as u64)?;
        slots.checked_add(offsets + HEADER_BYTES as u64)
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.rows.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.slots.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.length.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.body_checksum.to_le_bytes());
        let checksum = Fnv::of(&bytes[..HEADER_BYTES - 8]);
        bytes[HEADER_BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// Writes the rows to `out` and replaces an existing file atomically: other processes see either the old file or the
/// complete new one. If a question is repeated, [`Dataset::find`] returns its first row.
///
/// # Errors
/// Returns an error if there are no rows, if a row or the data set exceeds its limits, or if the file cannot be
/// written.
pub fn compile(rows: &[Row], out: &Path) -> Result<(), CompileError> {
    let (header, index) = lay_out(rows)?;
    write(rows, header, &index, out).map_err(|source| CompileError::Io {
        path: out.to_owned(),
        source,
    })
}

/// Returns the header, without the checksum of the body, and the bytes of the offsets and slots.
fn lay_out(rows: &[Row]) -> Result<(Header, Vec<u8>), CompileError> {
    if rows.is_empty() {
        return Err(CompileError::NoRows);
    }
    if rows.len() > ROWS_MAX {
        return Err(CompileError::TooManyRows { rows: rows.len() });
    }
    for (index, row) in rows.iter().enumerate() {
        row.check()
            .map_err(|source| CompileError::Row { index, source })?;
    }
    let mut header = Header {
        rows: rows.len() as u32,
        slots: (rows.len() as u64 * 2).next_power_of_two(),
        length: 0,
        body_checksum: 0,
    };
    let records_start = header
        .records_start()
        .expect("an index of 32-bit rows has a 64-bit length");
    header.length = records_start + rows.iter().map(record_bytes).sum::<u64>();
    if header.length > SIZE_MAX {
        return Err(CompileError::TooLarge { bytes: header.length });
    }

    let mut index = Vec::with_capacity(records_start as usize - HEADER_BYTES);
    let mut offset = records_start;
    for row in rows {
        index.extend(offset.to_le_bytes());
        offset += record_bytes(row);
    }
    for (fingerprint, row) in fill_slots(rows, header.slots) {
        index.extend(fingerprint.to_le_bytes());
        index.extend(row.to_le_bytes());
    }
    Ok((header, index))
}

/// Returns the hash index: fingerprint and row + 1 of each slot.
fn fill_slots(rows: &[Row], slot_count: u64) -> Vec<(u32, u32)> {
    let mut slots = vec![(0, 0); slot_count as usize];
    let mut seen = HashSet::with_capacity(rows.len());
    for (row, number) in rows.iter().zip(1..) {
        if !seen.insert(row.question.as_str()) {
            continue;
        }
        let hash = Fnv::of(row.question.as_bytes());
        let free = probes(hash, slot_count)
            .find(|slot| slots[*slot as usize] == (0, 0))
            .expect("there are twice as many slots as rows");
        slots[free as usize] = (fingerprint(hash), number);
    }
    slots
}

fn record_bytes(row: &Row) -> u64 {
    let answers: usize = row.answers.iter().map(|answer| 4 + answer.len()).sum();
    (8 + row.question.len() + answers) as u64
}

fn write(rows: &[Row], mut header: Header, index: &[u8], out: &Path) -> io::Result<()> {
    let folder = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".compiling-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;

    let mut checksum = Fnv::new();
    let mut writer = BufWriter::new(temporary.as_file_mut());
    // The header contains the checksum of everything that follows it, so it is written last.
    writer.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
    let mut put = |bytes: &[u8]| {
        checksum.update(bytes);
        writer.write_all(bytes)
    };
    put(index)?;
    for row in rows {
        put(&(row.question.len() as u32).to_le_bytes())?;
        put(&(row.answers.len() as u32).to_le_bytes())?;
        put(row.question.as_bytes())?;
        for answer in &row.answers {
            put(&(answer.len() as u32).to_le_bytes())?;
            put(answer.as_bytes())?;
        }
    }
    header.body_checksum = checksum.0;
    writer.seek(SeekFrom::Start(0))?;
    writer.write_all(&header.to_bytes())?;
    writer.flush()?;
    drop(writer);
    // The temporary file has a unique name, because several processes may compile the same file.
    let temporary = temporary.into_temp_path();
    mirror_files::publish(&temporary, out)?;
    // The temporary file was renamed, so it must not be removed.
    temporary.keep()?;
    Ok(())
}

#[allow(
    unsafe_code,
    reason = "a mapped file must not change; compiled files are replaced by rename and never written in place"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: see the reason above.
    unsafe { Mmap::map(file) }
}

/// Returns the slots to probe for a hash, in order. Each slot occurs once.
fn probes(hash: u64, slots: u64) -> impl Iterator<Item = u64> {
    (0..slots).map(move |step| hash.wrapping_add(step) & (slots - 1))
}

fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo).
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::new();
        hash.update(bytes);
        hash.0
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests;
