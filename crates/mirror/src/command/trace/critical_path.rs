//! `mirror trace critical-path`: the spans that a step waited for, one after the other, and the time of one or all
//! steps by phase and uid.

use std::io::Write;
use std::path::Path;

use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalTable};
use mirror_traces::critical_path::{Breakdown, critical_path as segments, uids};
use mirror_traces::waterfall::text::printable;
use mirror_traces::{Phase, Span, Trace, Traces, Wanted};
use serde::Serialize;

use super::super::{Status, terminal};
use super::column;

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
    let mut segments = None;
    if let Some(wanted) = &arguments.trace {
        let trace = super::found(&run, wanted)?;
        breakdown.add(&trace);
        segments = Some(PathSegment::of_trace(&trace));
    } else {
        for trace in Traces::of_run(&run)? {
            let trace = trace?;
            // A step without its root has no known duration.
            let is_step = |root: &Span| root.detached.is_none() && root.row.name == "step";
            if trace.main_root().is_some_and(is_step) {
                breakdown.add(&trace);
            }
        }
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let whole = Whole { segments, breakdown };
        serde_json::to_writer_pretty(&mut out, &whole)?;
        writeln!(out)?;
        return Ok(Status::Done);
    }
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
    if let Some(segments) = segments {
        writeln!(out, "{}\n", of_segments(&segments).fitted(terminal::width(false)))?;
    }
    print(&mut out, &breakdown)?;
    Ok(Status::Done)
}

/// A trace or all steps as JSON.
#[derive(Serialize)]
struct Whole {
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<PathSegment>>,
    #[serde(flatten)]
    breakdown: Breakdown,
}

/// A time in which the step waited for one span itself, not for a span below it.
#[derive(Serialize)]
struct PathSegment {
    span_id: String,
    name: String,
    phase: &'static str,
    /// The uid whose call the span belongs to.
    uid: Option<u32>,
    node: String,
    rules: Option<String>,
    error: Option<String>,
    /// Start in nanoseconds since the start of the step.
    start_ns: i64,
    duration_ns: i64,
}

impl PathSegment {
    /// Describes the critical path of the main root of a trace, in the order of time.
    fn of_trace(trace: &Trace) -> Vec<Self> {
        let uids = uids(trace);
        let begin = trace.main_root().map_or(0, |root| root.start_ns);
        let path = segments(trace, 0).into_iter();
        path.map(|segment| {
            let span = &trace.spans()[segment.span];
            Self {
                span_id: span.row.span_id.clone(),
                name: span.row.name.clone(),
                phase: Phase::of(&span.row.name).name(),
                uid: uids[segment.span],
                node: span.row.node.clone(),
                rules: span.row.rules.clone(),
                error: span.row.error.clone(),
                start_ns: segment.start_ns.saturating_sub(begin),
                duration_ns: segment.duration_ns(),
            }
        })
        .collect()
    }
}

fn of_segments(segments: &[PathSegment]) -> TerminalTable {
    let mut table = TerminalTable::new([
        column("start", Alignment::Right, 0),
        column("time", Alignment::Right, 0),
        column("span", Alignment::Left, 0),
        column("uid", Alignment::Right, 0),
        column("node", Alignment::Left, 2),
        column("rules", Alignment::Left, 1),
    ]);
    for segment in segments {
        table.push([
            super::duration(segment.start_ns.into()),
            super::duration(segment.duration_ns.into()),
            printable(&segment.name),
            segment.uid.map_or("-".to_owned(), |uid| uid.to_string()),
            printable(&segment.node),
            segment.rules.as_deref().map(printable).unwrap_or_default(),
        ]);
    }
    table
}

fn print(out: &mut impl Write, breakdown: &Breakdown) -> anyhow::Result<()> {
    let percent = |ns: i128| format!("{:.1}%", 100.0 * breakdown.share(ns));
    let width = terminal::width(false);
    let mut phases = TerminalTable::new([
        column("phase", Alignment::Left, 0),
        column("time", Alignment::Right, 0),
        column("share", Alignment::Right, 0),
    ]);
    for (phase, ns) in breakdown.phases() {
        phases.push([phase.name().to_owned(), super::duration(ns), percent(ns)]);
    }
    writeln!(out, "{}", phases.fitted(width))?;
    let uids = breakdown.uids();
    if !uids.is_empty() {
        let mut table = TerminalTable::new([
            column("uid", Alignment::Right, 0),
            column("time", Alignment::Right, 0),
            column("share", Alignment::Right, 0),
            column("most of it", Alignment::Left, 0),
            column("could be saved", Alignment::Right, 0),
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
            "\n\"could be saved\" is the share of time after the last call of another uid"
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
