//! Finds the checkpoints from which a run resumes: one gating model for each validator.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mirror_runs::Layout;

use crate::network_spec::validator_name;

/// Returns a checkpoint for each validator. If `from` is a file, all validators use it. If it is a run, each validator
/// uses the newest checkpoint of the validator with the same name.
///
/// # Errors
///
/// Returns an error if the file does not exist, or if a validator saved no checkpoint.
pub fn checkpoints(from: &Path, validators: u32) -> anyhow::Result<Vec<PathBuf>> {
    let from = std::path::absolute(from).context("cannot determine the working directory")?;
    if from.is_file() {
        return Ok((0..validators).map(|_| from.clone()).collect());
    }
    let layout = Layout::new(from);
    let of_validator = |index| {
        let name = validator_name(index);
        let folder = layout.checkpoints(&name);
        newest(&folder).with_context(|| {
            let run = layout.root().display();
            format!("the run {run} has no checkpoint of {name} to resume from")
        })
    };
    (0..validators).map(of_validator).collect()
}

/// Returns the newest checkpoint of a folder. File names begin with the number of steps, padded to a fixed width.
fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "{} contains no checkpoint", folder.display());
    files.sort();
    files.pop().context("the folder contains a checkpoint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_used_by_all_validators_and_a_run_has_a_checkpoint_for_each() {
        let run = tempfile::tempdir().expect("a folder");
        let path = |validator: &str, name: &str| {
            let folder = Layout::new(run.path()).checkpoints(validator);
            fs::create_dir_all(&folder).expect("a folder");
            folder.join(name)
        };
        let left = [
            path("validator-0", "00000100.safetensors"),
            path("validator-0", "00000020.safetensors"),
            path("validator-0", "00000200.part"),
            path("validator-1", "00000040.safetensors"),
        ];
        for file in &left {
            fs::write(file, "").expect("a file");
        }
        let found = checkpoints(run.path(), 2).expect("each left one");
        assert_eq!(found, [left[0].clone(), left[3].clone()]);
        let found = checkpoints(&left[1], 2).expect("a file");
        assert_eq!(found, [left[1].clone(), left[1].clone()]);
        let refused = checkpoints(run.path(), 3).expect_err("the third left none");
        assert!(refused.to_string().contains("validator-2"), "{refused}");
    }
}
