//! The group of an experiment's replicates: each is run, then the expectations of all together are decided.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use mirror_analysis::Report;
use mirror_output::message;
use mirror_runs::expectations::Checked;
use mirror_runs::{Ended, FoundGroup, Group, Layout};
use mirror_spec::Over;

use super::super::{Status, report, terminal};
use super::manifest::name_of;
use super::outcome::RunOutcome;
use super::single::RunContext;
use crate::expectations;

impl RunContext<'_> {
    /// Runs every replicate, then decides the expectations of the group.
    pub(super) fn run_group(&self) -> anyhow::Result<Status> {
        let (arguments, experiment) = (self.arguments, &self.loaded.experiment);
        let runs_dir = arguments.start.runs_dir();
        let name = name_of(&arguments.start, experiment);
        let (group, layout) = Group::create(runs_dir, &name, experiment.replicates, experiment.seed)?;
        // The experiment with every setting of the command line, which repeats the group.
        let resolved = layout.resolved();
        mirror_files::replace(&resolved, mirror_config::to_yaml(experiment).as_bytes())
            .with_context(|| format!("cannot write {}", resolved.display()))?;
        let mut runs = Vec::new();
        let mut worst = Status::Done;
        for replica in experiment.replicas() {
            if !arguments.json {
                message!(
                    "replicate {} of {}, seed {}",
                    runs.len() + 1,
                    experiment.replicates,
                    replica.seed
                );
            }
            let outcome = self.run_one(&replica, Some(&group.id), |expected| expected.over == Over::Run)?;
            worst = worst.or(outcome.status());
            if !arguments.json {
                terminal::unless_closed(outcome.print_line())?;
            }
            let interrupted = outcome.finished.manifest.state == Ended::Interrupted.into();
            runs.push(outcome);
            if interrupted {
                break;
            }
        }
        let folders: Vec<PathBuf> = runs
            .iter()
            .map(|outcome| outcome.layout.root().to_owned())
            .collect();
        let of_group = experiment
            .expect
            .iter()
            .filter(|expected| expected.over == Over::Group);
        let checked = match &self.sql {
            Some(engine) => expectations::decide(engine, of_group, &folders, &layout)?,
            None => Vec::new(),
        };
        if !expectations::all_held(&checked) {
            worst = worst.or(Status::Unexpected);
        }
        let found = FoundGroup {
            group: group.clone(),
            layout: layout.clone(),
            runs: folders,
        };
        let report = report::of_group(&found)?;
        report.write(&layout)?;
        let printed = if arguments.json {
            print_json(&group, &layout, &checked, &runs)
        } else {
            print(&report, &layout, &checked, terminal::width(arguments.wide))
        };
        terminal::unless_closed(printed)?;
        Ok(worst)
    }
}

fn print_json(
    group: &Group,
    layout: &Layout,
    checked: &[Checked],
    runs: &[RunOutcome],
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let result = serde_json::json!({
        "group": group.id,
        "folder": layout.root(),
        "report": layout.report(),
        "expectations": checked,
        "runs": runs.iter().map(RunOutcome::json).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut out, &result)?;
    writeln!(out)?;
    Ok(())
}

fn print(report: &Report, layout: &Layout, checked: &[Checked], width: usize) -> anyhow::Result<()> {
    if let Some(groups) = report.groups_for_terminal(width) {
        writeln!(std::io::stdout(), "\n{groups}\n")?;
    }
    report::print_sentences(report)?;
    expectations::print(checked)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "group  {}", layout.root().display())?;
    writeln!(out, "report {}", layout.report().display())?;
    Ok(())
}
