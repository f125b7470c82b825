//! Repositories on disk, in the layout of the Hugging Face cache: `datasets--owner--name/snapshots/<revision>/…`, with
//! the revision of a branch in `refs/<branch>`.
//!
//! Downloads are stored in the same layout, but in a separate cache, because a snapshot in the official cache is
//! expected to contain more files than those that are used here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Kind;

/// Maximum number of files that are listed in one snapshot. Folders deeper than [`DEPTH_MAX`] are ignored.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 4;

/// Error from searching a cache.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The name matches two repositories or two revisions.
    #[error(
        "both {first} and {second} match the name; add the owner to the name, or specify the path of the files to use"
    )]
    Ambiguous {
        /// One match.
        first: PathBuf,
        /// Another match.
        second: PathBuf,
    },
    /// A folder or a file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Returns the folder that contains all snapshots of `name` in the cache `root`.
pub fn repository(root: &Path, kind: Kind, name: &str) -> PathBuf {
    root.join(format!("{}--{}", kind.plural(), name.replace('/', "--")))
}

/// Returns the folder of the snapshot of `name` in the cache `root`, or `None` if there is none. A name without an
/// owner is also found if exactly one owner has a repository of that name.
///
/// # Errors
/// Returns an error if the name is ambiguous or the cache cannot be read.
pub fn find(root: &Path, kind: Kind, name: &str) -> Result<Option<PathBuf>, SnapshotError> {
    match find_repository(root, kind, name)? {
        Some(repository) => find_revision(&repository),
        None => Ok(None),
    }
}

/// Returns the paths of all files of a snapshot, relative to its folder.
///
/// # Errors
/// Returns an error if a folder cannot be read.
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

/// Returns the snapshot that `main` refers to, or the only snapshot. Returns `None` if there is none.
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
        // The official client creates links to files, never to folders.
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

/// Returns the names and paths of the entries of a folder. Names that are not UTF-8 are ignored.
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
