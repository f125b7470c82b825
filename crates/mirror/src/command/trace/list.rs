//! `mirror trace list`: one line per trace, or per span with one name.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::Path;

use clap::{Args, ValueEnum};
use mirror_analysis::terminal_table::{Alignment, TerminalTable};
use mirror_output::message;
use mirror_runs::Run;
use mirror_runs::tables::SpanRow;
use mirror_runs::telemetry::Summary;
use mirror_spec::notation::{self, Uids};
use mirror_traces::waterfall::text::printable;
use mirror_traces::{Span, Trace, Traces};
use serde_json::{Value, json};

use super::super::{Status, terminal};
use super::column;

/// Number of lines of the table unless the command line has another one.
const LINES: usize = 20;

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Lists the spans with this name, such as `dendrite.forward` [default: the roots of steps]
    #[arg(long)]
    name: Option<String>,
    /// Lists only spans of these steps: `41` or `10..20`
    #[arg(long, value_name = "STEPS", value_parser = steps)]
    step: Option<RangeInclusive<u64>>,
    /// Lists only spans that last at least this long: `5ms` or `0.1`
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    min_duration: Option<i64>,
    /// Lists only spans that last at most this long
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    max_duration: Option<i64>,
    #[command(flatten)]
    call: CallFilter,
    /// Order of the lines: the longest first, or the earliest first
    #[arg(long, value_enum, default_value = "start")]
    sort: Sort,
    /// Number of lines [default: 20, and all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Prints the list as JSON, one span per line
    #[arg(long)]
    json: bool,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

/// Conditions that one span must meet together: the listed span if it is named, or any span of the trace.
#[derive(Debug, Args)]
struct CallFilter {
    /// Lists only spans of these uids, or traces with such a span: `3` or `0-2,5`
    #[arg(long, value_name = "UIDS", value_parser = str::parse::<Uids>)]
    uid: Option<Uids>,
    /// The same for a code, such as `timeout`
    #[arg(long)]
    code: Option<String>,
    /// The same for a rule, such as `slow` or `slow/latency`
    #[arg(long)]
    rule: Option<String>,
    /// The same for spans with an error
    #[arg(long)]
    errors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    Duration,
    Start,
}

impl CallFilter {
    fn selects_all(&self) -> bool {
        self.uid.is_none() && self.code.is_none() && self.rule.is_none() && !self.errors
    }

    fn selects(&self, row: &SpanRow) -> bool {
        let of_uid = self.uid.as_ref();
        let of_uid = of_uid.is_none_or(|uids| row.uid.is_some_and(|uid| uids.contains(&uid)));
        let of_code = self
            .code
            .as_ref()
            .is_none_or(|code| row.code.as_ref() == Some(code));
        let of_rule = self.rule.as_ref().is_none_or(|rule| has_rule(row, rule));
        of_uid && of_code && of_rule && (!self.errors || row.error.is_some())
    }
}

/// Returns whether a rule affected a span: the name of a fault, or that and of its effect.
fn has_rule(row: &SpanRow, wanted: &str) -> bool {
    let rules = row.rules.as_deref().unwrap_or_default();
    rules.split(',').any(|rule| {
        let rule = rule.trim();
        rule == wanted || rule.split_once('/').is_some_and(|(fault, _)| fault == wanted)
    })
}

fn steps(text: &str) -> Result<RangeInclusive<u64>, String> {
    let error = || format!("`{text}` is neither a step such as `41` nor a range such as `10..20`");
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| error());
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(format!("the range `{text}` ends before it begins"));
    }
    Ok(first..=last)
}

fn nanoseconds(text: &str) -> Result<i64, String> {
    let seconds = notation::seconds(text).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let seconds = seconds.ok_or_else(|| format!("`{text}` is no duration such as `5ms` or `0.1`"))?;
    Ok((seconds * 1e9).round() as i64)
}

/// One line of the list.
struct Entry {
    trace: String,
    row: SpanRow,
    start_ns: i64,
    duration_ns: i64,
    step: Option<u64>,
    spans: usize,
    errors: usize,
    rules: String,
    /// The uid of the slowest call below the span, and its duration in nanoseconds.
    slowest: Option<(u32, i64)>,
}

