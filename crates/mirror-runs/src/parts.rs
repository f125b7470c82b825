//! Segments of the journal as rows: `parts/000001/` contains the records of `journal/000001.journal`, with one file per
//! table.
//!
//! A part is published atomically under its name, complete and synced. A segment therefore has either a complete part
//! or none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mirror_journal::{Loss, Reader, Salvage};
use mirror_proto::mirror::v1::Record;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files::{self, Batches};
use crate::layout::Layout;
use crate::tables::TABLES;

/// Data of a segment that is in no table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Remainder {
    /// Number of records of an unknown kind.
    pub(crate) skipped: u64,
    /// Number of bytes after the last intact record.
    pub(crate) torn: u64,
    /// Damaged places of the segment.
    #[serde(default)]
    pub(crate) losses: Vec<Loss>,
}

/// The parts of a journal that may be damaged.
pub(crate) struct Salvaged {
    pub(crate) parts: Vec<Part>,
    /// Segments that have neither a part nor a file.
    pub(crate) missing: Vec<Loss>,
}

/// Creates the missing parts from the intact records of a journal that may be damaged. `end` is the number of records
/// in the journal when the run ended, if it is known.
pub(crate) fn salvage(layout: &Layout, run_id: &str, end: Option<u64>) -> Result<Salvaged, RunError> {
    let saved = readable_parts(layout)?;
    let journal = Salvage::open(layout.journal(), saved.clone(), end)?;
    let missing = journal.missing_segments()?;
    let mut parts: BTreeMap<u32, Part> = BTreeMap::new();
    for segment in saved {
        parts.insert(segment, Part::of(&layout.parts(), segment));
    }
    for segment in journal.segments() {
        let read = || salvage_segment(&journal, segment);
        parts.insert(segment, Part::publish_records(layout, segment, run_id, read)?);
    }
    Ok(Salvaged {
        parts: parts.into_values().collect(),
        missing,
    })
}

/// Returns the losses that [`salvage`] would report, without writing anything.
pub(crate) fn losses(layout: &Layout, end: Option<u64>) -> Result<Vec<Loss>, RunError> {
    let saved = readable_parts(layout)?;
    let journal = Salvage::open(layout.journal(), saved.clone(), end)?;
    let mut losses = journal.missing_segments()?;
    for segment in saved {
        losses.extend(Part::of(&layout.parts(), segment).remainder()?.losses);
    }
    for segment in journal.segments() {
        losses.extend(journal.read(segment, |_| {})?.losses);
    }
    sort(&mut losses);
    Ok(losses)
}

/// Sorts losses by their places.
pub(crate) fn sort(losses: &mut [Loss]) {
    losses.sort_by_key(|loss| match loss {
        Loss::Bytes { segment, offset, .. } => (*segment, *offset),
        Loss::Segments { first, .. } => (*first, 0),
    });
}

/// Returns the numbers of the parts whose files can be read. A part that cannot be read is created again.
fn readable_parts(layout: &Layout) -> Result<BTreeSet<u32>, RunError> {
    let folder = layout.parts();
    let mut numbers = BTreeSet::new();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        Err(error) => return Err(RunError::read(&folder, error)),
    };
    for entry in entries {
        let name = entry.map_err(|error| RunError::read(&folder, error))?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match Part::of(&folder, number).check() {
            Ok(()) => {
                numbers.insert(number);
            }
            Err(error) => {
                tracing::warn!(segment = number, %error, "a part is damaged; the journal is read instead");
            }
        }
    }
    Ok(numbers)
}

fn salvage_segment(journal: &Salvage, segment: u32) -> Result<(Vec<Record>, Remainder), RunError> {
    let mut records = Vec::new();
    let mut remainder = Remainder::default();
    let found = journal.read(segment, |bytes| remainder.sort(&bytes, &mut records))?;
    remainder.torn = found.torn;
    remainder.losses = found.losses;
    Ok((records, remainder))
}

impl Remainder {
    /// Adds a record to `records`, or counts it if its kind is unknown.
    fn sort(&mut self, bytes: &[u8], records: &mut Vec<Record>) {
        match Record::decode(bytes) {
            Ok(record) if record.kind.is_some() => records.push(record),
            // The checksum is correct, so a later version wrote the record.
            Ok(_) | Err(_) => self.skipped += 1,
        }
    }
}

/// Returns the parts of all segments. Missing parts are created by `make`.
pub(crate) fn complete(
    layout: &Layout,
    make: impl Fn(u32) -> Result<Part, RunError>,
) -> Result<Vec<Part>, RunError> {
    let newest = Reader::open(layout.journal())?.newest_segment();
    let mut parts = Vec::new();
    for segment in 1..=newest {
        let part = Part::of(&layout.parts(), segment);
        parts.push(if part.is_there()? { part } else { make(segment)? });
    }
    Ok(parts)
}

