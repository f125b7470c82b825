//! `mirror trace list`: one line per trace, or per span of one name.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use clap::{Args, ValueEnum};
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_traces::{Span, Trace, duration_text, traces};
use serde::Serialize;

use super::super::{Status, terminal};

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Lists the spans of this name [default: the traces of steps]
    #[arg(long)]
    name: Option<String>,
    /// Lists only spans of this uid, or traces with one
    #[arg(long)]
    uid: Option<u32>,
    /// Lists only this step, or these steps
    #[arg(long, value_name = "N|A..B", value_parser = steps)]
    step: Option<(u64, u64)>,
    /// Lists only spans with this code, or traces with one
    #[arg(long)]
    code: Option<String>,
    /// Lists only spans that took at least this long: `5ms`, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds)]
    min_duration: Option<i64>,
    /// Lists only spans that took at most this long
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds)]
    max_duration: Option<i64>,
    /// Lists only spans that failed, or traces with one
    #[arg(long)]
    errors: bool,
    /// Lists only spans that this rule of a fault affected, or traces with one
    #[arg(long)]
    rule: Option<String>,
    /// Order of the list
    #[arg(long, value_enum, default_value = "start")]
    sort: Order,
    /// Maximum number of lines
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Prints the list as JSON, one item per line, with times in nanoseconds
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// The longest first
    Duration,
    /// The earliest first
    Start,
}

/// One line of the list.
#[derive(Debug, Serialize)]
struct Item {
    trace_id: String,
    span_id: String,
    name: String,
    node: String,
    step: Option<u64>,
    uid: Option<u32>,
    code: Option<String>,
    start_ns: i64,
    duration_ns: i64,
    /// Number of spans of the trace.
    spans: usize,
    /// Number of spans of the trace that failed.
    errors: usize,
    /// The effects of faults on the spans of the trace.
    rules: BTreeSet<String>,
    /// The uid and duration of the slowest call of the trace.
    slowest_call: Option<(Option<u32>, i64)>,
}

/// Parses a step or an inclusive range of steps.
fn steps(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let range = first.parse().ok().zip(last.parse().ok());
    range
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| format!("`{text}` is no step and no range of steps such as `3..7`"))
}

/// Parses a duration and returns nanoseconds.
fn nanoseconds(text: &str) -> Result<i64, String> {
    let seconds = mirror_spec::notation::seconds(text).filter(|seconds| *seconds >= 0.0);
    let seconds = seconds.ok_or_else(|| format!("`{text}` is no duration such as `5ms` or `0.1`"))?;
    Ok((seconds * 1e9).round() as i64)
}

impl ListArguments {
    /// Returns whether one span has all that is wanted of a span or of any span of a trace.
    fn selects(&self, span: &Span) -> bool {
        let is_of_rule = |rule: &String| {
            let mut rules = span.rules();
            rules.any(|effect| effect == rule || effect.split('/').next() == Some(rule))
        };
        self.uid.is_none_or(|uid| span.row.uid == Some(uid))
            && self
                .code
                .as_ref()
                .is_none_or(|code| span.row.code.as_ref() == Some(code))
            && (!self.errors || span.row.error.is_some())
            && self.rule.as_ref().is_none_or(is_of_rule)
    }

    fn takes(&self, span: &Span) -> bool {
        self.min_duration.is_none_or(|least| span.duration >= least)
            && self.max_duration.is_none_or(|most| span.duration <= most)
    }

