//! `mirror report`: the report of a run, made again from its tables.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use mirror_analysis::{GroupData, RunData, Summary, write_group_report, write_report};
use mirror_runs::{Group, Layout, Run, runs_of_group};

use super::{RunsDir, Status, place};

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The run: an id or its beginning, `last`, or a path
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn report(arguments: &ReportArguments) -> anyhow::Result<Status> {
    write(&place::run(&arguments.runs_dir.runs_dir, &arguments.run)?)?;
    Ok(Status::Done)
}

/// The reports of the runs that an analysis requires, each by an id, a path, or the query's name in its newest run.
pub(super) fn of_required(runs_dir: &Path, requires: &[String]) -> anyhow::Result<Status> {
    if requires.is_empty() {
        bail!(
            "the analysis requires no run: name a query's id, a run's id or a path under `analysis.requires`"
        );
    }
    for name in requires {
        write(&required(runs_dir, name)?)?;
    }
    Ok(Status::Done)
}

/// The run that an analysis requires by this name: the newest of the query that is called so, else an id or a path.
pub(super) fn required(runs_dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    match newest_of_query(runs_dir, name)? {
        Some(path) => Ok(path),
        None => place::run(runs_dir, name),
    }
}

/// Writes the report of a group.
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

/// The newest run whose query has this id.
fn newest_of_query(runs_dir: &Path, id: &str) -> anyhow::Result<Option<PathBuf>> {
    for listed in mirror_runs::runs(runs_dir)? {
        let resolved = mirror_runs::Layout::new(&listed.path).resolved();
        // A run whose experiment cannot be read is not the one that is meant.
        let Ok(loaded) = mirror_config::load(&resolved) else {
            continue;
        };
        if loaded.experiment.query.is_some_and(|query| query.id == id) {
            return Ok(Some(listed.path));
        }
    }
    Ok(None)
}
