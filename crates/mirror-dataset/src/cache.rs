//! A cache of compiled data sets, keyed by their content, so that each is compiled only once.

use std::fs;
use std::path::{Path, PathBuf};

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};

use crate::compiled::{CompileError, Dataset, VERSION, compile};
use crate::{OpenError, Row};

/// Compiles `rows` into a file in `cache_dir`, unless a valid one exists, and returns its path. Creates `cache_dir` if
/// necessary.
///
/// The file name is a hash of the content, so the same rows always give the same file. Processes that compile it
/// concurrently each write a complete file with the same content.
///
/// # Errors
/// Returns an error if the rows cannot be compiled or the file cannot be written.
pub fn compile_cached(rows: &[Row], cache_dir: &Path) -> Result<PathBuf, CompileError> {
    fs::create_dir_all(cache_dir).map_err(|source| CompileError::Io {
        path: cache_dir.to_owned(),
        source,
    })?;
    let path = cache_dir.join(format!("{}.qa", content_key(rows)));
    // A file that is missing, damaged or of another version is compiled again.
    if open_verified(&path).is_err() {
        compile(rows, &path)?;
    }
    Ok(path)
}

fn open_verified(path: &Path) -> Result<(), OpenError> {
    Dataset::open(path)?.verify(path)
}

fn content_key(rows: &[Row]) -> String {
    let mut hash = Blake2b::<U16>::new();
    hash.update(VERSION.to_le_bytes());
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for row in rows {
        text(&row.question);
        text(&row.answers.len().to_string());
        row.answers.iter().for_each(|answer| text(answer));
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn rows(answer: &str) -> Vec<Row> {
        vec![Row {
            question: "who".to_owned(),
            answers: vec![answer.to_owned()],
        }]
    }

    #[test]
    fn the_same_content_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("not/there/yet");
        let first = compile_cached(&rows("me"), &cache).unwrap();
        let built = fs::metadata(&first).unwrap().modified().unwrap();
        let second = compile_cached(&rows("me"), &cache).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::metadata(&second).unwrap().modified().unwrap(), built);
        assert_ne!(compile_cached(&rows("you"), &cache).unwrap(), first);
    }

    #[test]
    fn a_damaged_file_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = compile_cached(&rows("me"), folder.path()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(compile_cached(&rows("me"), folder.path()).unwrap(), path);
        open_verified(&path).unwrap();
        assert_eq!(Dataset::open(&path).unwrap().answers(0).next(), Some("me"));
    }

    #[test]
    fn concurrent_compilations_agree() {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let path = compile_cached(&rows("me"), folder.path()).unwrap();
                    assert_eq!(Dataset::open(&path).unwrap().find("who"), Some(0));
                });
            }
        });
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "left behind: {files:?}");
    }

    #[test]
    fn the_key_distinguishes_answers_from_questions_of_the_next_row() {
        let row = |question: &str, answers: &[&str]| Row {
            question: question.to_owned(),
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
        };
        let joined = [row("a", &["b", "1", "c"])];
        let apart = [row("a", &["b"]), row("c", &["1"])];
        assert_ne!(content_key(&joined), content_key(&apart));
    }
}
