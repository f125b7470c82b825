//! `mirror runs diff`: compares two runs, or the runs of two groups.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::anyhow;
use mirror_runs::{Difference, Found, FoundGroup, Run, Verdict, diff};
use serde_json::{Value, json};

use super::super::{Misuse, Status};

/// Number of differences of each kind that are printed.
const SHOWN: usize = 20;

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

/// Compares two runs or two groups, and prints the result.
///
/// # Errors
/// Returns an error if a run cannot be read, or if one is a run and the other a group.
pub(super) fn compare(first: &Found, second: &Found, format: Format) -> anyhow::Result<Status> {
    match (first, second) {
        (Found::Run(first), Found::Run(second)) => {
            let (first, second) = (Run::open(first)?, Run::open(second)?);
            let difference = diff(&first, &second, SHOWN)?;
            match format {
                Format::Text => print(&difference)?,
                Format::Json => print_json(&as_json(&first, &second, &difference)?)?,
            }
            Ok(status(&difference))
        }
        (Found::Group(first), Found::Group(second)) => compare_groups(first, second, format),
        (Found::Run(_), Found::Group(_)) | (Found::Group(_), Found::Run(_)) => {
            Err(Misuse::of(anyhow!("a run cannot be compared with a group")).into())
        }
    }
}

/// Compares the runs of two groups with the same random seed. Runs without a counterpart are a difference.
fn compare_groups(first: &FoundGroup, second: &FoundGroup, format: Format) -> anyhow::Result<Status> {
    let by_seed = |found: &FoundGroup| -> anyhow::Result<BTreeMap<u64, Run>> {
        let runs = found.runs.iter().map(|path| {
            let run = Run::open(path)?;
            Ok((run.manifest().seed, run))
        });
        runs.collect()
    };
    let (mut first, mut second) = (by_seed(first)?, by_seed(second)?);
    let seeds: BTreeSet<u64> = first.keys().chain(second.keys()).copied().collect();
    let mut whole = Status::Done;
    let mut compared = Vec::new();
    for seed in seeds {
        let (first, second) = match (first.remove(&seed), second.remove(&seed)) {
            (Some(first), Some(second)) => (first, second),
            (only_first, _) => {
                let which = if only_first.is_some() { "first" } else { "second" };
                match format {
                    Format::Text => writeln!(
                        std::io::stdout(),
                        "seed {seed}: only the {which} group has this run"
                    )?,
                    Format::Json => compared.push(json!({"seed": seed, "only": which})),
                }
                whole = Status::Failed;
                continue;
            }
        };
        let difference = diff(&first, &second, SHOWN)?;
        match format {
            Format::Text => {
                writeln!(std::io::stdout(), "seed {seed}")?;
                print(&difference)?;
            }
            Format::Json => {
                let mut object = as_json(&first, &second, &difference)?;
                object["seed"] = seed.into();
                compared.push(object);
            }
        }
        whole = whole.or(status(&difference));
    }
    if format == Format::Json {
        print_json(&compared.into())?;
    }
    Ok(whole)
}

fn status(difference: &Difference) -> Status {
    match difference.verdict() {
        Verdict::Same | Verdict::SameButForTiming => Status::Done,
        Verdict::Different => Status::Failed,
    }
}

/// Returns the comparison as an object, with the ids of the runs and the verdict.
fn as_json(first: &Run, second: &Run, difference: &Difference) -> anyhow::Result<Value> {
    let mut object = serde_json::to_value(difference)?;
    object["runs"] = json!([first.manifest().id, second.manifest().id]);
    object["verdict"] = serde_json::to_value(difference.verdict())?;
    Ok(object)
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

fn print(difference: &Difference) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (table, rows) in &difference.compared {
        writeln!(out, "{rows:>10} {table} in both")?;
    }
    let (in_first, in_second) = difference.timing_dependent_calls;
    writeln!(
        out,
        "calls lost to this machine's load or to a fault by the clock (`timing_dependent`): {in_first} in the first \
         run, {in_second} in the second"
    )?;
    for call in &difference.timing_dependent.first {
        writeln!(out, "  {call}")?;
    }
    if difference.excused.total > 0 {
        writeln!(
            out,
            "{} differences result from the time of calls or faults",
            difference.excused.total
        )?;
    }
    if let Some(parting) = &difference.parting {
        writeln!(out, "{parting}")?;
    }
    for divergence in &difference.divergences.first {
        writeln!(out, "  {divergence}")?;
    }
    let word = match difference.verdict() {
        Verdict::Same => "the same events",
        Verdict::SameButForTiming => "the same events, except for the differences that result from time",
        Verdict::Different => "different",
    };
    match difference.divergences.total {
        0 => writeln!(out, "{word}"),
        total => writeln!(out, "{word}: {total} differences"),
    }
}
