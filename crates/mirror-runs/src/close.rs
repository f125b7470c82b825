//! Finishes a run, in order or after a crash, by converting the journal to tables.
//!
//! Each step may be interrupted and repeated. The journal contains the whole run until the manifest states that the run
//! has ended. From then on the tables contain it, and the rest of the journal may be removed. A journal from which
//! records could not be read is kept, because other tools may still read them.

use std::fs;
use std::io;
use std::path::Path;

use mirror_journal::{Loss, Missing};
use time::OffsetDateTime;

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;
use crate::lock::RunLock;
use crate::manifest::{Counts, Ended, Manifest, State, timestamp};
use crate::parts::{self, Part, Salvaged};
use crate::tables::TABLES;
use crate::telemetry;

/// The result of [`recover`].
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// The run was interrupted. Its tables now contain every acknowledged record that can be read.
    Recovered(Manifest),
    /// The run had already ended.
    AlreadyEnded(Manifest),
}

/// The action if records of the journal cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// The other records are kept, and the manifest lists the losses.
    Keep,
    /// The run is not recovered.
    Refuse,
}

/// Maximum number of losses that the manifest lists.
const LISTED: usize = 2_000;

/// Finishes the run in the directory `path` whose coordinator no longer runs. It may be interrupted and repeated.
///
/// # Errors
///
/// Returns [`RunError::InProgress`] if another process is writing the run, and [`RunError::Gaps`] if records cannot be
/// read and `on_loss` is [`OnLoss::Refuse`]. Nothing is written in both cases.
pub fn recover(path: impl AsRef<Path>, on_loss: OnLoss) -> Result<Recovery, RunError> {
    let layout = Layout::new(path.as_ref());
    // This check precedes the lock, because taking the lock would create its file in any directory.
    Manifest::read(&layout)?;
    let _lock = RunLock::take(&layout)?;
    let mut manifest = Manifest::read(&layout)?;
    if manifest.state == State::Running {
        if on_loss == OnLoss::Refuse {
            let losses = parts::losses(&layout, manifest.records)?;
            if losses.iter().any(|loss| loss.missing() != Missing::Nothing) {
                return Err(RunError::Gaps {
                    path: layout.root().to_owned(),
                    losses,
                });
            }
        }
        let finished = None;
        let Salvaged { parts, missing } = parts::salvage(&layout, &manifest.id, manifest.records)?;
        manifest.counts = count(&parts, missing)?;
        merge(&layout, &mut manifest, &parts)?;
        return end(&layout, manifest, Ended::Interrupted, finished).map(Recovery::Recovered);
    }
    if on_loss == OnLoss::Refuse && manifest.counts.has_gaps() {
        return Err(RunError::Gaps {
            path: layout.root().to_owned(),
            losses: manifest.counts.losses,
        });
    }
    remove_journal(&layout, &manifest.counts)?;
    Ok(Recovery::AlreadyEnded(manifest))
}

/// Finishes a run whose recorder ends now.
pub(crate) fn finish(
    layout: &Layout,
    mut manifest: Manifest,
    ended: Ended,
    duplicates: u64,
) -> Result<Manifest, RunError> {
    let finished = timestamp(OffsetDateTime::now_utc());
    let parts = parts::complete(layout, |segment| Part::publish(layout, segment, &manifest.id))?;
    manifest.counts = count(&parts, Vec::new())?;
    manifest.counts.duplicates = Some(duplicates);
    merge(layout, &mut manifest, &parts)?;
    end(layout, manifest, ended, Some(finished))
}

/// Counts the contents of `parts` that are in no table. `missing` are the losses of segments without a part.
fn count(parts: &[Part], missing: Vec<Loss>) -> Result<Counts, RunError> {
    let mut counts = Counts {
        losses: missing,
        ..Counts::default()
    };
    for part in parts {
        let remainder = part.remainder()?;
        counts.skipped += remainder.skipped;
        counts.torn_bytes += remainder.torn;
        counts.losses.extend(remainder.losses);
    }
    parts::sort(&mut counts.losses);
    counts.further_losses = counts.losses.len().saturating_sub(LISTED) as u64;
    counts.losses.truncate(LISTED);
    Ok(counts)
}

/// Merges the rows of `parts` to the tables of the run, and counts them.
fn merge(layout: &Layout, manifest: &mut Manifest, parts: &[Part]) -> Result<(), RunError> {
    let folder = layout.parts();
    fs::create_dir_all(&folder).map_err(|error| RunError::write(&folder, error))?;
    for table in TABLES {
        let file = layout.table(&table);
        let unfinished = mirror_files::unfinished(&file);
        let mut sources = parts::files_of(table.name, parts)?;
        sources.extend(telemetry::files_of(layout, table.name)?);
        let rows = table.merge(sources, &manifest.id, &folder, &unfinished)?;
        files::publish(&unfinished, &file)?;
        manifest.counts.rows.insert(table.name.to_owned(), rows);
    }
    Ok(())
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
    remove_journal(layout, &manifest.counts)?;
    Ok(manifest)
}

/// Removes the parts, the spans and metrics that are in the tables, and the journal if all its records are in the
/// tables.
fn remove_journal(layout: &Layout, counts: &Counts) -> Result<(), RunError> {
    let has_all = !counts.has_gaps() && counts.skipped == 0;
    let journal = has_all.then(|| layout.journal());
    for folder in [layout.parts(), layout.telemetry()].into_iter().chain(journal) {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RunError::write(&folder, error));
            }
            _ => {}
        }
    }
    Ok(())
}
