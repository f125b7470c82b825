//! `mirror report`: writes the report of a run from its tables.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use mirror_analysis::{GroupData, Report, RunData, SentenceKind, Summary};
use mirror_event_log::Named;
use mirror_output::message;
use mirror_runs::{Found, FoundGroup, Layout, Run};
use mirror_spec::{Analysis, Experiment};

use super::{Misuse, RunsDir, Status, place, terminal};
use crate::text_models::LocalTextModels;

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
            (of_run(&run, None)?.0, run.layout().clone())
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

/// Writes the report of the runs and event logs that an analysis requires, with what it names. Several runs are read as
/// one, and their report is written to a folder named after the analysis. Prints the results in sentences, or the whole
/// report as JSON. See [`required_runs`].
pub(super) fn of_required(
    runs_dir: &Path,
    base: &Path,
    analysis: &Analysis,
    json: bool,
) -> anyhow::Result<Status> {
    if analysis.requires.is_empty() {
        bail!(
            "the analysis requires no run: name the id of a query, the id of a run or a path in `analysis.requires`"
        );
    }
    let mut runs = Vec::new();
    for path in required_runs(runs_dir, base, &analysis.requires)? {
        runs.push(Run::open(path)?);
    }
    let (report, layout) = match runs.as_slice() {
        [only] => {
            keep_analysis(only, analysis)?;
            (of_run(only, Some(analysis))?.0, only.layout().clone())
        }
        several => {
            let layout = Layout::new(runs_dir.join(folder_of(&analysis.id)));
            std::fs::create_dir_all(layout.root())?;
            (of_runs(several, Some(analysis), &layout)?.0, layout)
        }
    };
    report.write(&layout)?;
    if json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print_sentences(&report)?;
        writeln!(std::io::stdout(), "report {}", layout.report().display())?;
    }
    Ok(Status::Done)
}

/// Stores the analysis of imported event logs with them, so that `mirror report` draws it again. A run of a network has
/// an experiment of its own.
fn keep_analysis(run: &Run, analysis: &Analysis) -> anyhow::Result<()> {
    if !run.manifest().is_imported() {
        return Ok(());
    }
    let experiment = Experiment {
        analysis: Some(analysis.clone()),
        ..Experiment::default()
    };
    let path = run.layout().resolved();
    mirror_files::replace(&path, mirror_config::to_yaml(&experiment).as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the name of the folder for the report of an analysis of several runs: `my_analysis-analysis`.
fn folder_of(id: &str) -> String {
    let plain = |letter: char| {
        if letter.is_alphanumeric() || "-_".contains(letter) {
            letter
        } else {
            '-'
        }
    };
    let id: String = id.chars().take(40).map(plain).collect();
    format!("{id}-analysis")
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
        message!("{name}: {finding}");
    }
    if let Some(remark) = &logs.remark {
        message!("{name}: {remark}");
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
    message!("{how} {events} of {name}: {}", directory.display());
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

/// Reads a run and creates its report, with what `analysis` names. If it is `None`, that is the analysis of the run's
/// own experiment.
pub(super) fn of_run(run: &Run, analysis: Option<&Analysis>) -> anyhow::Result<(Report, Summary)> {
    of_runs(std::slice::from_ref(run), analysis, run.layout())
}

/// Reads runs as one, in their order, and creates their report for the directory `layout`.
fn of_runs(runs: &[Run], analysis: Option<&Analysis>, layout: &Layout) -> anyhow::Result<(Report, Summary)> {
    let run = runs.first().context("there is no run to report on")?;
    let data = RunData::read_as_one(runs)?;
    let summary = Summary::of(&data);
    let mut report = match (runs, analysis) {
        ([_, _, ..], Some(analysis)) => Report::of_runs(&data, &summary, layout, &analysis.id, runs),
        _ => Report::of_run(&data, &summary, layout),
    };
    // The experiment of an imported event log has no sections.
    let experiment = mirror_config::load(&run.layout().resolved()).ok();
    let experiment = experiment.map(|loaded| loaded.experiment);
    let own = experiment
        .as_ref()
        .and_then(|experiment| experiment.analysis.as_ref());
    if let Some(analysis) = analysis.or(own) {
        let model = experiment
            .as_ref()
            .and_then(|experiment| experiment.model.as_ref());
        let models = LocalTextModels {
            reward_model: model.map(|model| &model.reward_model),
            sentence_model: analysis.sentence_model.as_deref(),
            validator: place::binaries()
                .map(|binaries| binaries.validator)
                .map_err(|error| format!("{error:#}")),
        };
        report.draw_named(&data, analysis, &models);
    }
    Ok((report, summary))
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
