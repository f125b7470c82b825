//! `mirror trace`: lists, shows, compares and exports the traces of runs, and finds their critical paths.

mod compare;
mod critical_path;
mod export;
mod list;
mod show;

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use mirror_analysis::terminal_table::{Alignment, TerminalColumn};
use mirror_runs::Run;
use mirror_traces::{FindError, NoSpans, Trace, Wanted, find, has_spans};

use super::running::name_of;
use super::{Misuse, RunsDir, Status, place};

#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(subcommand)]
    command: TraceCommand,
}

#[derive(Debug, Subcommand)]
enum TraceCommand {
    /// Lists traces, or the spans with one name
    List(list::ListArguments),
    /// Shows the spans of a trace in the order of time
    Show(show::ShowArguments),
    /// Shows the spans that a step waited for, or the time of all steps by phase and by uid
    CriticalPath(critical_path::CriticalPathArguments),
    /// Compares the durations of the spans of two runs
    Compare(compare::CompareArguments),
    /// Writes traces in the format of another program
    Export(export::ExportArguments),
}

pub(super) fn trace(arguments: &TraceArguments) -> anyhow::Result<Status> {
    let runs_dir = &arguments.runs_dir.runs_dir;
    match &arguments.command {
        TraceCommand::List(arguments) => list::list(runs_dir, arguments),
        TraceCommand::Show(arguments) => show::show(runs_dir, arguments),
        TraceCommand::CriticalPath(arguments) => critical_path::critical_path(runs_dir, arguments),
        TraceCommand::Compare(arguments) => compare::compare(runs_dir, arguments),
        TraceCommand::Export(arguments) => export::export(runs_dir, arguments),
    }
}

/// Opens a run, which must have spans.
fn open(runs_dir: &Path, wanted: &str) -> anyhow::Result<Run> {
    let folder = place::run(runs_dir, wanted)?;
    let run = Run::open(&folder)?;
    if !has_spans(&run)? {
        return Err(Misuse::of(anyhow!(
            "the run {} has no spans: {}",
            name_of(runs_dir, &folder),
            NoSpans::of_run(&run)
        ))
        .into());
    }
    Ok(run)
}

/// Finds a trace of a run. A name that no trace or more than one has is an error of the command line.
fn found(run: &Run, wanted: &Wanted) -> anyhow::Result<Trace> {
    find(run, wanted).map_err(|error| match error {
        FindError::Run(error) => error.into(),
        error @ (FindError::Unknown(_) | FindError::Ambiguous { .. }) => Misuse::of(error).into(),
    })
}

/// Returns a time that is a sum over many traces as text.
fn duration(ns: i128) -> String {
    mirror_traces::duration::text(i64::try_from(ns).unwrap_or(i64::MAX))
}

/// Returns a column of a table. Where the terminal is too narrow, columns with the highest rank are left out first.
fn column(title: &'static str, alignment: Alignment, rank: u8) -> TerminalColumn {
    TerminalColumn {
        title,
        alignment,
        rank,
    }
}