/// Returns the files of one table among `parts`, in the order in which their rows were recorded.
pub(crate) fn files_of(table: &str, parts: &[Part]) -> Result<Vec<PathBuf>, RunError> {
    let files = parts.iter().filter_map(|part| part.file(table).transpose());
    files.collect()
}

/// A segment as rows.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    folder: PathBuf,
}

impl Part {
    /// Returns the part of `segment` in the directory `parts`. The part may not exist yet.
    fn of(parts: &Path, segment: u32) -> Self {
        Self {
            folder: parts.join(format!("{segment:06}")),
        }
    }

    fn is_there(&self) -> Result<bool, RunError> {
        fs::exists(&self.folder).map_err(|error| RunError::read(&self.folder, error))
    }

    /// Returns the file of `table`. `None` if the segment contains no row of the table.
    fn file(&self, table: &str) -> Result<Option<PathBuf>, RunError> {
        let file = self.folder.join(crate::tables::file_name(table));
        let there = fs::exists(&file).map_err(|error| RunError::read(&file, error))?;
        Ok(there.then_some(file))
    }

    pub(crate) fn remainder(&self) -> Result<Remainder, RunError> {
        let path = self.remainder_file();
        let text = fs::read_to_string(&path).map_err(|error| RunError::read(&path, error))?;
        serde_json::from_str(&text).map_err(|source| RunError::Json { path, source })
    }

    fn remainder_file(&self) -> PathBuf {
        self.folder.join("remainder.json")
    }

    /// Returns an error if a file of the part cannot be read.
    fn check(&self) -> Result<(), RunError> {
        self.remainder()?;
        for table in TABLES {
            if let Some(file) = self.file(table.name)? {
                for batch in Batches::of(vec![file], table.schema()) {
                    batch?;
                }
            }
        }
        Ok(())
    }

    /// Creates the part of an intact segment in the run's directory.
    pub(crate) fn publish(layout: &Layout, segment: u32, run_id: &str) -> Result<Self, RunError> {
        Self::publish_records(layout, segment, run_id, || read_segment(layout, segment))
    }

    /// Creates the part of a segment, whose records `read` returns, in the run's directory. A damaged part is replaced.
    fn publish_records(
        layout: &Layout,
        segment: u32,
        run_id: &str,
        read: impl FnOnce() -> Result<(Vec<Record>, Remainder), RunError>,
    ) -> Result<Self, RunError> {
        let part = Self::of(&layout.parts(), segment);
        let unfinished = Self {
            folder: mirror_files::unfinished(&part.folder),
        };
        let (records, remainder) = read()?;
        for folder in [&unfinished.folder, &part.folder] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RunError::write(folder, error));
                }
                _ => {}
            }
        }
        for file in unfinished.write(&records, &remainder, run_id)? {
            files::sync(&file)?;
        }
        files::publish(&unfinished.folder, &part.folder)?;
        Ok(part)
    }

    /// Creates the part of a segment in the temporary directory `scratch`.
    pub(crate) fn borrow(
        layout: &Layout,
        segment: u32,
        run_id: &str,
        scratch: &Path,
    ) -> Result<Self, RunError> {
        let part = Self::of(scratch, segment);
        let (records, remainder) = read_segment(layout, segment)?;
        part.write(&records, &remainder, run_id)?;
        Ok(part)
    }

    /// Writes the part's directory and returns its files.
    fn write(
        &self,
        records: &[Record],
        remainder: &Remainder,
        run_id: &str,
    ) -> Result<Vec<PathBuf>, RunError> {
        fs::create_dir_all(&self.folder).map_err(|error| RunError::write(&self.folder, error))?;
        let mut written = Vec::new();
        for table in TABLES {
            let file = self.folder.join(table.file_name());
            // Files without rows are omitted, so that fewer files have to be opened.
            if table.write(records, run_id, &file)? > 0 {
                written.push(file);
            }
        }
        let path = self.remainder_file();
        let text = serde_json::to_vec(remainder).map_err(|source| RunError::Json {
            path: path.clone(),
            source,
        })?;
        fs::write(&path, text).map_err(|error| RunError::write(&path, error))?;
        written.push(path);
        Ok(written)
    }
}

fn read_segment(layout: &Layout, segment: u32) -> Result<(Vec<Record>, Remainder), RunError> {
    let mut reader = Reader::from_segment(layout.journal(), segment)?;
    let mut records = Vec::new();
    let mut remainder = Remainder::default();
    for entry in &mut reader {
        let entry = entry?;
        if entry.segment != segment {
            return Ok((records, remainder));
        }
        remainder.sort(&entry.bytes, &mut records);
    }
    remainder.torn = reader.torn();
    Ok((records, remainder))
}
