//! `mirror trace show`: a waterfall in the terminal.

use std::io::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use clap::Args;
use mirror_traces::{Folding, Place, Selector, Tone, Trace, Waterfall, duration_text};

use super::super::{Status, terminal};

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Trace: an id or the start of one, `step:41`, or `validator-0/step:41`
    trace: Selector,
    /// Shows every span, also of many similar calls
    #[arg(long)]
    all: bool,
    /// Prints the spans as JSON, one per line
    #[arg(long, conflicts_with = "all")]
    json: bool,
}

pub(super) fn show(runs_dir: &Path, arguments: &ShowArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let trace = super::find(&run, &arguments.trace)?;
    if arguments.json {
        json(&trace)?;
    } else {
        let folding = if arguments.all {
            Folding::None
        } else {
            Folding::Similar
        };
        text(&trace, folding)?;
    }
    Ok(Status::Done)
}

fn text(trace: &Trace, folding: Folding) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "trace {}  {} spans", trace.id(), trace.spans().len())?;
    match trace.root() {
        Some(root) => writeln!(out, "  {}", duration_text(trace.spans()[root].duration))?,
        None => writeln!(out, "  the root is missing")?,
    }
    for clock in trace.clocks() {
        writeln!(out, "{}", terminal::printable(&clock.to_string()))?;
    }
    for line in Waterfall::of(trace, folding).text(terminal::width(false)) {
        let style = match line.tone {
            Tone::Plain => Style::new(),
            Tone::Faulty => AnsiColor::Yellow.on_default(),
            Tone::Error => AnsiColor::Red.on_default(),
            Tone::Misplaced => AnsiColor::Magenta.on_default(),
            Tone::Folded => Style::new().dimmed(),
        };
        writeln!(out, "{style}{}{style:#}", line.text)?;
    }
    Ok(())
}

fn json(trace: &Trace) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for span in trace.spans() {
        let row = &span.row;
        let place = match &span.place {
            Place::Root => "root",
            Place::Child => "child",
            Place::MissingParent => "missing_parent",
            Place::KilledParent { .. } => "killed_parent",
            Place::Cycle => "cycle",
        };
        let line = serde_json::json!({
            "trace_id": row.trace_id,
            "span_id": row.span_id,
            "parent_id": row.parent_id,
            "name": row.name,
            "kind": row.kind,
            "node": row.node,
            "started_ns": row.started_ns,
            "corrected_start_ns": span.start,
            "duration_ns": span.duration,
            "step": row.step,
            "forward_index": row.forward_index,
            "uid": row.uid,
            "block": row.block,
            "code": row.code,
            "error": row.error,
            "rules": row.rules,
            "place": place,
            "is_duplicate": span.is_duplicate,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
