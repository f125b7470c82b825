//! Where things are: the nodes' programs, and the runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mirror_cluster::local::Binaries;

use super::Misuse;

/// The programs beside this one, all of them there.
pub(super) fn binaries() -> anyhow::Result<Binaries> {
    let binaries = Binaries::beside_this_program().context("cannot tell where this program lies")?;
    for program in [&binaries.subtensor, &binaries.miner, &binaries.validator] {
        ensure!(
            program.exists(),
            "{} is not there; `cargo build --release` makes all programs",
            program.display()
        );
    }
    Ok(binaries)
}

/// The run that a user means: a path, an id or its beginning, or `last`.
pub(super) fn run(runs_dir: &Path, wanted: &str) -> anyhow::Result<PathBuf> {
    Ok(mirror_runs::find(runs_dir, wanted).map_err(Misuse::of)?)
}
