//! The files of an agent: those that the coordinator sends, named by their hashes, and the folders of the nodes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// Maximum size of a file in bytes.
const MAX_FILE: u64 = 64 << 30;

/// Maximum number of files that a node can leave for the run.
const MAX_RESULTS: usize = 10_000;

/// The SHA-256 of a file's content.
pub(crate) type Hash = [u8; 32];

/// The folder of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Creates the folder, whose path is absolute, and those in it. Removes the logs of an earlier agent.
    pub(crate) fn new(folder: PathBuf) -> anyhow::Result<Self> {
        let files = Self { folder };
        remove(&files.logs()).with_context(|| format!("cannot empty {}", files.logs().display()))?;
        for folder in [files.logs(), files.stored()] {
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(files)
    }

    /// Begins a run. Removes what the nodes of another run have left. What nodes of the same run have left stays,
    /// because they resume from it.
    pub(crate) fn begin(&self, run: &str) -> io::Result<()> {
        let name = self.folder.join("run");
        match fs::read_to_string(&name) {
            Ok(of_before) if of_before == run => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
        remove(&self.folder.join("state"))?;
        remove(&self.folder.join("results"))?;
        fs::write(name, run)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub(crate) fn log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{node}.log"))
    }

    fn stored(&self) -> PathBuf {
        self.folder.join("files")
    }

    fn path_of(&self, hash: &Hash) -> PathBuf {
        self.stored().join(hex::encode(hash))
    }

    pub(crate) fn has(&self, hash: &Hash) -> bool {
        self.path_of(hash).is_file()
    }

    /// Begins a file whose content must have this hash.
    pub(crate) fn receive(&self, hash: Hash) -> io::Result<Receiving> {
        Ok(Receiving {
            hash,
            path: self.path_of(&hash),
            file: NamedTempFile::new_in(self.stored())?,
            found: Sha256::new(),
            bytes: 0,
        })
    }

    /// Makes a stored file available at `path`, which is relative to the folder.
    pub(crate) fn place(&self, hash: &Hash, path: &str) -> io::Result<()> {
        let target = self.folder.join(inside(path)?);
        if target.exists() {
            return Ok(());
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::hard_link(self.path_of(hash), &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome,
        }
    }

    /// Creates the folders in which a node keeps its state and leaves files for the run.
    pub(crate) fn create_folders_of(&self, node: &str) -> io::Result<()> {
        fs::create_dir_all(self.folder.join("state"))?;
        fs::create_dir_all(self.results_of(node))
    }

    fn results_of(&self, node: &str) -> PathBuf {
        self.folder.join("results").join(node)
    }

    /// Returns the files that a node has left for the run: the path of each, and the same relative to its folder.
    pub(crate) fn results(&self, node: &str) -> io::Result<Vec<(PathBuf, String)>> {
        let root = self.results_of(node);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let (kind, path) = (entry.file_type()?, entry.path());
                if kind.is_dir() {
                    folders.push(path);
                } else if found.len() >= MAX_RESULTS {
                    return Err(io::Error::other(format!(
                        "the node has left more than {MAX_RESULTS} files"
                    )));
                } else if kind.is_file()
                    && let Some(relative) = path.strip_prefix(&root).ok().and_then(Path::to_str)
                {
                    let relative = relative.to_owned();
                    found.push((path, relative));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Removes a folder, if there is one.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Returns a relative path that does not leave its folder.
fn inside(path: &str) -> io::Result<&Path> {
    let path = Path::new(path);
    let is_inside = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    if is_inside && path.file_name().is_some() {
        Ok(path)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the path {} is not inside of the folder of the agent",
                path.display()
            ),
        ))
    }
}

/// A file that the coordinator is sending.
pub(crate) struct Receiving {
    hash: Hash,
    path: PathBuf,
    file: NamedTempFile,
    found: Sha256,
    bytes: u64,
}

impl Receiving {
    /// Appends a part, which begins at `position`.
    pub(crate) fn write(&mut self, position: u64, part: &[u8]) -> io::Result<()> {
        if position != self.bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the part begins at {position}, expected {}", self.bytes),
            ));
        }
        self.bytes += part.len() as u64;
        if self.bytes > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("the file is larger than {MAX_FILE} bytes"),
            ));
        }
        self.found.update(part);
        self.file.write_all(part)
    }

    /// Keeps the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the content has another hash, or the file cannot be renamed.
    pub(crate) fn finish(self) -> io::Result<()> {
        let found: Hash = self.found.finalize().into();
        if found != self.hash {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the content has the hash {}, expected {}",
                    hex::encode(found),
                    hex::encode(self.hash)
                ),
            ));
        }
        self.file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Reads a file in parts of at most `bytes`.
pub(crate) fn parts(
    path: &Path,
    bytes: u64,
) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
    let mut file = File::open(path)?;
    Ok(std::iter::from_fn(move || {
        let mut part = Vec::new();
        match (&mut file).take(bytes).read_to_end(&mut part) {
            Ok(0) => None,
            Ok(_) => Some(Ok(part)),
            Err(error) => Some(Err(error)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::new(folder.path().join("agent")).expect("an agent's folder");
        (folder, files)
    }

    #[test]
    fn only_a_file_with_the_stated_hash_is_kept() {
        let (_folder, files) = files();
        // The SHA-256 of "abc", from FIPS 180-2, appendix B.1.
        let hash: Hash = hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
            .expect("hexadecimal digits")
            .try_into()
            .expect("32 bytes");
        let mut other = files.receive(hash).expect("a file");
        other.write(0, b"abd").expect("it is written");
        assert_eq!(
            other.finish().expect_err("another hash").kind(),
            io::ErrorKind::InvalidData
        );
        assert!(!files.has(&hash));
        let mut same = files.receive(hash).expect("a file");
        same.write(0, b"a").expect("it is written");
        same.write(2, b"c").expect_err("a part is missing");
        same.write(1, b"bc").expect("it is written");
        same.finish().expect("the hash");
        assert!(files.has(&hash));
        files.place(&hash, "inputs/x/name.qa").expect("a place");
        files
            .place(&hash, "inputs/x/name.qa")
            .expect("it is there already");
        assert_eq!(
            fs::read(files.folder().join("inputs/x/name.qa")).expect("the file"),
            b"abc"
        );
    }

    #[test]
    fn what_another_run_has_left_is_removed() {
        let (_folder, files) = files();
        let state = files.folder().join("state/subtensor");
        for (run, is_kept) in [("first", false), ("first", true), ("second", false)] {
            files.begin(run).expect("a run");
            assert_eq!(state.exists(), is_kept, "{run}");
            fs::create_dir_all(&state).expect("a folder");
        }
    }

    #[test]
    fn paths_outside_of_the_folder_are_refused() {
        let (_folder, files) = files();
        for path in ["../x", "/etc/x", "inputs/../../x", "", "."] {
            let error = files.place(&[0; 32], path).expect_err(path);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }
}
