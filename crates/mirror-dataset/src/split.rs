//! Selection of the training split of a published data set by the names of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::Format;

/// Returns the sorted paths of the training split among the `files` of a repository, or `None` if the names do not
/// identify one.
///
/// A file belongs to the split that a word of its path names (`data/train-00000-of-00002.parquet`). If no path names a
/// split, all files are training data. Files in the folder `data` have precedence, and otherwise all files must be in
/// one folder. If the folder contains several formats, only the files of one format are returned.
pub(crate) fn train_files(files: &[String]) -> Option<Vec<String>> {
    let data: Vec<&String> = files.iter().filter(|file| is_data(file)).collect();
    let is_split = data.iter().any(|file| has_word(file, &SPLITS));
    let train = data
        .into_iter()
        .filter(|file| !is_split || has_word(file, &["train", "training"]));

    let mut folders: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for file in train {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().insert(file);
    }
    let chosen = match folders.remove("data") {
        Some(files) => files,
        None if folders.len() == 1 => folders.pop_first()?.1,
        None => return None,
    };
    let format = chosen
        .iter()
        .filter_map(|file| Format::of(Path::new(file)))
        .min()?;
    let of_format = |file: &&&String| Format::of(Path::new(file)) == Some(format);
    Some(
        chosen
            .iter()
            .filter(of_format)
            .map(|&file| file.clone())
            .collect(),
    )
}

const SPLITS: [&str; 8] = [
    "train",
    "training",
    "test",
    "testing",
    "validation",
    "valid",
    "dev",
    "eval",
];

fn is_data(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    // This file describes a data set, although it has the extension of a data file.
    let is_description = name == "dataset_infos.json";
    !name.starts_with('.') && !is_description && Format::of(Path::new(name)).is_some()
}

fn has_word(path: &str, words: &[&str]) -> bool {
    let lower = path.to_ascii_lowercase();
    lower
        .split(|character: char| !character.is_ascii_alphanumeric())
        .any(|word| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[&str], expected: Option<&[&str]>) {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        let found = train_files(&files);
        let found: Option<Vec<&str>> = found
            .as_ref()
            .map(|files| files.iter().map(String::as_str).collect());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn shards_of_the_training_split_are_sorted() {
        check(
            &[
                "README.md",
                "data/train-00001-of-00002.parquet",
                "data/test-00000-of-00001.parquet",
                "data/train-00000-of-00002.parquet",
            ],
            Some(&[
                "data/train-00000-of-00002.parquet",
                "data/train-00001-of-00002.parquet",
            ]),
        );
    }

    #[test]
    fn a_folder_may_have_any_name_if_it_is_the_only_one() {
        check(
            &[
                "nq_open/train-00000-of-00001.parquet",
                "nq_open/validation-00000-of-00001.parquet",
            ],
            Some(&["nq_open/train-00000-of-00001.parquet"]),
        );
        check(&["a/train.csv", "b/train.csv"], None);
        check(&["a/train.csv", "data/train.csv"], Some(&["data/train.csv"]));
    }

    #[test]
    fn files_that_name_no_split_are_all_training_data() {
        check(
            &["b.jsonl", "a.jsonl", "notes.txt", ".x.jsonl"],
            Some(&["a.jsonl", "b.jsonl"]),
        );
    }

    #[test]
    fn files_of_other_splits_are_not_used() {
        check(&["test.csv", "dev.csv", "extra.csv"], None);
        check(&["README.md", "dataset_infos.json"], None);
        check(&["constrained.csv", "test.csv"], None);
    }

    #[test]
    fn only_one_format_is_used() {
        check(
            &["train.jsonl", "train.parquet", "train.csv"],
            Some(&["train.parquet"]),
        );
    }
}
