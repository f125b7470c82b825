//! Finds the programs of the nodes, and runs by what the user typed.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mirror_cluster::local::Binaries;

use super::Misuse;

/// Returns the programs of the nodes, which must all exist in the folder of this program.
pub(super) fn binaries() -> anyhow::Result<Binaries> {
    let binaries = Binaries::beside_this_program().context("cannot find the folder of this program")?;
    for program in [&binaries.subtensor, &binaries.miner, &binaries.validator] {
        ensure!(
            program.exists(),
            "{} does not exist: run `cargo build --release` to build all programs",
            program.display()
        );
    }
    Ok(binaries)
}

/// Returns the folder of the run named by a path, an id, the start of an id, or `last`.
pub(super) fn run(runs_dir: &Path, wanted: &str) -> anyhow::Result<PathBuf> {
    Ok(mirror_runs::find(runs_dir, wanted).map_err(Misuse::of)?)
}
