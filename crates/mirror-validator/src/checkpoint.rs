//! Checkpoints of the gating model: safetensors files in the run's folder, named by the steps that were done.
//!
//! A validator that starts again begins with the newest of its own and trains again on what it learned after that. A
//! new run may begin with one of another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mirror_models::gating::GatingModel;

/// The ending of their names.
const ENDING: &str = "safetensors";

/// The folder of a validator's checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Steps from one to the next; 0: only at the end.
    every: u64,
}

impl Checkpoints {
    /// Those in `folder`, which is made with the first of them.
    pub fn new(folder: PathBuf, every: u64) -> Self {
        Self { folder, every }
    }

    /// Whether one is due when so many steps are done.
    pub fn is_due(&self, steps: u64) -> bool {
        self.every > 0 && steps.is_multiple_of(self.every)
    }

    /// Writes one, whole or not at all. A model that does not learn has none.
    ///
    /// # Errors
    /// The file cannot be written.
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

    /// The newest that has seen no more than so many steps, and how many it has seen.
    ///
    /// # Errors
    /// The folder cannot be read.
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

/// Gives the model the parameters of a checkpoint.
///
/// # Errors
/// The model does not learn, the file is damaged, or it is of a model of another form.
pub fn restore(model: &mut dyn GatingModel, checkpoint: &Path) -> anyhow::Result<()> {
    let context = || format!("the gating model cannot go on from {}", checkpoint.display());
    let trained = model
        .trained()
        .context("this gating model has no parameters that learn")
        .with_context(context)?;
    trained.restore(checkpoint).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_the_one_with_most_steps_that_is_whole() {
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
    fn they_are_due_as_the_file_says() {
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
