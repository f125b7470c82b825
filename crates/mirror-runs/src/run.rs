//! Reads a run, whether it has ended, goes on or was interrupted.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::RunError;
use crate::files::{self, Batches, Rows};
use crate::layout::Layout;
use crate::lock;
use crate::manifest::{Manifest, State};
use crate::parts::{self, Part};
use crate::tables::{Row, Table};

/// A run opened for reading. Of one that goes on it shows what was recorded until it was opened; should that run end,
/// its rows have moved, and it must be opened anew.
#[derive(Debug)]
pub struct Run {
    layout: Layout,
    manifest: Manifest,
    state: State,
    rows: Stored,
}

/// Where a run's rows are.
#[derive(Debug)]
enum Stored {
    /// In a file a table, beside the manifest.
    Tables,
    /// In parts; those that the run had not made yet were made in `scratch`.
    Parts { parts: Vec<Part>, scratch: TempDir },
}

impl Run {
    /// Opens the run whose folder is `path`. Needs nothing of it but to be readable.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RunError> {
        let layout = Layout::new(path.as_ref());
        loop {
            let (manifest, state) = standing(&layout)?;
            let rows = if manifest.state == State::Running {
                match in_parts(&layout, &manifest) {
                    // The run ended while its parts were looked for, and they went away.
                    Err(error) if error.is_absence() && standing(&layout)?.0.state != State::Running => {
                        continue;
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

    /// Where its files lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What it is. Its `state` is as last written: [`Run::state`] knows better of an interrupted run.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The rows of a table, in the table's order.
    pub fn rows<R: Row>(&self) -> Result<Rows<R>, RunError> {
        let (files, scratch) = match &self.rows {
            // One file is merged with nothing, so nothing is put beside it.
            Stored::Tables => (vec![self.layout.rows::<R>()], self.layout.root()),
            Stored::Parts { parts, scratch } => (parts::files_of(R::TABLE, parts)?, scratch.path()),
        };
        Rows::merging(files, &self.manifest.id, scratch)
    }

    /// `columns` of a table, batch by batch; of a run that has ended in the table's order.
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
        Ok(Batches::of(self.table_files(table)?, columns))
    }

    /// Number of a table's rows.
    pub fn row_count(&self, table: &Table) -> Result<u64, RunError> {
        let files = self.table_files(table)?;
        files.iter().map(|file| files::row_count(file)).sum()
    }

    /// The Parquet files that hold a table together, each with the column `run_id`. They are there as long as this
    /// `Run`, unless the run went on when it was opened and has ended since.
    pub fn table_files(&self, table: &Table) -> Result<Vec<PathBuf>, RunError> {
        match &self.rows {
            Stored::Tables => Ok(vec![self.layout.table(table)]),
            Stored::Parts { parts, .. } => parts::files_of(table.name, parts),
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

/// A run's manifest, and its state with the lock's word: a run whose lock nobody holds does not go on.
pub(crate) fn standing(layout: &Layout) -> Result<(Manifest, State), RunError> {
    let manifest = Manifest::read(layout)?;
    if manifest.state != State::Running || lock::is_held(layout)? {
        let state = manifest.state;
        return Ok((manifest, state));
    }
    // It may have ended between the two looks; the manifest is written before the lock falls.
    let manifest = Manifest::read(layout)?;
    let state = match manifest.state {
        State::Running => State::Interrupted,
        ended => ended,
    };
    Ok((manifest, state))
}
