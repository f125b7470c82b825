//! `mirror runs rm`: deletes runs and groups.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use mirror_runs::{Found, Layout, Run, State};

use super::super::{Misuse, Status};

/// Deletes the named runs, and the named groups with their runs. Nothing is deleted if one of them is not found, is
/// still running or is no run. A folder with the name of a group that contains something else is left.
pub(super) fn remove(runs_dir: &Path, wanted: &[String]) -> anyhow::Result<Status> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut left: Vec<PathBuf> = Vec::new();
    for wanted in wanted {
        match mirror_runs::find_run_or_group(runs_dir, wanted).map_err(Misuse::of)? {
            Found::Run(run) if mirror_runs::is_run(&run) => folders.push(run),
            Found::Run(other) => {
                let error = anyhow!("{} is not a run, so it is not deleted", other.display());
                return Err(Misuse::of(error).into());
            }
            Found::Group(found) => {
                folders.extend(found.runs);
                let folder = found.layout.root();
                // A group that only its runs name has no folder.
                if !folder.exists() {
                    continue;
                }
                if !is_child(folder, runs_dir) {
                    let error = anyhow!(
                        "the group {} is not in {}: name its folder of runs with --runs-dir",
                        folder.display(),
                        runs_dir.display()
                    );
                    return Err(Misuse::of(error).into());
                }
                let known = if is_of_group(folder)? {
                    &mut folders
                } else {
                    &mut left
                };
                known.push(folder.to_owned());
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
    for folder in left {
        writeln!(out, "left {}: it is not the folder of a group", folder.display())?;
    }
    Ok(Status::Done)
}

/// Returns whether `folder` is in `runs_dir`, and not in a folder in it.
fn is_child(folder: &Path, runs_dir: &Path) -> bool {
    let parent = folder.parent().and_then(|parent| parent.canonicalize().ok());
    parent.is_some() && parent == runs_dir.canonicalize().ok()
}

/// Returns whether `folder` contains the description of a group, or nothing except a report.
fn is_of_group(folder: &Path) -> anyhow::Result<bool> {
    let layout = Layout::new(folder);
    if layout.group().exists() {
        return Ok(true);
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        if entry?.path() != layout.report() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use mirror_runs::{Ended, Group, NewRun, Recorder, RunDirectory};

    use super::*;

    /// Records a run whose manifest names `group`, and returns its folder.
    fn record(runs_dir: &Path, group: &str) -> PathBuf {
        let new = NewRun {
            group: Some(group.to_owned()),
            ..NewRun::default()
        };
        let directory = RunDirectory::create(runs_dir, &new).expect("a directory");
        let path = directory.layout().root().to_owned();
        let recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).expect("a recorder");
        recorder.finish(Ended::Done).expect("the run ends");
        path
    }

    fn rm(runs_dir: &Path, wanted: &str) -> anyhow::Result<Status> {
        remove(runs_dir, &[wanted.to_owned()])
    }

    #[test]
    fn a_folder_that_is_no_run_and_no_group_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let runs_dir = folder.path().join("runs");
        let precious = runs_dir.join("precious");
        fs::create_dir_all(&precious).expect("a folder");
        fs::write(precious.join("thesis.txt"), "").expect("a file");
        for group in ["..", "../runs", "precious"] {
            let run = record(&runs_dir, group);
            let removed = rm(&runs_dir, group);
            assert_eq!(removed.is_ok(), group == "precious", "{removed:?}");
            assert_eq!(run.exists(), group != "precious");
            assert!(precious.join("thesis.txt").exists(), "{group}");
        }
        // A path that is no run.
        let error = rm(&runs_dir, precious.to_str().expect("a path")).expect_err("an error");
        assert!(error.to_string().contains("is not a run"), "{error}");
        assert!(precious.join("thesis.txt").exists());
    }

    #[test]
    fn the_folder_of_a_group_is_deleted_with_its_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let (described, layout) = Group::create(folder.path(), "copycats", 2, 7).expect("a group");
        rm(folder.path(), &described.id).expect("a group without runs is deleted");
        assert!(!layout.root().exists());
        let run = record(folder.path(), "named");
        let named = Layout::new(folder.path().join("named"));
        fs::create_dir(named.root()).expect("a folder");
        fs::write(named.report(), "").expect("a report");
        rm(folder.path(), "named").expect("a group with a report is deleted");
        assert!(!named.root().exists() && !run.exists());
    }

    #[test]
    fn a_group_outside_of_the_folder_of_runs_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, layout) = Group::create(folder.path().join("others"), "copycats", 2, 7).expect("a group");
        let runs_dir = folder.path().join("runs");
        fs::create_dir(&runs_dir).expect("a folder");
        let error = rm(&runs_dir, layout.root().to_str().expect("a path")).expect_err("an error");
        assert!(error.to_string().contains("--runs-dir"), "{error}");
        assert!(layout.root().exists());
    }
}
