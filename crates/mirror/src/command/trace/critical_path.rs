//! `mirror trace critical-path`: the spans in which the time of a step, or of all steps, was spent.

use std::io::Write;
use std::path::Path;

use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_traces::critical_path::Breakdown;
use mirror_traces::waterfall::text::printable;
use mirror_traces::{Traces, Wanted};

use super::super::{Status, terminal};

/// Number of uids that are shown.
const UIDS_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct CriticalPathArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Trace: its id, at least 4 digits of it, `step:41` or `validator-0/step:41`
    #[arg(required_unless_present = "all")]
    trace: Option<Wanted>,
    /// Adds the critical paths of all steps up
    #[arg(long, conflicts_with = "trace")]
    all: bool,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn critical_path(runs_dir: &Path, arguments: &CriticalPathArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let mut breakdown = Breakdown::default();
    match &arguments.trace {
        Some(wanted) => breakdown.add(&super::found(&run, wanted)?),
        None => {
            for trace in Traces::of_run(&run)? {
                let trace = trace?;
                // A step without its root has no known duration.
                let is_step = |root: &mirror_traces::Span| root.detached.is_none() && root.row.name == "step";
                if trace.main_root().is_some_and(is_step) {
                    breakdown.add(&trace);
                }
            }
        }
    }
    if arguments.json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &breakdown)?;
        writeln!(out)?;
    } else {
        print(&breakdown)?;
    }
    Ok(Status::Done)
}

fn print(breakdown: &Breakdown) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let percent = |ns: i128| format!("{:.1}%", 100.0 * breakdown.share(ns));
    let column = |title, alignment| TerminalColumn {
        title,
        alignment,
        rank: 0,
    };
    let width = terminal::width(false);
    let noun = if breakdown.traces() == 1 {
        "trace"
    } else {
        "traces"
    };
    writeln!(
        out,
        "critical path of {} {noun}, {}\n",
        breakdown.traces(),
        super::duration(breakdown.total_ns())
    )?;
    let mut phases = TerminalTable::new([
        column("phase", Alignment::Left),
        column("time", Alignment::Right),
        column("share", Alignment::Right),
    ]);
    for (phase, ns) in breakdown.phases() {
        phases.push([phase.name().to_owned(), super::duration(ns), percent(ns)]);
    }
    writeln!(out, "{}", phases.fitted(width))?;
    let uids = breakdown.uids();
    if !uids.is_empty() {
        let mut table = TerminalTable::new([
            column("uid", Alignment::Right),
            column("time", Alignment::Right),
            column("share", Alignment::Right),
            column("most of it", Alignment::Left),
            column("could be saved", Alignment::Right),
        ]);
        for of_uid in uids.iter().take(UIDS_SHOWN) {
            table.push([
                of_uid.uid.to_string(),
                super::duration(of_uid.path_ns),
                percent(of_uid.path_ns),
                of_uid.main_phase.name().to_owned(),
                percent(of_uid.saved_ns),
            ]);
        }
        writeln!(out, "\n{}", table.fitted(width))?;
        if uids.len() > UIDS_SHOWN {
            writeln!(
                out,
                "and {} further uids: --json prints all",
                uids.len() - UIDS_SHOWN
            )?;
        }
        writeln!(
            out,
            "\n\"could be saved\" is the time after the last call of another uid, as a share of all time"
        )?;
    }
    for (rules, ns) in breakdown.rules().iter().take(UIDS_SHOWN) {
        writeln!(
            out,
            "links delayed by {}: {} ({})",
            printable(rules),
            super::duration(*ns),
            percent(*ns)
        )?;
    }
    Ok(())
}
