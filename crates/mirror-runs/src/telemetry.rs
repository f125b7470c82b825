//! Spans and metrics of a run in progress: files of rows, each of which is complete and in the order of its table.
//!
//! They do not pass through the journal. What is not in a file yet is lost with the coordinator.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    pub fn write(&mut self, rows: &[R]) -> Result<(), RunError> {
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

/// The counts of the spans and metrics of a run, in the file `telemetry.json`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Number of spans in the table.
    pub spans: u64,
    /// Number of measurements in the table.
    pub metrics: u64,
    /// Number of spans that nodes dropped, because they could not send them in time.
    pub dropped_by_nodes: u64,
    /// Number of spans that the coordinator dropped, because its queue was full. The short parts of an axon's call,
    /// which are sent with the span of the call, are not counted.
    pub dropped_by_queue: u64,
    /// Number of spans that were refused: too large, or invalid. The short parts of an axon's call are not counted.
    pub refused: u64,
    /// Number of spans that were not kept, because their traces had no errors and were not among the slowest.
    pub not_kept: u64,
    /// Number of messages of metrics that the coordinator dropped, because its queue was full.
    pub dropped_metrics: u64,
    /// Number of measurements that were refused.
    pub refused_metrics: u64,
    /// Number of spans that were lost because a file could not be written.
    pub lost: u64,
    /// Number of measurements that were lost because a file could not be written.
    pub lost_metrics: u64,
    /// Number of spans and measurements that were not sent on to another collector, because it did not take them.
    pub not_sent_on: u64,
}

impl Summary {
    /// Writes the counts of the run in `layout`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, layout: &Layout) -> Result<(), RunError> {
        let path = layout.telemetry_summary();
        let text = serde_json::to_vec_pretty(self).map_err(|source| RunError::Json {
            path: path.clone(),
            source,
        })?;
        files::replace(&path, &text)
    }

    /// Reads the counts of the run in `layout`. `None` if it has none.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(layout: &Layout) -> Result<Option<Self>, RunError> {
        let path = layout.telemetry_summary();
        let Some(text) = files::read_small(&path, 1 << 16)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&text);
        read.map(Some).map_err(|source| RunError::Json { path, source })
    }

    /// Returns the number of spans that are in no table although they were recorded to be kept.
    pub fn missing_spans(&self) -> u64 {
        [
            self.dropped_by_nodes,
            self.dropped_by_queue,
            self.refused,
            self.lost,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Returns the number of measurements that are in no table, without those in messages that were dropped, which are
    /// not counted one by one.
    pub fn missing_measurements(&self) -> u64 {
        self.refused_metrics.saturating_add(self.lost_metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn missing_spans_and_measurements_are_counted_separately() {
        let counts = Summary {
            dropped_by_nodes: 1,
            dropped_by_queue: 20,
            refused: 300,
            lost: 4_000,
            refused_metrics: 50_000,
            lost_metrics: 600_000,
            dropped_metrics: 7_000_000,
            not_kept: 80_000_000,
            ..Summary::default()
        };
        assert_eq!(counts.missing_spans(), 4_321);
        assert_eq!(counts.missing_measurements(), 650_000);
    }
}
