//! `mirror runs`: lists runs, shows one, compares two, and recovers one whose coordinator was killed.

use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_analysis::{RunData, Summary};
use mirror_runs::{Recovery, Run, Verdict, diff, recover, view};

use super::{RunsDir, Status, place, terminal};

/// Number of differences of each kind that are printed.
const SHOWN: usize = 20;

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
    List {
        /// Prints the list as JSON, one run per line
        #[arg(long)]
        json: bool,
    },
    /// Shows a run: its state, its times and its table of uids
    Show {
        /// Id of a run or the start of one, `last`, or a path
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
    /// Compares two runs; exit status 1 if they differ in more than timing
    Diff {
        /// Id of a run or the start of one, `last`, or a path
        first: String,
        /// Id of a run or the start of one, `last`, or a path
        second: String,
    },
    /// Writes the tables of a run whose coordinator was killed, from its journal
    Recover {
        /// Id of a run or the start of one, `last`, or a path
        run: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

pub(super) fn runs(arguments: &RunsArguments) -> anyhow::Result<Status> {
    let open = |wanted: &str| anyhow::Ok(Run::open(place::run(&arguments.runs_dir.runs_dir, wanted)?)?);
    match &arguments.command {
        RunsCommand::List { json } => list(arguments, *json),
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
        } => show(&open(run)?, *json, terminal::width(*wide)),
        RunsCommand::Diff { first, second } => compare(&open(first)?, &open(second)?),
        RunsCommand::Recover { run } => {
            let path = place::run(&arguments.runs_dir.runs_dir, run)?;
            let (word, manifest) = match recover(&path)? {
                Recovery::Recovered(manifest) => ("recovered", manifest),
                Recovery::AlreadyEnded(manifest) => ("has all its tables already", manifest),
            };
            let mut out = std::io::stdout().lock();
            writeln!(out, "{} {word}", manifest.id)?;
            for (table, rows) in &manifest.counts.rows {
                writeln!(out, "  {rows:>10} {table}")?;
            }
            Ok(Status::Done)
        }
    }
}

fn list(arguments: &RunsArguments, json: bool) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    let column = |title, alignment, rank| TerminalColumn {
        title,
        alignment,
        rank,
    };
    let mut table = TerminalTable::new([
        column("run", Alignment::Left, 0),
        column("state", Alignment::Left, 0),
        column("events", Alignment::Right, 1),
        column("tags", Alignment::Left, 2),
    ]);
    let mut unreadable = Vec::new();
    for listed in mirror_runs::runs(&arguments.runs_dir.runs_dir)? {
        match (&listed.run, json) {
            (Ok((manifest, state)), true) => {
                let line = serde_json::json!({ "id": listed.id, "state": state, "manifest": manifest });
                writeln!(out, "{line}")?;
            }
            (Ok((manifest, state)), false) => {
                let state = serde_json::to_value(state)?;
                // Rows are counted when a run ends.
                let events = manifest
                    .counts
                    .rows
                    .get("events")
                    .map_or("-".to_owned(), u64::to_string);
                let tags = manifest.tags.join(" ");
                let state = state.as_str().unwrap_or_default().to_owned();
                table.push([listed.id, state, events, tags]);
            }
            (Err(error), true) => {
                writeln!(
                    out,
                    "{}",
                    serde_json::json!({ "id": listed.id, "problem": error.to_string() })
                )?;
            }
            (Err(error), false) => unreadable.push(format!("{} cannot be read: {error}", listed.id)),
        }
    }
    if !json && table.is_empty() && unreadable.is_empty() {
        let folder = arguments.runs_dir.runs_dir.display();
        writeln!(out, "no runs in {folder}: `mirror run FILE` starts one")?;
    } else if !json {
        writeln!(out, "{}", table.fitted(terminal::width(false)))?;
        for line in unreadable {
            writeln!(out, "{line}")?;
        }
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
    let summary = Summary::of(&RunData::read(run)?);
    writeln!(out, "{}", summary.table(width))?;
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

fn compare(first: &Run, second: &Run) -> anyhow::Result<Status> {
    let difference = diff(first, second, SHOWN)?;
    let mut out = std::io::stdout().lock();
    for (table, rows) in &difference.compared {
        writeln!(out, "{rows:>10} {table} in both")?;
    }
    if difference.timing_dependent.total > 0 {
        writeln!(
            out,
            "{} calls timed out because of this machine's load:",
            difference.timing_dependent.total
        )?;
        for call in &difference.timing_dependent.first {
            writeln!(out, "  {call}")?;
        }
    }
    if difference.excused.total > 0 {
        writeln!(
            out,
            "{} differences result from those calls",
            difference.excused.total
        )?;
    }
    for divergence in &difference.divergences.first {
        writeln!(out, "  {divergence}")?;
    }
    let (word, status) = match difference.verdict() {
        Verdict::Same => ("the same events", Status::Done),
        Verdict::SameButForTiming => (
            "the same events, except for the calls that timed out because of load",
            Status::Done,
        ),
        Verdict::Different => ("different", Status::Failed),
    };
    match difference.divergences.total {
        0 => writeln!(out, "{word}")?,
        total => writeln!(out, "{word}: {total} differences")?,
    }
    Ok(status)
}