    /// Returns the spans of a trace that are listed.
    fn listed<'trace>(&self, trace: &'trace Trace) -> Vec<&'trace Span> {
        let step = trace.spans().iter().find_map(|span| span.row.step);
        if let Some((first, last)) = self.step
            && !step.is_some_and(|step| (first..=last).contains(&step))
        {
            return Vec::new();
        }
        let spans = trace.spans().iter();
        match &self.name {
            Some(name) => spans
                .filter(|span| span.row.name == *name && self.selects(span) && self.takes(span))
                .collect(),
            None if trace.spans().iter().any(|span| self.selects(span)) => {
                let roots = trace.roots().iter().map(|root| &trace.spans()[*root]);
                roots
                    .filter(|root| root.row.name == "step" && self.takes(root))
                    .collect()
            }
            None => Vec::new(),
        }
    }

    fn sort(&self, items: &mut Vec<Item>) {
        match self.sort {
            Order::Duration => items.sort_by_key(|item| std::cmp::Reverse(item.duration_ns)),
            Order::Start => items.sort_by_key(|item| item.start_ns),
        }
        items.truncate(self.limit);
    }
}

impl Item {
    fn of(trace: &Trace, span: &Span) -> Self {
        let calls = trace.spans().iter().filter(|span| span.is_call());
        let slowest = calls.max_by_key(|call| call.duration);
        Self {
            trace_id: trace.id().to_owned(),
            span_id: span.row.span_id.clone(),
            name: span.row.name.clone(),
            node: span.row.node.clone(),
            step: trace.spans().iter().find_map(|span| span.row.step),
            uid: span.row.uid,
            code: span.row.code.clone(),
            start_ns: span.start,
            duration_ns: span.duration,
            spans: trace.spans().len(),
            errors: trace
                .spans()
                .iter()
                .filter(|span| span.row.error.is_some())
                .count(),
            rules: trace
                .spans()
                .iter()
                .flat_map(Span::rules)
                .map(str::to_owned)
                .collect(),
            slowest_call: slowest.map(|call| (call.row.uid, call.duration)),
        }
    }

    fn cells(&self) -> [String; 10] {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let rules: Vec<&str> = self.rules.iter().map(String::as_str).collect();
        let slowest = self.slowest_call.map_or_else(String::new, |(uid, duration)| {
            format!("uid {}, {}", number(uid.map(u64::from)), duration_text(duration))
        });
        [
            self.trace_id.clone(),
            number(self.step),
            self.node.clone(),
            duration_text(self.duration_ns),
            self.spans.to_string(),
            self.errors.to_string(),
            number(self.uid.map(u64::from)),
            self.code.clone().unwrap_or_default(),
            rules.join(", "),
            slowest,
        ]
        .map(|cell| terminal::printable(&cell).replace(['\n', '\t'], " "))
    }
}

pub(super) fn list(runs_dir: &Path, arguments: &ListArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let mut items = Vec::new();
    for trace in traces(&run)? {
        let trace = trace?;
        let listed = arguments.listed(&trace).into_iter();
        items.extend(listed.map(|span| Item::of(&trace, span)));
        if items.len() > arguments.limit.saturating_mul(2).max(1000) {
            arguments.sort(&mut items);
        }
    }
    arguments.sort(&mut items);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        for item in &items {
            writeln!(out, "{}", serde_json::to_string(item)?)?;
        }
        return Ok(Status::Done);
    }
    if items.is_empty() {
        writeln!(out, "no trace of the run {} matches", run.manifest().id)?;
        return Ok(Status::Done);
    }
    let column = |title, alignment, rank| TerminalColumn {
        title,
        alignment,
        rank,
    };
    let mut table = TerminalTable::new([
        column("trace", Alignment::Left, 0),
        column("step", Alignment::Right, 1),
        column("node", Alignment::Left, 3),
        column("duration", Alignment::Right, 0),
        column("spans", Alignment::Right, 6),
        column("errors", Alignment::Right, 4),
        column("uid", Alignment::Right, 7),
        column("code", Alignment::Left, 8),
        column("rules", Alignment::Left, 5),
        column("slowest call", Alignment::Left, 2),
    ]);
    for item in &items {
        table.push(item.cells());
    }
    writeln!(out, "{}", table.fitted(terminal::width(false)))?;
    Ok(Status::Done)
}
