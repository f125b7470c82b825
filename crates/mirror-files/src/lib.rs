//! Files that are written whole or not at all, and read with a bound on their size.
//!
//! A file grows under another name beside its own, is synced, gets its name by one rename, and then its folder is
//! synced. Whoever reads it, also after a crash or a power cut, sees the old file or the new one. The way of writing is
//! left to the caller, because much of what is written here is written by libraries that take a path, or is a whole
//! folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Replaces the file at `path` with one that holds `bytes`.
///
/// # Errors
/// The operating system's, for the file or its folder. The old file is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |unfinished| fs::write(unfinished, bytes))
}

/// Replaces the file at `path` with one that `write` writes at the path that it is given, which is [`unfinished`]. Only
/// one writer of a path may be at work at a time.
///
/// # Errors
/// What `write` fails with, and the operating system's, for the file or its folder. The old file is then still there,
/// and what was written of the new one is removed.
pub fn replace_with<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let unfinished = unfinished(path);
    let written = write(&unfinished).and_then(|()| Ok(publish(&unfinished, path)?));
    if written.is_err() {
        // The failure that is told is the one before; that nothing is left to be removed is none.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Where a file or folder grows before it is given its name: beside it, with `.tmp` after the name.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Gives a finished file or folder its name, for good. The files in a folder have to be synced before.
///
/// # Errors
/// The operating system's; [`io::ErrorKind::DirectoryNotEmpty`] where a folder of that name is there already.
pub fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    sync(unfinished)?;
    fs::rename(unfinished, path)?;
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync(Path::new(".")),
        Some(folder) => sync(folder),
        None => Ok(()),
    }
}

/// Returns when a file's bytes, or a folder's entries, are on the disk.
///
/// # Errors
/// The operating system's.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// All bytes of a reader; `None` where it has more than `most`, which is found by reading no more than one byte beyond.
///
/// # Errors
/// The reader's.
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
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
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
    fn a_folder_is_given_its_name_once() {
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
    fn the_bound_is_the_longest_that_is_read() {
        assert_eq!(read_at_most(&b"four"[..], 4).unwrap(), Some(b"four".to_vec()));
        assert_eq!(read_at_most(&b"fives"[..], 4).unwrap(), None);
        assert_eq!(read_at_most(io::repeat(0), 4).unwrap(), None);
        assert_eq!(read_at_most(io::empty(), 0).unwrap(), Some(Vec::new()));
    }
}
