//! `mirror run`: runs an experiment file and writes its report.

mod group;
mod interrupts;
mod manifest;
mod outcome;
mod single;

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_config::Loaded;
use mirror_coordinator::base_of;
use mirror_runs::Group;
use mirror_sql::Engine;

pub(super) use self::interrupts::watch_interrupts;
use self::single::RunContext;
use super::check::{Overrides, missing_runs, show};
use super::{Misuse, RunsDir, Status, place, report, terminal};
use crate::expectations;

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The experiment file
    file: PathBuf,
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(flatten)]
    overrides: Overrides,
    /// Downloads nothing: data and models must be on this machine
    #[arg(long)]
    offline: bool,
    /// Starts from trained gating models: a checkpoint file, or a run that saved some
    #[arg(long, value_name = "CHECKPOINT|RUN")]
    resume: Option<String>,
    /// Tag of the run; repeat the option for several
    #[arg(long = "tag", value_name = "WORD")]
    tags: Vec<String>,
    /// Name of the group that the run belongs to
    #[arg(long, value_name = "NAME", value_parser = group_name)]
    group: Option<String>,
    /// Job type, recorded in the manifest
    #[arg(long, default_value = "default", value_name = "WORD")]
    job_type: String,
    /// Notes, recorded in the manifest
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Log filter of the nodes, in the syntax of tracing
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: String,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

fn group_name(name: &str) -> Result<String, String> {
    if Group::is_name(name) {
        Ok(name.to_owned())
    } else {
        Err("a group is the name of one folder: write it without `/`, and not `.` or `..`".to_owned())
    }
}

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<Status> {
    let loaded = match arguments.overrides.load(&arguments.file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            show(&problems);
            eprintln!("{problems}");
            return Ok(Status::Misused);
        }
    };
    let experiment = &loaded.experiment;
    let (runs_dir, base) = (&arguments.runs_dir.runs_dir, base_of(&arguments.file));
    let missing = missing_runs(experiment, runs_dir, base);
    if !missing.is_empty() {
        show(&loaded.with_errors(&missing));
        return Ok(Status::Misused);
    }
    show(&loaded.warnings);
    match (&experiment.model, &experiment.query, &experiment.analysis) {
        (Some(_), Some(_), _) => run_network(arguments, &loaded),
        (_, None, Some(analysis)) => report::of_required(runs_dir, base, analysis, arguments.json),
        _ => {
            eprintln!(
                "{} is valid but has nothing to run: add `model` and `query` to run a network, or `analysis` with \
                 `requires` to report on earlier runs",
                arguments.file.display()
            );
            Ok(Status::Done)
        }
    }
}

/// Runs an experiment, or the group of its replicates one after another.
fn run_network(arguments: &RunArguments, loaded: &Loaded) -> anyhow::Result<Status> {
    mirror_telemetry::init("warn")?;
    let expected = &loaded.experiment.expect;
    let sql = match expected.as_slice() {
        [] => None,
        expected => {
            let engine = Engine::find().context("cannot decide the expectations in `expect`")?;
            let problems = expectations::problems(&engine, expected)?;
            if !problems.is_empty() {
                let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Err(Misuse::of(anyhow!(messages.join("\n"))).into());
            }
            Some(engine)
        }
    };
    let context = RunContext {
        arguments,
        loaded,
        binaries: place::binaries()?,
        sql,
    };
    if loaded.experiment.replicates > 1 {
        context.run_group()
    } else {
        let group = arguments.group.as_deref();
        let outcome = context.run_one(&loaded.experiment, group, |_| true)?;
        terminal::unless_closed(outcome.print(arguments))?;
        Ok(outcome.status())
    }
}
