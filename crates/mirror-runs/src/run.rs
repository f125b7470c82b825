//! Reads a run that has ended, is in progress or was interrupted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::Schema;
use mirror_journal::JournalError;
use tempfile::TempDir;

use crate::error::RunError;
use crate::files::{self, Batches, Rows};
use crate::layout::Layout;
use crate::lock;
use crate::manifest::{Manifest, State};
use crate::parts::{self, Part};
use crate::tables::{EventRow, Row, TABLES, Table};
use crate::telemetry;

/// A run opened for reading. A run in progress shows the records up to the time at which it was opened. If that run
/// ends, its rows move to other files and it must be opened again.
#[derive(Debug)]
pub struct Run {
    layout: Layout,
    manifest: Manifest,
    state: State,
    rows: Stored,
}

/// Location of a run's rows.
#[derive(Debug)]
enum Stored {
    /// In one file per table, next to the manifest.
    Tables,
    /// In parts. Parts that the run had not created yet are created in `scratch`.
    Parts { parts: Vec<Part>, scratch: TempDir },
}

impl Run {
    /// Opens the run in the directory `path`. Only read access is required.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RunError> {
        let layout = Layout::new(path.as_ref());
        loop {
            let (manifest, state) = standing(&layout)?;
            let rows = if manifest.state == State::Running {
                match in_parts(&layout, &manifest) {
                    // The run ended during the search for its parts, and removed them.
                    Err(error) if error.is_absence() && standing(&layout)?.0.state != State::Running => {
                        continue;
                    }
                    Err(RunError::Journal(
                        source @ (JournalError::Corrupt { .. } | JournalError::Missing { .. }),
                    )) => {
                        return Err(RunError::Damaged {
                            path: layout.root().to_owned(),
                            source,
                        });
                    }
                    rows => rows?,
                }
            } else {
                Stored::Tables
            };
            return Ok(Self {
                layout,
                manifest,
                state,
                rows,
            });
        }
    }

    /// Returns the state of the run in the directory `path`, without opening its tables.
    pub fn state_of(path: impl AsRef<Path>) -> Result<State, RunError> {
        Ok(standing(&Layout::new(path.as_ref()))?.1)
    }

    /// Returns the paths of the run's files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the manifest. Its `state` is as last written; [`Run::state`] also detects an interrupted run.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the state of the run.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the rows of a table, in the order of the table.
    pub fn rows<R: Row>(&self) -> Result<Rows<R>, RunError> {
        let scratch = match &self.rows {
            // A single file is not merged, so no temporary file is created in the directory.
            Stored::Tables => self.layout.root(),
            Stored::Parts { scratch, .. } => scratch.path(),
        };
        let table = Table::named(R::TABLE).expect("every row type belongs to a table");
        Rows::merging(self.table_files(&table)?, &self.manifest.id, scratch)
    }

    /// Returns `columns` of a table, in this order, in batches, with the rows in the order of the table. Columns that
    /// an earlier version did not write are null in every row.
    pub fn batches(&self, table: &Table, columns: &[&str]) -> Result<Batches, RunError> {
        let schema = table.schema();
        let unknown = columns
            .iter()
            .find(|column| schema.field_with_name(column).is_err());
        if let Some(column) = unknown {
            return Err(RunError::NoColumn {
                table: table.name,
                column: (*column).to_owned(),
            });
        }
        let fields = columns.iter().map(|column| {
            let field = schema.field_with_name(column);
            Arc::new(field.expect("every column was found").clone().with_nullable(true))
        });
        let wanted = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Batches::of(self.ordered_files(table)?, wanted))
    }

    /// Returns files whose rows, one file after the other, are in the order of the table. The parts of a run in
    /// progress are merged for this.
    fn ordered_files(&self, table: &Table) -> Result<Vec<PathBuf>, RunError> {
        let files = self.table_files(table)?;
        let Stored::Parts { scratch, .. } = &self.rows else {
            return Ok(files);
        };
        if files.len() < 2 {
            return Ok(files);
        }
        let merged = scratch.path().join(format!("ordered-{}", table.file_name()));
        if !merged.exists() {
            table.merge(files, &self.manifest.id, scratch.path(), &merged)?;
        }
        Ok(vec![merged])
    }

    /// Returns the number of rows of a table.
    pub fn row_count(&self, table: &Table) -> Result<u64, RunError> {
        let files = self.table_files(table)?;
        files.iter().map(|file| files::row_count(file)).sum()
    }

    /// Returns the names of the tables that had rows when the run ended and whose files no longer exist. They are read
    /// as empty.
    pub fn missing_tables(&self) -> Vec<&'static str> {
        let Stored::Tables = &self.rows else {
            return Vec::new();
        };
        let rows = &self.manifest.counts.rows;
        let had_rows = TABLES
            .iter()
            .filter(|table| rows.get(table.name).is_some_and(|rows| *rows > 0));
        had_rows
            .filter(|table| !self.layout.table(table).exists())
            .map(|table| table.name)
            .collect()
    }

    /// Returns the number of the last step plus one, read from the footers of the files. `None` without an event, or if
    /// a footer does not have it.
    pub fn steps(&self) -> Result<Option<u64>, RunError> {
        let table = Table::named(EventRow::TABLE).expect("events are a table");
        let files = self.table_files(&table)?;
        let mut steps = None;
        for file in files {
            steps = steps.max(files::greatest(&file, "step")?.map(|step| step.saturating_add(1)));
        }
        Ok(steps)
    }

    /// Returns the Parquet files that together contain a table, each with the column `run_id`. They exist as long as
    /// this `Run`, unless the run was in progress when it was opened and has ended since.
    pub fn table_files(&self, table: &Table) -> Result<Vec<PathBuf>, RunError> {
        match &self.rows {
            Stored::Tables => {
                let file = self.layout.table(table);
                // An earlier version did not have this table. `missing_tables` names those that were removed.
                Ok(if file.exists() { vec![file] } else { Vec::new() })
            }
            Stored::Parts { parts, .. } => {
                let mut files = parts::files_of(table.name, parts)?;
                files.extend(telemetry::files_of(&self.layout, table.name)?);
                Ok(files)
            }
        }
    }
}

fn in_parts(layout: &Layout, manifest: &Manifest) -> Result<Stored, RunError> {
    let scratch = tempfile::tempdir().map_err(|error| RunError::write(&std::env::temp_dir(), error))?;
    let parts = parts::complete(layout, |segment| {
        Part::borrow(layout, segment, &manifest.id, scratch.path())
    })?;
    Ok(Stored::Parts { parts, scratch })
}

/// Returns a run's manifest and its state. If the manifest states that the run is in progress but its lock is not held,
/// the run was interrupted.
pub(crate) fn standing(layout: &Layout) -> Result<(Manifest, State), RunError> {
    let manifest = Manifest::read(layout)?;
    if manifest.state != State::Running || lock::is_held(layout)? {
        let state = manifest.state;
        return Ok((manifest, state));
    }
    // The run may have ended between the two checks. The manifest is written before the lock is released.
    let manifest = Manifest::read(layout)?;
    let state = match manifest.state {
        State::Running => State::Interrupted,
        ended => ended,
    };
    Ok((manifest, state))
}
