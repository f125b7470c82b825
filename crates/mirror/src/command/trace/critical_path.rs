//! `mirror trace critical-path`: where the time of steps goes.

use std::cmp::Reverse;
use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use mirror_traces::{PathTotals, Selector, duration_text, traces};

use super::super::{Misuse, Status, terminal};

/// Number of uids that are printed as text.
const SHOWN_UIDS: usize = 10;

#[derive(Debug, Args)]
pub(super) struct CriticalPathArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Trace: an id or the start of one, `step:41`, or `validator-0/step:41`
    #[arg(required_unless_present = "all")]
    trace: Option<Selector>,
    /// Sums over the traces of all steps
    #[arg(long, conflicts_with = "trace")]
    all: bool,
    /// Prints the sums as JSON, with times in nanoseconds
    #[arg(long)]
    json: bool,
}

pub(super) fn critical_path(runs_dir: &Path, arguments: &CriticalPathArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let mut totals = PathTotals::default();
    let mut without_root = 0_u64;
    if let Some(selector) = &arguments.trace {
        let trace = super::find(&run, selector)?;
        let root = trace.root().ok_or_else(|| {
            Misuse::of(anyhow!(
                "the trace {} has no critical path: its root is missing",
                trace.id()
            ))
        })?;
        totals.add(&trace, root);
    } else {
        for trace in traces(&run)? {
            let trace = trace?;
            match trace.root() {
                Some(root) if trace.spans()[root].row.name == "step" => totals.add(&trace, root),
                Some(_) => {}
                None => without_root += 1,
            }
        }
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let mut value = serde_json::to_value(&totals)?;
        value["without_root"] = without_root.into();
        writeln!(out, "{value}")?;
        return Ok(Status::Done);
    }
    text(&totals, without_root, &mut out)?;
    Ok(Status::Done)
}

fn text(totals: &PathTotals, without_root: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let share = |time: u64| 100.0 * time as f64 / totals.total_ns.max(1) as f64;
    let duration = |time: u64| duration_text(i64::try_from(time).unwrap_or(i64::MAX));
    let traces = totals.traces;
    writeln!(out, "{traces} traces, {}", duration(totals.total_ns))?;
    if without_root > 0 {
        writeln!(
            out,
            "{without_root} further traces are left out because their roots are missing"
        )?;
    }
    writeln!(out, "\n{:12} {:>10} {:>7}", "phase", "time", "share")?;
    let mut phases: Vec<_> = totals.by_phase.iter().collect();
    phases.sort_by_key(|(_, time)| Reverse(**time));
    for (phase, time) in phases {
        writeln!(
            out,
            "{:12} {:>10} {:>6.1}%",
            phase.name(),
            duration(*time),
            share(*time)
        )?;
    }
    let mut uids: Vec<_> = totals.by_uid.iter().collect();
    uids.sort_by_key(|(_, uid)| Reverse((uid.could_save_ns, uid.on_path_ns)));
    if !uids.is_empty() {
        writeln!(
            out,
            "\n{:>6} {:>10} {:>7} {:>8} {:>13} {:>7}",
            "uid", "time", "share", "last in", "could be saved", "share"
        )?;
    }
    for (uid, sums) in uids.iter().take(SHOWN_UIDS) {
        writeln!(
            out,
            "{uid:>6} {:>10} {:>6.1}% {:>8} {:>14} {:>6.1}%",
            duration(sums.on_path_ns),
            share(sums.on_path_ns),
            sums.times_last,
            duration(sums.could_save_ns),
            share(sums.could_save_ns)
        )?;
    }
    if uids.len() > SHOWN_UIDS {
        writeln!(
            out,
            "{} further uids: `--json` prints all",
            uids.len() - SHOWN_UIDS
        )?;
    }
    let mut rules: Vec<_> = totals.by_rule.iter().collect();
    rules.sort_by_key(|(_, time)| Reverse(**time));
    if !rules.is_empty() {
        writeln!(out, "\ntime in spans that faults affected")?;
    }
    for (rule, time) in rules {
        let rule = terminal::printable(rule);
        writeln!(out, "{rule}: {}, {:.1}%", duration(*time), share(*time))?;
    }
    Ok(())
}
