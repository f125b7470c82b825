//! `mirror report`: writes the report of a run from its tables.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use mirror_analysis::{GroupData, RunData, Summary, write_group_report, write_report};
use mirror_runs::{Group, Layout, Run, runs_of_group};

use super::{RunsDir, Status, place};

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Id of a run or the start of one, `last`, or a path
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn report(arguments: &ReportArguments) -> anyhow::Result<Status> {
    write(&place::run(&arguments.runs_dir.runs_dir, &arguments.run)?)?;
    Ok(Status::Done)
}

/// Writes the reports of the runs that an analysis requires. Each is named by the id of a query, whose newest run is
/// used, by the id of a run, or by a path.
pub(super) fn of_required(runs_dir: &Path, requires: &[String]) -> anyhow::Result<Status> {
    if requires.is_empty() {
        bail!(
            "the analysis requires no run: name the id of a query, the id of a run or a path in `analysis.requires`"
        );
    }
    for name in requires {
        write(&required(runs_dir, name)?)?;
    }
    Ok(Status::Done)
}

/// Returns the run that an analysis requires by `name`: the newest run of the query with this id, or the run of this id
/// or path.
pub(super) fn required(runs_dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    match newest_of_query(runs_dir, name)? {
        Some(path) => Ok(path),
        None => place::run(runs_dir, name),
    }
}

/// Writes the report of a group of runs.
pub(super) fn write_group(group: &Group, layout: &Layout, runs_dir: &Path) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for listed in runs_of_group(runs_dir, &group.id)? {
        runs.push(Run::open(&listed.path)?);
    }
    let data = GroupData::read(group.clone(), layout, &runs)?;
    write_group_report(&data, layout)?;
    Ok(())
}

fn write(path: &Path) -> anyhow::Result<()> {
    let run = Run::open(path)?;
    let data = RunData::read(&run)?;
    let summary = Summary::of(&data);
    write_report(&data, &summary, run.layout())?;
    writeln!(std::io::stdout(), "report {}", run.layout().report().display())?;
    Ok(())
}

/// Returns the newest run whose query has this id.
fn newest_of_query(runs_dir: &Path, id: &str) -> anyhow::Result<Option<PathBuf>> {
    let runs = mirror_runs::runs(runs_dir)?;
    let newest = runs
        .into_iter()
        .find(|listed| query_id(&listed.path).is_some_and(|query| query == id));
    Ok(newest.map(|listed| listed.path))
}

/// Returns the ids of the queries of all runs, those of the newest runs first.
pub(super) fn query_ids(runs_dir: &Path) -> anyhow::Result<Vec<String>> {
    let runs = mirror_runs::runs(runs_dir)?;
    Ok(runs.iter().filter_map(|listed| query_id(&listed.path)).collect())
}

/// Returns the id of the query of a run, or `None` if its experiment has no query or cannot be read.
fn query_id(run: &Path) -> Option<String> {
    let resolved = mirror_runs::Layout::new(run).resolved();
    let loaded = mirror_config::load(&resolved).ok()?;
    Some(loaded.experiment.query?.id)
}
