//! `mirror trace`: lists, shows, compares and exports the traces of runs.

mod compare;
mod critical_path;
mod export;
mod list;
mod show;

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use mirror_runs::Run;
use mirror_traces::{FindError, Selector, Trace};

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
    /// Lists the traces of a run, or its spans of one name
    List(list::ListArguments),
    /// Draws a trace as a waterfall
    Show(show::ShowArguments),
    /// Shows where the time of steps goes, by phase and by uid
    CriticalPath(critical_path::CriticalPathArguments),
    /// Compares the durations of the spans of two runs
    Compare(compare::CompareArguments),
    /// Exports traces for other programs
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

/// Opens a run that has spans.
fn open(runs_dir: &Path, wanted: &str) -> anyhow::Result<Run> {
    let run = Run::open(place::run(runs_dir, wanted)?)?;
    if mirror_traces::count(&run)? == 0 {
        let name = name_of(runs_dir, run.layout().root());
        return Err(Misuse::of(anyhow!(
            "the run {name} has no spans: it was made with `telemetry: {{traces: off}}` or by an earlier version"
        ))
        .into());
    }
    Ok(run)
}

/// Returns the trace that `selector` names.
fn find(run: &Run, selector: &Selector) -> anyhow::Result<Trace> {
    mirror_traces::find(run, selector).map_err(|error| match error {
        FindError::Run(error) => error.into(),
        unknown @ FindError::Unknown(_) => {
            Misuse::of(anyhow!("{unknown}: `mirror trace list` lists the traces")).into()
        }
        ambiguous @ FindError::Ambiguous { .. } => Misuse::of(ambiguous).into(),
    })
}
