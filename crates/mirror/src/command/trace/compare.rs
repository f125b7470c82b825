//! `mirror trace compare`: what became slower between two runs.

use std::io::Write;
use std::path::Path;

use clap::Args;
use mirror_traces::{Change, Comparison, Grouping, Pairing, SAMPLE, Verdict, duration_text};

use super::super::{Status, terminal};

#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// Run: an id or the start of one, `last`, or a path
    first: String,
    /// The run that is compared with it
    second: String,
    /// Compares the spans of each uid separately
    #[arg(long)]
    by_uid: bool,
    /// Prints the result as JSON, with times in nanoseconds
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
    let comparison = mirror_traces::compare(&first, &second, grouping)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_value(&comparison)?)?;
    } else {
        text(&comparison, &mut out)?;
    }
    Ok(Status::Done)
}

fn text(comparison: &Comparison, out: &mut impl Write) -> anyhow::Result<()> {
    match comparison.pairing {
        Pairing::Paired {
            traces,
            only_first,
            only_second,
        } => {
            writeln!(out, "{traces} traces are in both runs and were compared in pairs")?;
            if only_first + only_second > 0 {
                writeln!(
                    out,
                    "{only_first} traces are only in the first run and {only_second} only in the second"
                )?;
            }
        }
        Pairing::Unpaired { first, second } => writeln!(
            out,
            "the seeds differ: {first} traces were compared with {second} traces, not in pairs"
        )?,
    }
    writeln!(
        out,
        "{:24} {:>9} {:>9}  {:18} {:>10}",
        "span", "median A", "median B", "ratio", "added"
    )?;
    for change in &comparison.changes {
        writeln!(out, "{}", line(change))?;
    }
    if comparison.changes.iter().any(|change| change.is_sampled) {
        writeln!(
            out,
            "* from a random sample of {SAMPLE} traces, with a fixed random seed"
        )?;
    }
    if comparison.left_out > 0 {
        writeln!(out, "{} spans of further names are left out", comparison.left_out)?;
    }
    Ok(())
}

fn line(change: &Change) -> String {
    let duration = |time: f64| duration_text(time.round() as i64);
    let median = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), duration);
    let mut name = terminal::printable(&change.name);
    if let Some(uid) = change.uid {
        name.extend([" uid ", &uid.to_string()]);
    }
    if change.is_sampled {
        name.push('*');
    }
    let ratio = match (change.ratio, change.interval) {
        (None, _) => "-".to_owned(),
        (Some(ratio), None) => format!("{ratio:.2}"),
        (Some(ratio), Some(interval)) => format!("{ratio:.2} ({:.2}..{:.2})", interval.low, interval.high),
    };
    let verdict = match change.verdict {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::NoDifferenceShown => "no difference shown",
    };
    format!(
        "{name:24} {:>9} {:>9}  {ratio:18} {:>10}  {verdict}",
        median(change.median_ns[0]),
        median(change.median_ns[1]),
        duration(change.added_per_trace_ns)
    )
}