impl Entry {
    /// Describes a span and the spans below it.
    fn of(trace: &Trace, index: usize) -> Self {
        let span = &trace.spans()[index];
        let below = &trace.spans()[index..index + span.tree_size];
        let calls = below.iter().filter(|span| span.row.name == "dendrite.forward");
        let calls = calls.filter_map(|span| Some((span.row.uid?, span.duration_ns)));
        let mut rules: Vec<&str> = below
            .iter()
            .filter_map(|span| span.row.rules.as_deref())
            .flat_map(|rules| rules.split(',').map(str::trim))
            .collect();
        rules.sort_unstable();
        rules.dedup();
        Self {
            trace: trace.id().to_owned(),
            row: span.row.clone(),
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            step: span.row.step.or(trace.step()),
            spans: below.len(),
            errors: below.iter().filter(|span| span.has_error()).count(),
            rules: rules.join(", "),
            slowest: calls.max_by_key(|(_, ns)| *ns),
        }
    }
}

/// The first entries in an order.
struct First {
    sort: Sort,
    limit: usize,
    /// By the key of the order, and then in the order in which they were found.
    entries: BTreeMap<(i64, u64), Entry>,
    /// Number of entries that were found.
    found: u64,
}

impl First {
    fn add(&mut self, trace: &Trace, index: usize) {
        let span = &trace.spans()[index];
        let key = match self.sort {
            Sort::Duration => -span.duration_ns,
            Sort::Start => span.start_ns,
        };
        let place = (key, self.found);
        self.found += 1;
        let is_full = self.entries.len() >= self.limit;
        if is_full
            && self
                .entries
                .last_key_value()
                .is_none_or(|(last, _)| *last < place)
        {
            return;
        }
        self.entries.insert(place, Entry::of(trace, index));
        if is_full {
            self.entries.pop_last();
        }
    }
}

impl ListArguments {
    fn selects(&self, trace: &Trace, index: usize, span: &Span) -> bool {
        let is_named = match &self.name {
            Some(name) => span.row.name == *name,
            None => index == 0 && matches!(&*span.row.name, "step" | "manual"),
        };
        let step = span.row.step.or(trace.step());
        is_named
            && (self.step.as_ref()).is_none_or(|steps| step.is_some_and(|step| steps.contains(&step)))
            && self.min_duration.is_none_or(|least| span.duration_ns >= least)
            && self
                .max_duration
                .is_none_or(|greatest| span.duration_ns <= greatest)
            && match &self.name {
                Some(_) => self.call.selects(&span.row),
                None => {
                    self.call.selects_all() || trace.spans().iter().any(|span| self.call.selects(&span.row))
                }
            }
    }
}

pub(super) fn list(runs_dir: &Path, arguments: &ListArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let mut first = First {
        sort: arguments.sort,
        limit: arguments
            .limit
            .unwrap_or(if arguments.json { usize::MAX } else { LINES }),
        entries: BTreeMap::new(),
        found: 0,
    };
    for trace in Traces::of_run(&run)? {
        let trace = trace?;
        for (index, span) in trace.spans().iter().enumerate() {
            if arguments.selects(&trace, index, span) {
                first.add(&trace, index);
            }
        }
    }
    let missing = missing(&run)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        for entry in first.entries.values() {
            writeln!(out, "{}", in_json(entry))?;
        }
        // Every line of the output is a span.
        for sentence in missing {
            message!("{sentence}");
        }
        return Ok(Status::Done);
    }
    let further = first.found - first.entries.len() as u64;
    if first.found == 0 {
        writeln!(out, "no span of the run matches")?;
    }
    let table = match arguments.name {
        Some(_) => of_spans(first.entries.values()),
        None => of_traces(first.entries.values()),
    };
    if !table.is_empty() {
        writeln!(out, "{}", table.fitted(terminal::width(arguments.wide)))?;
    }
    if further > 0 {
        writeln!(out, "and {further} more: --limit shows more")?;
    }
    for sentence in missing {
        writeln!(out, "{sentence}")?;
    }
    Ok(Status::Done)
}

