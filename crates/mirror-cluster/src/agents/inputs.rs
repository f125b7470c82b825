//! The files that nodes read, which the coordinator sends to their agents.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mirror_proto::mirror::v1::PlacedFile;
use sha2::{Digest, Sha256};

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
    /// Returns the place of a file or folder below the folder of an agent, which depends on its content. Adds its files
    /// to `inputs`.
    pub(super) fn place(&self, path: &Path, inputs: &mut Vec<Input>) -> io::Result<PathBuf> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(path) {
            let found = read(path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            known.insert(path.to_owned(), found);
        }
        let (place, files) = &known[path];
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
                    "the folder has more than {MAX_FILES} files, so it is no folder of a model"
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
