//! Spans and metrics of a run in progress: files of rows, each of which is complete and in the order of its table.
//!
//! They do not pass through the journal. What is not in a file yet is lost with the coordinator.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::tables::Row;

/// Writes the files of one table of a run in progress.
#[derive(Debug)]
pub struct Parts<R> {
    layout: Layout,
    run_id: String,
    /// Number of the next file.
    next: u32,
    table: PhantomData<R>,
}

impl<R: Row> Parts<R> {
    /// Begins the files of the run in `layout`, which has none for this table yet.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be created.
    pub fn create(layout: &Layout, run_id: &str) -> Result<Self, RunError> {
        let folder = layout.telemetry();
        fs::create_dir_all(&folder).map_err(|error| RunError::write(&folder, error))?;
        Ok(Self {
            layout: layout.clone(),
            run_id: run_id.to_owned(),
            next: 0,
            table: PhantomData,
        })
    }

    /// Writes rows in any order to a new file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written. It is then not read later.
    pub fn write(&mut self, rows: Vec<R>) -> Result<(), RunError> {
        let name = format!("{}-{:06}.parquet", R::TABLE, self.next);
        let file = self.layout.telemetry().join(name);
        let unfinished = mirror_files::unfinished(&file);
        files::write_rows(rows, &self.run_id, &unfinished)?;
        fs::rename(&unfinished, &file).map_err(|error| RunError::write(&file, error))?;
        self.next += 1;
        Ok(())
    }
}

/// Returns the complete files of a table of a run in progress, in the order in which they were written.
pub(crate) fn files_of(layout: &Layout, table: &str) -> Result<Vec<PathBuf>, RunError> {
    let folder = layout.telemetry();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RunError::read(&folder, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| RunError::read(&folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| {
            name.strip_prefix(table)?
                .strip_prefix('-')?
                .strip_suffix(".parquet")
        });
        if number
            .is_some_and(|number| number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit()))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
