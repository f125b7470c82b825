//! Finds the programs of the nodes, and runs by what the user typed.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use mirror_cluster::local::Binaries;
use mirror_runs::{Found, FoundGroup};

use super::Misuse;

/// Returns the programs of the nodes, which must all exist in the folder of this program.
pub(super) fn binaries() -> anyhow::Result<Binaries> {
    let binaries = Binaries::beside_this_program().context("cannot find the folder of this program")?;
    for program in [
        &binaries.subtensor,
        &binaries.miner,
        &binaries.validator,
        &binaries.proxy,
    ] {
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
    match run_or_group(runs_dir, wanted)? {
        Found::Run(run) => Ok(run),
        Found::Group(found) => {
            let group = &found.group.id;
            let first = found.runs.first().map(|run| run.display().to_string());
            Err(Misuse::of(anyhow!(
                "{group} is a group of {} runs: name one of them, such as {}",
                found.runs.len(),
                first.unwrap_or_default()
            ))
            .into())
        }
    }
}

/// Returns the run or group named by a path, an id, the start of an id, the name of a group, `last` or `last-group`. A
/// group without runs is an error.
pub(super) fn run_or_group(runs_dir: &Path, wanted: &str) -> anyhow::Result<Found> {
    let found = mirror_runs::find_run_or_group(runs_dir, wanted).map_err(Misuse::of)?;
    match &found {
        Found::Group(FoundGroup { group, runs, .. }) if runs.is_empty() => Err(Misuse::of(anyhow!(
            "the group {id} has no runs: `mirror runs rm {id}` deletes its folder",
            id = group.id
        ))
        .into()),
        _ => Ok(found),
    }
}

/// Returns the folders of the runs that each of `wanted` names: a run, or the runs of a group.
pub(super) fn runs<'a>(
    runs_dir: &Path,
    wanted: impl IntoIterator<Item = &'a String>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for wanted in wanted {
        match run_or_group(runs_dir, wanted)? {
            Found::Run(run) => runs.push(run),
            Found::Group(found) => runs.extend(found.runs),
        }
    }
    Ok(runs)
}
