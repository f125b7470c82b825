//! Checkpoints of the gating model: safetensors files in the run's directory, named by the number of finished steps.
//!
//! A restarted validator loads its newest checkpoint and repeats the training of later steps. A new run may start from
//! a checkpoint of another run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mirror_models::gating::GatingModel;

/// File extension of checkpoints.
const ENDING: &str = "safetensors";

/// The checkpoints of one validator, in one directory.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Number of steps between checkpoints. 0 writes one only at the end.
    every: u64,
}

impl Checkpoints {
    /// Uses the directory `folder`, which is created with the first checkpoint.
    pub fn new(folder: PathBuf, every: u64) -> Self {
        Self { folder, every }
    }

    /// Returns whether a checkpoint is due after `steps` finished steps.
    pub fn is_due(&self, steps: u64) -> bool {
        self.every > 0 && steps.is_multiple_of(self.every)
    }

    /// Writes a checkpoint atomically. Does nothing if the model has no trainable parameters.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, steps: u64, model: &mut dyn GatingModel) -> anyhow::Result<()> {
        let Some(trained) = model.trained() else {
            return Ok(());
        };
        let path = self.folder.join(format!("{steps:08}.{ENDING}"));
        let context = || format!("cannot write the checkpoint {}", path.display());
        fs::create_dir_all(&self.folder).with_context(context)?;
        mirror_files::replace_with(&path, |unfinished| anyhow::Ok(trained.save(unfinished)?))
            .with_context(context)?;
        tracing::info!(steps, path = %path.display(), "checkpoint of the gating model");
        Ok(())
    }

    /// Returns the newest checkpoint of at most `steps` finished steps, with its number of steps. `None` if there is
    /// none.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be read.
    pub fn newest(&self, steps: u64) -> anyhow::Result<Option<(u64, PathBuf)>> {
        if !self.folder.exists() {
            return Ok(None);
        }
        let context = || format!("cannot read {}", self.folder.display());
        let mut newest = None;
        for entry in self.folder.read_dir().with_context(context)? {
            let path = entry.with_context(context)?.path();
            if let Some(seen) = steps_of(&path).filter(|seen| *seen <= steps) {
                newest = newest.max(Some((seen, path)));
            }
        }
        Ok(newest)
    }
}

fn steps_of(path: &Path) -> Option<u64> {
    let is_whole = path.extension()? == ENDING;
    is_whole
        .then(|| path.file_stem()?.to_str()?.parse().ok())
        .flatten()
}

/// Loads the parameters of a checkpoint into the model.
///
/// # Errors
/// Returns an error if the model has no trainable parameters, the file is damaged, or the file belongs to a model of
/// another shape.
pub fn restore(model: &mut dyn GatingModel, checkpoint: &Path) -> anyhow::Result<()> {
    let context = || format!("cannot restore the gating model from {}", checkpoint.display());
    let trained = model
        .trained()
        .context("this gating model has no trainable parameters")
        .with_context(context)?;
    trained.restore(checkpoint).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_the_complete_one_with_the_most_steps() {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(folder.path().join("validator-0"), 5);
        assert_eq!(checkpoints.newest(9).expect("no folder yet"), None);
        fs::create_dir(folder.path().join("validator-0")).expect("a folder");
        for name in [
            "00000005.safetensors",
            "00000010.safetensors",
            "00000020.part",
            "notes.txt",
        ] {
            fs::write(folder.path().join("validator-0").join(name), "").expect("a file");
        }
        let newest = |steps| {
            let found = checkpoints.newest(steps).expect("a folder");
            found.map(|(steps, _)| steps)
        };
        assert_eq!(
            [newest(4), newest(9), newest(10), newest(99)],
            [None, Some(5), Some(10), Some(10)]
        );
    }

    #[test]
    fn checkpoints_are_due_at_the_configured_interval() {
        let due = |every| {
            let checkpoints = Checkpoints::new(PathBuf::new(), every);
            (1..=6)
                .filter(|steps| checkpoints.is_due(*steps))
                .collect::<Vec<_>>()
        };
        assert_eq!(due(0), [0; 0]);
        assert_eq!(due(3), [3, 6]);
    }
}
