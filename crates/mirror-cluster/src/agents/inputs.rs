//! The files that nodes read, which the coordinator sends to their agents.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mirror_proto::mirror::v1::PlacedFile;
use sha2::{Digest, Sha256};

use crate::NodeSpec;
use crate::paths::{self, Use};

/// Maximum number of files in a folder that a node reads.
const MAX_FILES: usize = 1_000;

/// A file, and its place below the folder of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) source: PathBuf,
    pub(super) sha256: [u8; 32],
    /// Relative path, with `/`.
    place: String,
}

impl From<Input> for PlacedFile {
    fn from(input: Input) -> Self {
        Self {
            sha256: input.sha256.to_vec(),
            path: input.place,
        }
    }
}

/// The files and folders that were read so far, by path. They do not change during a run.
#[derive(Debug, Default)]
pub(super) struct Inputs(Mutex<HashMap<PathBuf, (PathBuf, Vec<Input>)>>);

impl Inputs {
    /// Reads the files of a node that were not read before, in another thread.
    pub(super) async fn read_all_of(&self, spec: &mut NodeSpec) -> io::Result<()> {
        let mut unread = Vec::new();
        paths::replace(spec, &mut |usage, path| {
            if usage == Use::Input && !self.lock().contains_key(path) {
                unread.push(path.to_owned());
            }
            io::Result::Ok(path.to_owned())
        })?;
        for path in unread {
            let file = path.clone();
            let found = tokio::task::spawn_blocking(move || read(&file))
                .await
                .map_err(io::Error::other)?;
            let found = found
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            self.lock().insert(path, found);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (PathBuf, Vec<Input>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the place of a file or folder that was read, below the folder of an agent. It depends on the content.
    /// Adds its files to `inputs`.
    pub(super) fn place(&self, path: &Path, inputs: &mut Vec<Input>) -> io::Result<PathBuf> {
        let known = self.lock();
        let (place, files) = known
            .get(path)
            .ok_or_else(|| io::Error::other(format!("{} was not read", path.display())))?;
        inputs.extend_from_slice(files);
        Ok(place.clone())
    }
}

/// Returns the place of a file or folder, and its files.
fn read(path: &Path) -> io::Result<(PathBuf, Vec<Input>)> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8"))?;
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A folder of a model has no folders; a link is read as its target.
            if fs::metadata(entry.path())?.is_file() {
                let name = entry.file_name().into_string().map_err(|name| {
                    let message = format!("the name {} is not UTF-8", name.display());
                    io::Error::new(io::ErrorKind::InvalidInput, message)
                })?;
                files.push((entry.path(), format!("/{name}")));
            }
            if files.len() > MAX_FILES {
                return Err(io::Error::other(format!(
                    "the folder has more than {MAX_FILES} files, which no model has"
                )));
            }
        }
        files.sort();
    } else {
        files.push((path.to_owned(), String::new()));
    }
    let mut of_all = Sha256::new();
    let mut hashes = Vec::new();
    for (source, name) in &files {
        let mut hash = Sha256::new();
        io::copy(&mut File::open(source)?, &mut hash)?;
        let hash: [u8; 32] = hash.finalize().into();
        of_all.update(name.as_bytes());
        of_all.update(hash);
        hashes.push(hash);
    }
    let place = format!("inputs/{}/{name}", hex::encode(&of_all.finalize()[..16]));
    let inputs = files
        .into_iter()
        .zip(hashes)
        .map(|((source, name), sha256)| Input {
            source,
            sha256,
            place: format!("{place}{name}"),
        });
    let inputs = inputs.collect();
    Ok((place.into(), inputs))
}
