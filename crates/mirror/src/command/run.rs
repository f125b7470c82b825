//! `mirror run`: an experiment from its file to its report.

mod group;
mod interrupts;
mod manifest;
mod outcome;
mod single;

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_config::Loaded;
use mirror_sql::Engine;

pub(super) use self::interrupts::watch_interrupts;
use self::single::RunContext;
use super::check::{Overrides, show};
use super::{Misuse, RunsDir, Status, place, report};
use crate::expectations;

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The experiment file
    file: PathBuf,
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(flatten)]
    overrides: Overrides,
    /// Fetches nothing: data must be on this machine
    #[arg(long)]
    offline: bool,
    /// Begins with trained gating models: a checkpoint, or the run that left them (an id or its beginning, `last`, a
    /// path)
    #[arg(long, value_name = "CHECKPOINT|RUN")]
    resume: Option<String>,
    /// A word to find the run by; may be given again
    #[arg(long = "tag", value_name = "WORD")]
    tags: Vec<String>,
    /// Runs that belong together
    #[arg(long)]
    group: Option<String>,
    /// What kind of work this is
    #[arg(long, default_value = "default")]
    job_type: String,
    /// In your words
    #[arg(long)]
    notes: Option<String>,
    /// What the nodes log, in tracing's syntax
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: String,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
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
    show(&loaded.warnings);
    let experiment = &loaded.experiment;
    match (&experiment.model, &experiment.query, &experiment.analysis) {
        (Some(_), Some(_), _) => run_network(arguments, &loaded),
        (_, None, Some(analysis)) => report::of_required(&arguments.runs_dir.runs_dir, &analysis.requires),
        _ => {
            eprintln!(
                "{} is valid but has nothing to run: it has neither a `model` with a `query` nor an `analysis` of an \
                 earlier run",
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
            let engine = Engine::find().context("the file has `expect`")?;
            let problems = expectations::problems(&engine, expected)?;
            if !problems.is_empty() {
                return Err(Misuse::of(anyhow!(problems.join("\n"))).into());
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
        outcome.print(arguments)?;
        Ok(outcome.status())
    }
}
