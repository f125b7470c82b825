//! Atomic writes of files, and reads with a bound on the size.
//!
//! A file is written under a temporary name next to its final path, synced, renamed, and then its folder is synced. A
//! reader sees either the old file or the new one, even after a crash or a power failure. The caller does the writing,
//! because many files are written by libraries that take a path, or are a whole folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces the file at `path` with one that contains `bytes`.
///
/// # Errors
/// Returns an error of the operating system for the file or its folder. If the new file was not yet renamed, the old
/// one is unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |unfinished| fs::write(unfinished, bytes))
}

/// Replaces the file at `path` with one that contains `bytes` and that only its owner can read and write.
///
/// # Errors
/// Returns an error of the operating system, as [`replace`] does.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |unfinished| {
        if let Err(error) = fs::remove_file(unfinished)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(unfinished)?
            .write_all(bytes)
    })
}

/// Replaces the file at `path` with one that `write` creates at the path that it receives, which is [`unfinished`].
/// There must be only one writer of a path at a time.
///
/// # Errors
/// Returns the error of `write`, or an error of the operating system for the file or its folder. If the new file was
/// not yet renamed, the old one is unchanged and the unfinished file is removed.
pub fn replace_with<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let unfinished = unfinished(path);
    let written = write(&unfinished).and_then(|()| Ok(publish(&unfinished, path)?));
    if written.is_err() {
        // The first error is returned. It is not an error if there is nothing to remove.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Returns the path at which a file or folder is written before it is renamed: `path` with `.tmp` appended.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Syncs a finished file or folder and renames it to `path`. The files in a folder must be synced before.
///
/// # Errors
/// Returns an error of the operating system, which is [`io::ErrorKind::DirectoryNotEmpty`] if a folder of that name
/// already exists.
pub fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    sync(unfinished)?;
    fs::rename(unfinished, path)?;
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync(Path::new(".")),
        Some(folder) => sync(folder),
        None => Ok(()),
    }
}

/// Syncs the bytes of a file, or the entries of a folder, to disk.
///
/// # Errors
/// Returns an error of the operating system.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads all bytes of a reader. `None` if it has more than `most`. At most one byte beyond `most` is read.
///
/// # Errors
/// Returns an error of the reader.
pub fn read_at_most(reader: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        for text in ["old", "new"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["page.html"]);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        replace(&path, b"old").unwrap();
        let failed = replace_with(&path, |unfinished| {
            fs::write(unfinished, "half of the n")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["page.html"]);
    }

    #[test]
    fn publishing_over_an_existing_folder_fails() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("000001");
        let growing = unfinished(&part);
        for name in ["events", "weights"] {
            fs::create_dir(&growing).unwrap();
            fs::write(growing.join(name), "rows").unwrap();
            if name == "events" {
                publish(&growing, &part).unwrap();
            }
        }
        let again = publish(&growing, &part).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::DirectoryNotEmpty);
        assert_eq!(names(&part), ["events"]);
    }

    #[test]
    fn read_at_most_accepts_up_to_the_bound() {
        assert_eq!(read_at_most(&b"four"[..], 4).unwrap(), Some(b"four".to_vec()));
        assert_eq!(read_at_most(&b"fives"[..], 4).unwrap(), None);
        assert_eq!(read_at_most(io::repeat(0), 4).unwrap(), None);
        assert_eq!(read_at_most(io::empty(), 0).unwrap(), Some(Vec::new()));
    }
}
