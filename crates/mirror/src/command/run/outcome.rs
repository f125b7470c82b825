//! The outcome of a run: its exit status and its printed form.

use std::io::{self, Write};

use mirror_analysis::{Report, Summary};
use mirror_coordinator::Finished;
use mirror_output::message;
use mirror_runs::expectations::Checked;
use mirror_runs::{Ended, Layout};

use super::super::{Status, report, terminal};
use super::RunArguments;
use super::profile;
use crate::expectations;

/// A run that has ended, with its summary and its decided expectations.
pub(super) struct RunOutcome {
    pub(super) layout: Layout,
    pub(super) finished: Finished,
    pub(super) report: Report,
    pub(super) summary: Summary,
    pub(super) expectations: Vec<Checked>,
}

impl RunOutcome {
    pub(super) fn status(&self) -> Status {
        if self.finished.reason.is_some() {
            Status::Failed
        } else if expectations::all_held(&self.expectations) {
            Status::Done
        } else {
            Status::Unexpected
        }
    }

    /// The outcome as `--json` prints it.
    pub(super) fn json(&self) -> serde_json::Value {
        let manifest = &self.finished.manifest;
        serde_json::json!({
            "run": manifest.id,
            "state": manifest.state,
            "reason": self.finished.reason,
            "unreached_faults": self.finished.unreached_faults,
            "folder": self.layout.root(),
            "report": self.layout.report(),
            "profiles": self.report.profiles(),
            "counts": manifest.counts,
            "sentences": self.report.sentences(),
            "groups": self.report.groups(),
            "expectations": self.expectations,
        })
    }

    /// Prints the outcome of a replicate in one line, and below it the reason of a failure and the expectations that
    /// did not hold.
    pub(super) fn print_line(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let manifest = &self.finished.manifest;
        let totals = &self.summary.totals;
        let success = totals.success_rate().unwrap_or(0.0) * 100.0;
        let reward = totals
            .mean_reward
            .map_or_else(String::new, |reward| format!(", mean reward {reward:.3}"));
        writeln!(
            out,
            "seed {}: {} steps, {} events, {success:.1}% of calls successful{reward}  {}",
            manifest.seed, totals.steps, totals.events, manifest.id
        )?;
        drop(out);
        self.print_problems();
        let broken: Vec<Checked> = self
            .expectations
            .iter()
            .filter(|one| !one.decision.held())
            .cloned()
            .collect();
        expectations::print(&broken)?;
        Ok(self.print_profiles()?)
    }

    /// Prints the reason of a failure, or the faults that never fired.
    fn print_problems(&self) {
        let Finished {
            manifest,
            reason,
            unreached_faults,
            ..
        } = &self.finished;
        if let Some(reason) = reason {
            let word = if manifest.state == Ended::Interrupted.into() {
                "was interrupted"
            } else {
                "failed"
            };
            message!("error: the run {word}: {reason}");
        } else {
            for fault in unreached_faults {
                message!("warning: the fault `{fault}` never occurred: the run ended before it was due");
            }
        }
    }

    /// Prints the outcome.
    pub(super) fn print(&self, arguments: &RunArguments) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if arguments.json {
            serde_json::to_writer_pretty(&mut out, &self.json())?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(out, "{}", self.summary.table(terminal::width(arguments.wide)))?;
        let totals = &self.summary.totals;
        let rate = totals
            .step_rate()
            .map(|rate| format!(", {rate:.0} steps a second"))
            .unwrap_or_default();
        let counted = |number: u64, thing: &str| {
            let ending = if number == 1 { "" } else { "s" };
            format!("{number} {thing}{ending}")
        };
        writeln!(
            out,
            "{}, {}{rate}",
            counted(totals.steps, "step"),
            counted(totals.events, "event")
        )?;
        drop(out);
        self.print_problems();
        report::print_sentences(&self.report)?;
        expectations::print(&self.expectations)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "run    {}", self.layout.root().display())?;
        writeln!(out, "report {}", self.layout.report().display())?;
        drop(out);
        Ok(self.print_profiles()?)
    }

    fn print_profiles(&self) -> io::Result<()> {
        match self.report.profiles() {
            Some(profiles) => profile::print(profiles, &self.layout),
            None => Ok(()),
        }
    }
}