/// Returns sentences about the spans and metrics of a run that are in no table.
fn missing(run: &Run) -> anyhow::Result<Vec<String>> {
    let Some(counts) = Summary::read(run.layout())? else {
        return Ok(Vec::new());
    };
    let sentences = [
        (
            counts.missing_spans(),
            ["span is", "spans are"],
            "missing (dropped, refused or lost, as telemetry.json states)",
        ),
        (
            counts.missing_measurements(),
            ["measurement of metrics is", "measurements of metrics are"],
            "missing (refused or lost, as telemetry.json states)",
        ),
        (
            counts.dropped_metrics,
            ["message of metrics is", "messages of metrics are"],
            "missing (dropped, as telemetry.json states)",
        ),
        (
            counts.not_kept,
            ["span is", "spans are"],
            "not in the table, because their traces had no error and were not among the slowest",
        ),
    ];
    let sentences = sentences.into_iter().filter(|(count, ..)| *count > 0);
    Ok(sentences
        .map(|(count, [one, many], rest)| {
            let subject = if count == 1 { one } else { many };
            format!("{count} {subject} {rest}")
        })
        .collect())
}

/// The first digits of a trace id, which name it in most runs.
fn short(trace: &str) -> String {
    printable(&trace.chars().take(12).collect::<String>())
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

fn of_traces<'a>(entries: impl Iterator<Item = &'a Entry>) -> TerminalTable {
    let mut table = TerminalTable::new([
        column("trace", Alignment::Left, 0),
        column("step", Alignment::Right, 0),
        column("validator", Alignment::Left, 0),
        column("duration", Alignment::Right, 0),
        column("spans", Alignment::Right, 3),
        column("errors", Alignment::Right, 1),
        column("slowest call", Alignment::Left, 2),
        column("rules", Alignment::Left, 4),
    ]);
    for entry in entries {
        let slowest = entry.slowest;
        table.push([
            short(&entry.trace),
            number(entry.step),
            printable(&entry.row.node),
            super::duration(entry.duration_ns.into()),
            entry.spans.to_string(),
            entry.errors.to_string(),
            number(slowest.map(|(uid, ns)| format!("uid {uid}: {}", super::duration(ns.into())))),
            printable(&entry.rules),
        ]);
    }
    table
}

fn of_spans<'a>(entries: impl Iterator<Item = &'a Entry>) -> TerminalTable {
    let mut table = TerminalTable::new([
        column("trace", Alignment::Left, 0),
        column("step", Alignment::Right, 1),
        column("node", Alignment::Left, 1),
        column("uid", Alignment::Right, 0),
        column("duration", Alignment::Right, 0),
        column("code", Alignment::Left, 0),
        column("rules", Alignment::Left, 2),
        column("error", Alignment::Left, 3),
    ]);
    for entry in entries {
        let row = &entry.row;
        table.push([
            short(&entry.trace),
            number(entry.step),
            printable(&row.node),
            number(row.uid),
            super::duration(entry.duration_ns.into()),
            number(row.code.as_deref().map(printable)),
            printable(&entry.rules),
            row.error.as_deref().map(printable).unwrap_or_default(),
        ]);
    }
    table
}

fn in_json(entry: &Entry) -> Value {
    let row = &entry.row;
    json!({
        "trace_id": entry.trace,
        "span_id": row.span_id,
        "name": row.name,
        "node": row.node,
        "step": entry.step,
        "uid": row.uid,
        "code": row.code,
        "error": row.error,
        "start_ns": entry.start_ns,
        "duration_ns": entry.duration_ns,
        "spans": entry.spans,
        "errors": entry.errors,
        "rules": entry.rules,
        "slowest_call": entry.slowest.map(|(uid, ns)| json!({ "uid": uid, "duration_ns": ns })),
    })
}

#[cfg(test)]
mod tests {
    use super::{nanoseconds, steps};

    #[test]
    fn steps_are_one_or_a_range() {
        assert_eq!(steps("41"), Ok(41..=41));
        assert_eq!(steps("10..20"), Ok(10..=20));
        for invalid in ["", "..", "1..", "20..10", "-1", "a"] {
            assert!(steps(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(nanoseconds("5ms"), Ok(5_000_000));
        assert_eq!(nanoseconds("0.1"), Ok(100_000_000));
        for invalid in ["", "-1", "inf", "NaN", "5 parsecs"] {
            assert!(nanoseconds(invalid).is_err(), "{invalid}");
        }
    }
}
