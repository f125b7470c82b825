//! `mirror report`: writes the report of a run from its tables.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use mirror_analysis::{GroupData, Report, RunData, SentenceKind, Summary};
use mirror_runs::{Group, Layout, Run, runs_of_group};

use super::{RunsDir, Status, place, terminal};

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Id of a run or the start of one, `last`, or a path
    run: String,
    /// Prints everything that the page shows as JSON, in full precision, and writes no page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn report(arguments: &ReportArguments) -> anyhow::Result<Status> {
    let path = place::run(&arguments.runs_dir.runs_dir, &arguments.run)?;
    if arguments.json {
        let (report, _) = of_run(&Run::open(path)?)?;
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write(&path)?;
    }
    Ok(Status::Done)
}

/// Prints the results of a report in sentences, wrapped to the width of the terminal.
pub(super) fn print_sentences(report: &Report) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let width = terminal::width(false).clamp(40, 120);
    for sentence in report.sentences() {
        let style = match sentence.kind {
            SentenceKind::Answer => anstyle::Style::new().bold(),
            SentenceKind::Warning => anstyle::AnsiColor::Yellow.on_default(),
            SentenceKind::Plain => anstyle::Style::new(),
        };
        writeln!(out, "{style}{}{style:#}", textwrap::fill(&sentence.text, width))?;
    }
    Ok(())
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
pub(super) fn write_group(group: &Group, layout: &Layout, runs_dir: &Path) -> anyhow::Result<Report> {
    let mut runs = Vec::new();
    for listed in runs_of_group(runs_dir, &group.id)? {
        runs.push(Run::open(&listed.path)?);
    }
    let report = Report::of_group(&GroupData::read(group.clone(), layout, &runs)?);
    report.write(layout)?;
    Ok(report)
}

/// Reads a run and creates its report.
pub(super) fn of_run(run: &Run) -> anyhow::Result<(Report, Summary)> {
    let data = RunData::read(run)?;
    let summary = Summary::of(&data);
    let report = Report::of_run(&data, &summary, run.layout());
    Ok((report, summary))
}

fn write(path: &Path) -> anyhow::Result<()> {
    let run = Run::open(path)?;
    let (report, _) = of_run(&run)?;
    report.write(run.layout())?;
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
