//! Finishes a run, in order or after a crash, by converting the journal to tables.
//!
//! Each step may be interrupted and repeated. The journal contains the whole run until the manifest states that the run
//! has ended. From then on the tables contain it, and the rest of the journal may be removed.

use std::fs;
use std::io;
use std::path::Path;

use time::OffsetDateTime;

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::lock::RunLock;
use crate::manifest::{Counts, Ended, Manifest, State, timestamp};
use crate::parts::{self, Part};
use crate::tables::TABLES;

/// The result of [`recover`].
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// The run was interrupted. Its tables now contain every acknowledged record.
    Recovered(Manifest),
    /// The run had already ended.
    AlreadyEnded(Manifest),
}

/// Finishes the run in the directory `path` whose coordinator no longer runs. It may be interrupted and repeated.
///
/// # Errors
///
/// Returns [`RunError::InProgress`] if another process is writing the run.
pub fn recover(path: impl AsRef<Path>) -> Result<Recovery, RunError> {
    let layout = Layout::new(path.as_ref());
    // This check precedes the lock, because taking the lock would create its file in any directory.
    Manifest::read(&layout)?;
    let _lock = RunLock::take(&layout)?;
    let manifest = Manifest::read(&layout)?;
    if manifest.state == State::Running {
        let finished = None;
        let duplicates = None;
        let manifest = make_tables(&layout, manifest, duplicates)?;
        return end(&layout, manifest, Ended::Interrupted, finished).map(Recovery::Recovered);
    }
    remove_journal(&layout)?;
    Ok(Recovery::AlreadyEnded(manifest))
}

/// Finishes a run whose recorder ends now.
pub(crate) fn finish(
    layout: &Layout,
    manifest: Manifest,
    ended: Ended,
    duplicates: u64,
) -> Result<Manifest, RunError> {
    let finished = timestamp(OffsetDateTime::now_utc());
    let manifest = make_tables(layout, manifest, Some(duplicates))?;
    end(layout, manifest, ended, Some(finished))
}

fn make_tables(
    layout: &Layout,
    mut manifest: Manifest,
    duplicates: Option<u64>,
) -> Result<Manifest, RunError> {
    let folder = layout.parts();
    fs::create_dir_all(&folder).map_err(|error| RunError::write(&folder, error))?;
    let parts = parts::complete(layout, |segment| Part::publish(layout, segment, &manifest.id))?;
    let mut counts = Counts {
        duplicates,
        ..Counts::default()
    };
    for part in &parts {
        let remainder = part.remainder()?;
        counts.skipped += remainder.skipped;
        counts.torn_bytes += remainder.torn;
    }
    for table in TABLES {
        let file = layout.table(&table);
        let unfinished = mirror_files::unfinished(&file);
        let sources = parts::files_of(table.name, &parts)?;
        let rows = table.merge(sources, &manifest.id, &folder, &unfinished)?;
        files::publish(&unfinished, &file)?;
        counts.rows.insert(table.name.to_owned(), rows);
    }
    manifest.counts = counts;
    Ok(manifest)
}

fn end(
    layout: &Layout,
    mut manifest: Manifest,
    ended: Ended,
    finished: Option<String>,
) -> Result<Manifest, RunError> {
    manifest.state = ended.into();
    manifest.finished = finished;
    manifest.write(layout)?;
    remove_journal(layout)?;
    Ok(manifest)
}

fn remove_journal(layout: &Layout) -> Result<(), RunError> {
    for folder in [layout.parts(), layout.journal()] {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RunError::write(&folder, error));
            }
            _ => {}
        }
    }
    Ok(())
}
