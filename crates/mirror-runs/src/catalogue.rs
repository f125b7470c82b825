//! Lists the runs of a directory and finds a run by a part of its id.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::RunError;
use crate::layout::Layout;
use crate::manifest::{Manifest, State};
use crate::run::standing;

/// A run in a list.
#[derive(Debug)]
pub struct Listed {
    /// Name of the run's directory.
    pub id: String,
    /// The run's directory.
    pub path: PathBuf,
    /// The run's manifest and state, or the reason why they cannot be read.
    pub run: Result<(Manifest, State), RunError>,
}

/// Returns the runs in `runs_dir`, newest first. Directories that contain no run are skipped. A run that cannot be read
/// is listed with the error. If `runs_dir` does not exist, the list is empty.
pub fn runs(runs_dir: impl AsRef<Path>) -> Result<Vec<Listed>, RunError> {
    let runs_dir = runs_dir.as_ref();
    let read_error = |error| RunError::read(runs_dir, error);
    let entries = match fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read_error(error)),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read_error)?;
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        let layout = Layout::new(&path);
        match standing(&layout) {
            // A directory with a lock file is a run that was started.
            Err(RunError::NotARun { .. }) if !layout.lock().exists() => {}
            run => listed.push(Listed {
                id: entry.file_name().to_string_lossy().into_owned(),
                path,
                run,
            }),
        }
    }
    listed.sort_by(|one, other| other.id.cmp(&one.id));
    Ok(listed)
}

/// Returns whether a directory is that of a run: it has a manifest, which may be damaged, or a lock file.
pub fn is_run(path: impl AsRef<Path>) -> bool {
    let layout = Layout::new(path.as_ref());
    layout.manifest().exists() || layout.lock().exists()
}

/// Returns the directory of the run that `wanted` identifies: a path, the beginning of an id in `runs_dir`, or `last`
/// for the newest run.
pub fn find(runs_dir: impl AsRef<Path>, wanted: &str) -> Result<PathBuf, RunError> {
    let runs_dir = runs_dir.as_ref();
    let as_path = Path::new(wanted);
    if as_path.components().count() > 1 || Layout::new(as_path).manifest().exists() {
        return Ok(as_path.to_owned());
    }
    let mut found = runs(runs_dir)?;
    let newest_wanted = wanted == "last";
    found.retain(|run| newest_wanted || run.id.starts_with(wanted));
    let exact = found.iter().position(|run| newest_wanted || run.id == wanted);
    let chosen = match (exact, found.as_slice()) {
        (Some(exact), _) => found.get(exact),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    if let Some(run) = chosen {
        return Ok(run.path.clone());
    }
    let wanted = wanted.to_owned();
    if found.is_empty() {
        let runs_dir = runs_dir.to_owned();
        return Err(RunError::NotFound { wanted, runs_dir });
    }
    let candidates = found.into_iter().map(|run| run.id).collect();
    Err(RunError::Ambiguous { wanted, candidates })
}
