//! `mirror runs`: lists and shows runs and groups, compares two, removes some, and recovers a run whose coordinator was
//! killed.

mod compare;
mod list;
mod remove;

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use mirror_runs::{Found, FoundGroup, OnLoss, Recovery, Run, State, recover, view};

pub(super) use self::list::size_of;
use super::{RunsDir, Status, place, report, terminal};

#[derive(Debug, Args)]
pub(super) struct RunsArguments {
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Lists the runs, newest first
    List(list::ListArguments),
    /// Shows a run or a group: its results, and its table of uids or of labels
    Show {
        /// Run or group: an id or the start of one, `last`, `last-group`, or a path
        run: String,
        /// Prints the events instead, in upstream's columns without those of `ignore_attr`
        #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
        events: Option<Format>,
        /// Prints the manifest as JSON
        #[arg(long)]
        json: bool,
        /// Prints every column, even if the table is wider than the terminal
        #[arg(long, conflicts_with_all = ["json", "events"])]
        wide: bool,
    },
    /// Compares two runs, or the runs of two groups by random seed; exit status 1 if they differ in more than timing
    Diff {
        /// Run or group: an id or the start of one, `last`, `last-group`, or a path
        first: String,
        /// The same
        second: String,
        /// Prints the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Deletes runs, and groups with all their runs
    Rm {
        /// Runs or groups: an id or the start of one, or a path
        #[arg(required = true)]
        runs: Vec<String>,
    },
    /// Writes the tables of a run whose coordinator was killed, from its journal; exit status 1 if records are missing
    Recover {
        /// Id of a run or the start of one, `last`, or a path
        run: String,
        /// Writes nothing if records are missing
        #[arg(long)]
        strict: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

pub(super) fn runs(arguments: &RunsArguments) -> anyhow::Result<Status> {
    let runs_dir = &arguments.runs_dir.runs_dir;
    let open = |wanted: &str| anyhow::Ok(Run::open(place::run(runs_dir, wanted)?)?);
    match &arguments.command {
        RunsCommand::List(arguments) => list::list(runs_dir, arguments),
        RunsCommand::Show {
            run,
            events: Some(format),
            ..
        } => events(&open(run)?, *format),
        RunsCommand::Show {
            run,
            events: None,
            json,
            wide,
        } => match place::run_or_group(runs_dir, run)? {
            Found::Run(run) => show(&Run::open(run)?, *json, terminal::width(*wide)),
            Found::Group(found) => show_group(&found, *json, terminal::width(*wide)),
        },
        RunsCommand::Diff { first, second, json } => {
            let format = if *json {
                compare::Format::Json
            } else {
                compare::Format::Text
            };
            compare::compare(
                &place::run_or_group(runs_dir, first)?,
                &place::run_or_group(runs_dir, second)?,
                format,
            )
        }
        RunsCommand::Rm { runs } => remove::remove(runs_dir, runs),
        RunsCommand::Recover { run, strict } => {
            let on_loss = if *strict { OnLoss::Refuse } else { OnLoss::Keep };
            recover_run(&place::run(runs_dir, run)?, on_loss)
        }
    }
}

fn recover_run(path: &Path, on_loss: OnLoss) -> anyhow::Result<Status> {
    let (word, manifest) = match recover(path, on_loss)? {
        Recovery::Recovered(manifest) => ("recovered", manifest),
        Recovery::AlreadyEnded(manifest) => ("has all its tables already", manifest),
    };
    let counts = &manifest.counts;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {word}", manifest.id)?;
    for (table, rows) in &counts.rows {
        writeln!(out, "  {rows:>10} {table}")?;
    }
    for loss in &counts.losses {
        writeln!(out, "{loss}")?;
    }
    if counts.further_losses > 0 {
        writeln!(out, "{} further places are damaged", counts.further_losses)?;
    }
    if counts.torn_bytes > 0 {
        writeln!(
            out,
            "an incomplete record of {} bytes was at the end of the journal",
            counts.torn_bytes
        )?;
    }
    if manifest.state == State::Interrupted && manifest.records.is_none() {
        writeln!(
            out,
            "the run did not end properly, so it is unknown whether the end of the journal was cut off"
        )?;
    }
    let journal = path.join("journal");
    if journal.exists() {
        writeln!(out, "the journal is kept in {}", journal.display())?;
    }
    if counts.has_gaps() {
        return Ok(Status::Failed);
    }
    Ok(Status::Done)
}

fn show(run: &Run, json: bool, width: usize) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    let manifest = run.manifest();
    if json {
        serde_json::to_writer_pretty(&mut out, manifest)?;
        writeln!(out)?;
        return Ok(Status::Done);
    }
    let state = serde_json::to_value(run.state())?;
    writeln!(
        out,
        "{}  {}  seed {}",
        manifest.id,
        state.as_str().unwrap_or_default(),
        manifest.seed
    )?;
    writeln!(
        out,
        "created {}  finished {}",
        manifest.created,
        manifest.finished.as_deref().unwrap_or("-")
    )?;
    let (report, summary) = report::of_run(run, None)?;
    writeln!(out, "{}", summary.table(width))?;
    drop(out);
    report::print_sentences(&report)?;
    Ok(Status::Done)
}

fn show_group(found: &FoundGroup, json: bool, width: usize) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    if json {
        let runs: Vec<_> = found
            .runs
            .iter()
            .filter_map(|run| run.file_name()?.to_str())
            .collect();
        let mut group = serde_json::to_value(&found.group)?;
        group["runs"] = serde_json::json!(runs);
        serde_json::to_writer_pretty(&mut out, &group)?;
        writeln!(out)?;
        return Ok(Status::Done);
    }
    let group = &found.group;
    writeln!(
        out,
        "{}  {} of {} runs, seeds from {}",
        group.id,
        found.runs.len(),
        group.replicates,
        group.first_seed
    )?;
    writeln!(out, "created {}", group.created)?;
    let report = report::of_group(found)?;
    if let Some(groups) = report.groups_for_terminal(width) {
        writeln!(out, "{groups}\n")?;
    }
    drop(out);
    report::print_sentences(&report)?;
    Ok(Status::Done)
}

fn events(run: &Run, format: Format) -> anyhow::Result<Status> {
    let ignored = mirror_config::load(&run.layout().resolved()).map(|loaded| loaded.experiment.query);
    let ignored = ignored
        .ok()
        .flatten()
        .map(|query| query.ignore_attr)
        .unwrap_or_default();
    let columns = view::columns(&ignored);
    let out = std::io::stdout().lock();
    match format {
        Format::Csv => view::write_csv(run, &columns, out)?,
        Format::Jsonl => view::write_json_lines(run, &columns, out)?,
    }
    Ok(Status::Done)
}
