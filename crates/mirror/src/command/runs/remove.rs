//! `mirror runs rm`: deletes runs and groups.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use mirror_runs::{Found, Run, State};

use super::super::{Misuse, Status, place};

/// Deletes the named runs, and the named groups with their runs. Nothing is deleted if one of them is not found or is
/// still running.
pub(super) fn remove(runs_dir: &Path, wanted: &[String]) -> anyhow::Result<Status> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for wanted in wanted {
        match place::run_or_group(runs_dir, wanted)? {
            Found::Run(run) => folders.push(run),
            Found::Group(found) => {
                folders.extend(found.runs);
                // A group that only its runs name has no folder.
                folders.extend(Some(found.layout.root().to_owned()).filter(|folder| folder.exists()));
            }
        }
    }
    for folder in &folders {
        let is_running = Run::open(folder).is_ok_and(|run| run.state() == State::Running);
        if is_running {
            let error = anyhow!("{} is still running: end it first", folder.display());
            return Err(Misuse::of(error).into());
        }
    }
    folders.sort();
    folders.dedup();
    let mut out = std::io::stdout().lock();
    for folder in folders {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
        writeln!(out, "deleted {}", folder.display())?;
    }
    Ok(Status::Done)
}
