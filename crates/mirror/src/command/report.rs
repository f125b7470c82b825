//! `mirror report`: writes the report of a run from its tables.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use mirror_analysis::{GroupData, Report, RunData, SentenceKind, Summary};
use mirror_event_log::Named;
use mirror_runs::{Found, FoundGroup, Run};

use super::{Misuse, RunsDir, Status, place, terminal};

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Run or group: an id or the start of one, `last`, `last-group`, or a path
    run: String,
    /// Prints everything that the page shows as JSON, in full precision, and writes no page
    #[arg(long)]
    json: bool,
    /// Writes each plot to this folder as PNG, drawn by Chromium, and writes no page
    #[arg(long, value_name = "FOLDER", conflicts_with = "json")]
    png: Option<PathBuf>,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn report(arguments: &ReportArguments) -> anyhow::Result<Status> {
    let (report, layout) = match place::run_or_group(&arguments.runs_dir.runs_dir, &arguments.run)? {
        Found::Run(path) => {
            let run = Run::open(path)?;
            (of_run(&run)?.0, run.layout().clone())
        }
        Found::Group(found) => (of_group(&found)?, found.layout),
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else if let Some(folder) = &arguments.png {
        for picture in report.write_pictures(folder)? {
            writeln!(out, "{}", picture.display())?;
        }
    } else {
        // The folder of a group that only its runs name does not exist yet.
        std::fs::create_dir_all(layout.root())?;
        report.write(&layout)?;
        writeln!(out, "report {}", layout.report().display())?;
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

/// Writes the reports of the runs and event logs that an analysis requires. See [`required_runs`].
pub(super) fn of_required(runs_dir: &Path, base: &Path, requires: &[String]) -> anyhow::Result<Status> {
    if requires.is_empty() {
        bail!(
            "the analysis requires no run: name the id of a query, the id of a run or a path in `analysis.requires`"
        );
    }
    for run in required_runs(runs_dir, base, requires)? {
        write(&run)?;
    }
    Ok(Status::Done)
}

/// Returns the directories of the runs that an analysis requires, in the order of `requires`. Event logs are imported.
/// What was left out of them is printed to standard error, with one line per reason.
pub(super) fn required_runs(
    runs_dir: &Path,
    base: &Path,
    requires: &[String],
) -> anyhow::Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for name in requires {
        runs.push(match required(runs_dir, base, name)? {
            Required::Run(path) => path,
            Required::Logs(logs) => import(runs_dir, name, &logs)?,
        });
    }
    Ok(runs)
}

/// An entry of `analysis.requires`.
pub(super) enum Required {
    /// The directory of a run.
    Run(PathBuf),
    /// Event logs.
    Logs(Named),
}

/// Returns the run or the event logs that an analysis requires by `name`: the newest run of the query with this id, the
/// event logs at this path or pattern, which is relative to `base`, or the run of this id or path.
pub(super) fn required(runs_dir: &Path, base: &Path, name: &str) -> anyhow::Result<Required> {
    if let Some(path) = newest_of_query(runs_dir, name)? {
        return Ok(Required::Run(path));
    }
    if let Some(logs) = mirror_event_log::named(base, name).map_err(Misuse::of)? {
        return Ok(Required::Logs(logs));
    }
    place::run(runs_dir, name).map(Required::Run)
}

/// Imports event logs that an analysis requires by `name`, and returns the directory of the run.
fn import(runs_dir: &Path, name: &str, logs: &Named) -> anyhow::Result<PathBuf> {
    let imported = mirror_event_log::import(&logs.files, runs_dir, name).map_err(Misuse::of)?;
    for finding in &imported.findings {
        eprintln!("{name}: {finding}");
    }
    if let Some(remark) = &logs.remark {
        eprintln!("{name}: {remark}");
    }
    let events = match imported.events {
        1 => "1 event".to_owned(),
        events => format!("{events} events"),
    };
    let directory = imported.layout.root();
    let how = if imported.is_new {
        "imported"
    } else {
        "imported before"
    };
    writeln!(
        std::io::stdout(),
        "{how} {events} of {name}: {}",
        directory.display()
    )?;
    Ok(directory.to_owned())
}

/// Reads the runs of a group and creates its report.
pub(super) fn of_group(found: &FoundGroup) -> anyhow::Result<Report> {
    let mut runs = Vec::new();
    for path in &found.runs {
        runs.push(Run::open(path)?);
    }
    let data = GroupData::read(found.group.clone(), &found.layout, &runs)?;
    Ok(Report::of_group(&data))
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
