//! Published repositories on the disk, in the layout of the Hugging Face cache:
//! `datasets--owner--name/snapshots/<revision>/…`, with the revision of a branch in `refs/<branch>`.
//!
//! What is fetched from the hub is kept in the same layout, in a folder of our own, since the
//! official cache promises more than the files that are used here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Kind;

/// No more files than this are looked at in one snapshot, nor folders deeper than [`DEPTH_MAX`].
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 4;

/// Why a cache does not tell what is in it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Two repositories, or two revisions, could be meant.
    #[error("both {first} and {second} fit the name; name the owner, or the files to use by their path")]
    Ambiguous {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A folder or a file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder that holds all snapshots of `name` in the cache `root`.
pub fn repository(root: &Path, kind: Kind, name: &str) -> PathBuf {
    root.join(format!("{}--{}", kind.plural(), name.replace('/', "--")))
}

/// The folder of the snapshot of `name` in the cache `root`; a name without an owner is also found
/// under the one owner that has it.
pub fn find(root: &Path, kind: Kind, name: &str) -> Result<Option<PathBuf>, SnapshotError> {
    match find_repository(root, kind, name)? {
        Some(repository) => find_revision(&repository),
        None => Ok(None),
    }
}

/// The paths of all files of a snapshot, relative to its folder.
pub fn files(snapshot: &Path) -> Result<Vec<String>, SnapshotError> {
    let mut files = Vec::new();
    walk(snapshot, "", DEPTH_MAX, &mut files)?;
    Ok(files)
}

fn find_repository(root: &Path, kind: Kind, name: &str) -> Result<Option<PathBuf>, SnapshotError> {
    let exact = repository(root, kind, name);
    if exact.is_dir() {
        return Ok(Some(exact));
    }
    if name.contains('/') || !root.is_dir() {
        return Ok(None);
    }
    let beginning = format!("{}--", kind.plural());
    let ending = format!("--{name}");
    let mut owned: Vec<PathBuf> = entries(root)?
        .into_iter()
        .filter(|(entry, _)| {
            entry
                .strip_prefix(&beginning)
                .and_then(|rest| rest.strip_suffix(&ending))
                .is_some_and(|owner| !owner.contains("--"))
        })
        .map(|(_, path)| path)
        .collect();
    one_of(&mut owned)
}

/// The snapshot that `main` refers to, or the only one.
fn find_revision(repository: &Path) -> Result<Option<PathBuf>, SnapshotError> {
    let snapshots = repository.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(None);
    }
    let reference = repository.join("refs/main");
    if reference.is_file() {
        let revision = fs::read_to_string(&reference).map_err(|source| failed(&reference, source))?;
        let folder = snapshots.join(revision.trim());
        let is_inside = folder.parent() == Some(&snapshots);
        if is_inside && folder.is_dir() {
            return Ok(Some(folder));
        }
    }
    let mut folders = entries(&snapshots)?
        .into_iter()
        .map(|(_, path)| path)
        .filter(|path| path.is_dir())
        .collect();
    one_of(&mut folders)
}

fn one_of(candidates: &mut Vec<PathBuf>) -> Result<Option<PathBuf>, SnapshotError> {
    if candidates.len() > 1 {
        candidates.sort();
        return Err(SnapshotError::Ambiguous {
            first: candidates.swap_remove(0),
            second: candidates.swap_remove(0),
        });
    }
    Ok(candidates.pop())
}

/// Collects the paths under `folder`, relative to it.
fn walk(folder: &Path, inside: &str, depth: usize, files: &mut Vec<String>) -> Result<(), SnapshotError> {
    for (name, path) in entries(&folder.join(inside))? {
        let relative = if inside.is_empty() {
            name
        } else {
            format!("{inside}/{name}")
        };
        // The official client links files, never folders.
        if path.is_dir() && !path.is_symlink() {
            if depth > 0 {
                walk(folder, &relative, depth - 1, files)?;
            }
        } else if files.len() < FILES_MAX {
            files.push(relative);
        }
    }
    Ok(())
}

/// Names and paths in a folder; names that are not UTF-8 are nobody's.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, SnapshotError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| failed(folder, source))? {
        let entry = entry.map_err(|source| failed(folder, source))?;
        if let Some(name) = entry.file_name().to_str() {
            found.push((name.to_owned(), entry.path()));
        }
    }
    Ok(found)
}

fn failed(path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io {
        path: path.to_owned(),
        source,
    }
}
