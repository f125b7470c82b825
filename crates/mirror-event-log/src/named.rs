//! The files that an entry of `analysis.requires` names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Endings of the names of files of events. A name with such an ending is never the name of a run.
const ENDINGS: [&str; 7] = ["log", "jsonl", "json", "csv", "gz", "pkl", "pickle"];

/// The files that an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The files, in the order in which they are read. There is at least one.
    pub files: Vec<PathBuf>,
    /// A remark about rotated files that are not read, as one line.
    pub remark: Option<String>,
}

/// The reason why an entry names no files.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// The file does not exist, or no file matches the pattern.
    #[error("no file {}", path.display())]
    Missing {
        /// The path of the file or of the pattern.
        path: PathBuf,
        /// Names of the files of events in the same folder.
        others: Vec<String>,
    },
    /// The file is a pickle of Python.
    #[error(
        "{} is a pickle, which only Python can read: write it as CSV with `pandas.read_pickle(…).to_csv(…)`",
        path.display()
    )]
    Pickle {
        /// The path of the file.
        path: PathBuf,
    },
    /// The pattern contains an asterisk in the name of a folder.
    #[error("{} has a `*` in the name of a folder: only the name of a file may be a pattern", path.display())]
    FolderPattern {
        /// The path of the pattern.
        path: PathBuf,
    },
    /// The folder cannot be read.
    #[error("cannot read the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Returns the files that `entry` names, as a path relative to `base`. In the name of the file, `*` stands for any
/// characters, and all matches are read in the order of their names. `None` if the entry can only be the name or the
/// path of a run.
pub fn named(base: &Path, entry: &str) -> Result<Option<Named>, NameError> {
    let path = base.join(entry);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let is_file = path.is_file();
    if !is_file && !entry.contains('*') && !has_ending(name, &ENDINGS) {
        return Ok(None);
    }
    if has_ending(name, &["pkl", "pickle"]) {
        return Err(NameError::Pickle { path });
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if is_file {
        let remark = remark(name, &names(folder)?);
        return Ok(Some(Named {
            files: vec![path],
            remark,
        }));
    }
    if Path::new(entry)
        .parent()
        .is_some_and(|folder| folder.to_string_lossy().contains('*'))
    {
        return Err(NameError::FolderPattern { path });
    }
    let names = match names(folder) {
        Err(NameError::Folder { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let matching = names
        .iter()
        .filter(|other| name.contains('*') && matches(name, other));
    let files: Vec<PathBuf> = matching.map(|other| path.with_file_name(other)).collect();
    if files.is_empty() {
        let others = names.into_iter().filter(|other| has_ending(other, &ENDINGS));
        let others = others
            .map(|other| Path::new(entry).with_file_name(other).display().to_string())
            .collect();
        return Err(NameError::Missing { path, others });
    }
    Ok(Some(Named { files, remark: None }))
}

/// Returns the names of the files in a folder, in ascending order. Names that are not UTF-8 are left out.
fn names(folder: &Path) -> Result<Vec<String>, NameError> {
    let error = |source| NameError::Folder {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Returns a remark about the files into which `name` was rotated: `completions.<time>.log` and
/// `completions.<time>.log.gz` of `completions.log`.
fn remark(name: &str, names: &[String]) -> Option<String> {
    let stem = name.strip_suffix(".log")?;
    let is_rotated = |other: &&String| {
        let other = other.strip_suffix(".gz").unwrap_or(other);
        other != name && other.starts_with(&format!("{stem}.")) && has_ending(other, &["log"])
    };
    let count = names.iter().filter(is_rotated).count();
    let (files, are) = if count == 1 {
        ("file", "is")
    } else {
        ("files", "are")
    };
    (count > 0).then(|| {
        format!(
            "{count} rotated {files} of {name} {are} in the same folder and {are} not read: `{stem}.*log*` reads all of \
             them"
        )
    })
}

/// Returns whether the part of `name` after its last dot is one of `endings`.
fn has_ending(name: &str, endings: &[&str]) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| endings.contains(&ending))
}

/// Returns whether `name` matches a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(prefix) else {
        return false;
    };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = &name[at + part.len()..];
    }
    name.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn a_pattern_names_all_matches_in_order() {
        let folder = folder(&["c.2.log.gz", "c.1.log", "c.log", "c.yml", "d.log"]);
        let files = |entry: &str| -> Vec<String> {
            let named = named(folder.path(), entry).unwrap().expect("files");
            named
                .files
                .iter()
                .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(files("c.*log*"), ["c.1.log", "c.2.log.gz", "c.log"]);
        assert_eq!(files("*.log"), ["c.1.log", "c.log", "d.log"]);
        assert_eq!(files("c*1*g"), ["c.1.log"]);
        assert_eq!(files("c.log"), ["c.log"]);
    }

    #[test]
    fn rotated_files_are_named_with_the_pattern_that_reads_them() {
        let folder = folder(&["c.2.log.gz", "c.1.log", "c.log", "d.log"]);
        let remark = |entry: &str| named(folder.path(), entry).unwrap().expect("files").remark;
        let expected =
            "2 rotated files of c.log are in the same folder and are not read: `c.*log*` reads all of them";
        assert_eq!(remark("c.log").as_deref(), Some(expected));
        assert_eq!(remark("d.log"), None);
        assert_eq!(remark("c.*log*"), None);
    }

    #[test]
    fn a_missing_file_is_an_error_and_the_name_of_a_run_is_not() {
        let folder = folder(&["completions.log", "data.pkl"]);
        fs::create_dir(folder.path().join("run.log")).unwrap();
        for entry in ["last", "my_query", "runs/2026", ".."] {
            assert_eq!(named(folder.path(), entry).unwrap(), None, "{entry}");
        }
        match named(folder.path(), "completion.log") {
            Err(NameError::Missing { others, .. }) => assert_eq!(others, ["completions.log", "data.pkl"]),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            named(folder.path(), "no/*.log"),
            Err(NameError::Missing { .. })
        ));
        assert!(matches!(
            named(folder.path(), "*/a.log"),
            Err(NameError::FolderPattern { .. })
        ));
        assert!(matches!(
            named(folder.path(), "data.pkl"),
            Err(NameError::Pickle { .. })
        ));
    }
}
