//! Segments of the journal as rows: `parts/000001/` contains the records of `journal/000001.journal`, with one file per
//! table.
//!
//! A part is published atomically under its name, complete and synced. A segment therefore has either a complete part
//! or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mirror_journal::Reader;
use mirror_proto::mirror::v1::Record;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::tables::TABLES;

/// Data of a segment that is in no table.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Remainder {
    /// Number of records of an unknown kind.
    pub(crate) skipped: u64,
    /// Number of bytes after the last intact record.
    pub(crate) torn: u64,
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

    /// Creates the part of a segment in the run's directory.
    pub(crate) fn publish(layout: &Layout, segment: u32, run_id: &str) -> Result<Self, RunError> {
        let part = Self::of(&layout.parts(), segment);
        let unfinished = Self {
            folder: mirror_files::unfinished(&part.folder),
        };
        match fs::remove_dir_all(&unfinished.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RunError::write(&unfinished.folder, error));
            }
            _ => {}
        }
        for file in unfinished.write(layout, segment, run_id)? {
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
        part.write(layout, segment, run_id)?;
        Ok(part)
    }

    /// Writes the part's directory and returns its files.
    fn write(&self, layout: &Layout, segment: u32, run_id: &str) -> Result<Vec<PathBuf>, RunError> {
        let (records, remainder) = read_segment(&layout.journal(), segment)?;
        fs::create_dir_all(&self.folder).map_err(|error| RunError::write(&self.folder, error))?;
        let mut written = Vec::new();
        for table in TABLES {
            let file = self.folder.join(table.file_name());
            // Files without rows are omitted, so that fewer files have to be opened.
            if table.write(&records, run_id, &file)? > 0 {
                written.push(file);
            }
        }
        let path = self.remainder_file();
        let text = serde_json::to_vec(&remainder).map_err(|source| RunError::Json {
            path: path.clone(),
            source,
        })?;
        fs::write(&path, text).map_err(|error| RunError::write(&path, error))?;
        written.push(path);
        Ok(written)
    }
}

fn read_segment(journal: &Path, segment: u32) -> Result<(Vec<Record>, Remainder), RunError> {
    let mut reader = Reader::from_segment(journal, segment)?;
    let mut records = Vec::new();
    let mut remainder = Remainder::default();
    for entry in &mut reader {
        let entry = entry?;
        if entry.segment != segment {
            return Ok((records, remainder));
        }
        match Record::decode(entry.bytes.as_slice()) {
            Ok(record) if record.kind.is_some() => records.push(record),
            // The checksum is correct, so a later version wrote the record.
            Ok(_) | Err(_) => remainder.skipped += 1,
        }
    }
    remainder.torn = reader.torn();
    Ok((records, remainder))
}
