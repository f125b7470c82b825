//! `mirror trace show`: the spans of a trace as a waterfall.

use std::io::Write;
use std::path::Path;

use clap::Args;
use mirror_traces::waterfall::text::{Emphasis, printable, text};
use mirror_traces::waterfall::{Folding, lines};
use mirror_traces::{Detached, Span, Trace, Wanted};
use serde_json::{Value, json};

use super::super::{Status, terminal};

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Trace: its id, at least 4 digits of it, `step:41` or `validator-0/step:41`
    trace: Wanted,
    /// Shows every span, also many similar ones
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// Prints the trace as JSON, with corrected times
    #[arg(long)]
    json: bool,
}

pub(super) fn show(runs_dir: &Path, arguments: &ShowArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let trace = super::found(&run, &arguments.trace)?;
    if arguments.json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &in_json(&trace))?;
        writeln!(out)?;
        return Ok(Status::Done);
    }
    let folding = if arguments.all {
        Folding::None
    } else {
        Folding::Similar
    };
    let mut out = anstream::stdout().lock();
    let root = trace.main_root();
    let node = root.map(|root| printable(&root.row.node)).unwrap_or_default();
    let duration = root.map_or(0, |root| root.duration_ns);
    writeln!(
        out,
        "trace {}  {node}  {}  {} spans",
        printable(trace.id()),
        super::duration(duration.into()),
        trace.spans().len()
    )?;
    let lines = lines(&trace, folding);
    for line in text(&trace, &lines, terminal::width(false)) {
        let style = match line.emphasis {
            Emphasis::Plain => anstyle::Style::new(),
            Emphasis::Rule => anstyle::AnsiColor::Yellow.on_default(),
            Emphasis::Error => anstyle::AnsiColor::Red.on_default(),
        };
        writeln!(out, "{style}{}{style:#}", line.text)?;
    }
    for offset in trace.clock_offsets() {
        writeln!(out, "{}", printable(&offset.to_string()))?;
    }
    if trace.repeated_rows() > 0 {
        writeln!(out, "{} rows of the table are repeated", trace.repeated_rows())?;
    }
    Ok(Status::Done)
}

fn in_json(trace: &Trace) -> Value {
    let offsets: Vec<Value> = trace
        .clock_offsets()
        .iter()
        .map(|offset| json!({ "node": offset.node, "ahead_ns": offset.ahead_ns }))
        .collect();
    let spans: Vec<Value> = trace.spans().iter().map(of_span).collect();
    json!({
        "trace_id": trace.id(),
        "clock_offsets": offsets,
        "repeated_rows": trace.repeated_rows(),
        "spans": spans,
    })
}

fn of_span(span: &Span) -> Value {
    let row = &span.row;
    let others = row.attributes.as_deref().map(serde_json::from_str::<Value>);
    json!({
        "span_id": row.span_id,
        "parent_id": row.parent_id,
        "detached": span.detached.as_ref().map(|detached| match detached {
            Detached::MissingParent => "missing parent".to_owned(),
            Detached::KilledNode { node } => format!("missing parent of {node}, which ended before its time"),
            Detached::Cycle => "cycle".to_owned(),
        }),
        "name": row.name,
        "kind": row.kind,
        "node": row.node,
        "incarnation": row.incarnation,
        "depth": span.depth,
        "start_ns": span.start_ns,
        "duration_ns": span.duration_ns,
        "step": row.step,
        "forward_index": row.forward_index,
        "uid": row.uid,
        "block": row.block,
        "code": row.code,
        "error": row.error,
        "rules": row.rules,
        "links": row.links,
        "attributes": others.and_then(Result::ok),
    })
}
