//! `mirror trace compare`: the spans of two runs that became slower or faster.

use std::io::Write;
use std::path::Path;

use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalTable};
use mirror_traces::compare::{Change, Comparison, Difference, Grouping, Pairing, compare as compare_runs};
use mirror_traces::waterfall::text::printable;
use serde_json::{Value, json};

use super::super::{Status, terminal};
use super::column;

/// Number of names in the table unless the command line has another one.
const NAMES: usize = 50;

#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// Run: an id or the start of one, `last`, or a path
    first: String,
    /// The same
    second: String,
    /// Compares the calls of each uid separately
    #[arg(long)]
    by_uid: bool,
    /// Number of names that are printed, beginning with the one that added the most time [default: 50, and all with
    /// --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn compare(runs_dir: &Path, arguments: &CompareArguments) -> anyhow::Result<Status> {
    let first = super::open(runs_dir, &arguments.first)?;
    let second = super::open(runs_dir, &arguments.second)?;
    let grouping = if arguments.by_uid {
        Grouping::NameAndUid
    } else {
        Grouping::Name
    };
    let comparison = compare_runs(&first, &second, grouping)?;
    let limit = arguments
        .limit
        .unwrap_or(if arguments.json { usize::MAX } else { NAMES });
    let shown = &comparison.differences[..comparison.differences.len().min(limit)];
    if arguments.json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &in_json(&comparison, shown, grouping))?;
        writeln!(out)?;
    } else {
        print(&comparison, shown, grouping)?;
    }
    Ok(Status::Done)
}

fn print(comparison: &Comparison, shown: &[Difference], grouping: Grouping) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let [first, second] = comparison.traces;
    match comparison.pairing {
        Pairing::SameTraces => {
            writeln!(out, "{first} traces that both runs have are compared in pairs")?;
            let [only_first, only_second] = comparison.unpaired_traces;
            if only_first + only_second > 0 {
                writeln!(
                    out,
                    "only the first run has {only_first} more, only the second {only_second} more"
                )?;
            }
        }
        Pairing::None => writeln!(
            out,
            "{first} traces are compared with {second}, not in pairs, because the runs share no trace"
        )?,
    }
    let mut table = TerminalTable::new([
        column("span", Alignment::Left, 0),
        column("median A", Alignment::Right, 2),
        column("median B", Alignment::Right, 2),
        column("ratio", Alignment::Right, 0),
        column("interval", Alignment::Left, 1),
        column("added", Alignment::Right, 0),
        column("result", Alignment::Left, 0),
    ]);
    for difference in shown {
        let name = printable(&difference.name);
        let median = |median: Option<f64>| median.map_or("-".to_owned(), |ns| super::duration(ns as i128));
        let [first, second] = difference.medians_ns.map(median);
        let interval = difference.interval();
        table.push([
            difference.uid.map_or(name.clone(), |uid| format!("{name} {uid}")),
            first,
            second,
            difference
                .ratio()
                .map_or("-".to_owned(), |ratio| format!("{ratio:.3}")),
            interval.map_or("-".to_owned(), |[low, high]| format!("{low:.3} to {high:.3}")),
            super::duration(difference.added_ns as i128),
            Change::of(interval).text().to_owned(),
        ]);
    }
    writeln!(out, "\n{}\n", table.fitted(terminal::width(false)))?;
    writeln!(
        out,
        "medians are over traces, of the mean duration of the spans of a trace; \"added\" is per trace"
    )?;
    writeln!(
        out,
        "intervals of 95% are by bootstrap, from at most {} traces of each name, drawn with a fixed seed",
        grouping.sample_size()
    )?;
    let further = comparison.differences.len() - shown.len();
    if further > 0 {
        writeln!(out, "{further} further names are not shown: --limit shows more")?;
    }
    if comparison.left_out_spans > 0 {
        writeln!(
            out,
            "{} spans are left out, because the runs have too many different names",
            comparison.left_out_spans
        )?;
    }
    Ok(())
}

fn in_json(comparison: &Comparison, shown: &[Difference], grouping: Grouping) -> Value {
    let differences: Vec<Value> = shown
        .iter()
        .map(|difference| {
            let interval = difference.interval();
            json!({
                "name": difference.name,
                "uid": difference.uid,
                "medians_ns": difference.medians_ns,
                "ratio": difference.ratio(),
                "interval": interval,
                "added_ns": difference.added_ns,
                "traces": difference.traces,
                "result": Change::of(interval).text(),
            })
        })
        .collect();
    json!({
        "traces": comparison.traces,
        "paired": comparison.pairing == Pairing::SameTraces,
        "unpaired_traces": comparison.unpaired_traces,
        "sample_size": grouping.sample_size(),
        "left_out_spans": comparison.left_out_spans,
        "differences": differences,
    })
}
