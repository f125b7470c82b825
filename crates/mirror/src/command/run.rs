//! `mirror run`: runs an experiment file and writes its report.

mod group;
mod interrupts;
mod manifest;
mod outcome;
mod profile;
mod single;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_config::Loaded;
use mirror_coordinator::{Ends, base_of};
use mirror_output::message;
use mirror_runs::{Group, Layout};
use mirror_spec::LogFormat;
use mirror_sql::Engine;

pub(super) use self::interrupts::watch_interrupts;
use self::single::RunContext;
use super::check::{Overrides, missing_runs, show};
use super::{Misuse, RunsDir, Status, place, report, terminal};
use crate::expectations;

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    start: StartArguments,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    /// Records where the processor time goes, as flame graphs
    ///
    /// The coordinator, the chain and each validator write `profiles/<process>.svg` in the folder of the run. Miners
    /// are not profiled, because there may be a thousand, nor is the proxy. A process that is killed leaves no flame
    /// graph.
    #[arg(long)]
    profile: bool,
}

/// The network to start and the names to record it by.
#[derive(Debug, Args)]
pub(super) struct StartArguments {
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
}

impl StartArguments {
    /// Returns the folder that contains the runs.
    pub(super) fn runs_dir(&self) -> &Path {
        &self.runs_dir.runs_dir
    }
}

fn group_name(name: &str) -> Result<String, String> {
    if Group::is_name(name) {
        Ok(name.to_owned())
    } else {
        Err("a group is the name of one folder: write it without `/`, and not `.` or `..`".to_owned())
    }
}

/// Loads the file and prints every problem in it. Returns `None` if one of them is an error.
fn load(start: &StartArguments) -> Option<Loaded> {
    let loaded = match start.overrides.load(&start.file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            show(&problems);
            message!("{problems}");
            return None;
        }
    };
    let missing = missing_runs(&loaded.experiment, start.runs_dir(), base_of(&start.file));
    if !missing.is_empty() {
        show(&loaded.with_errors(&missing));
        return None;
    }
    show(&loaded.warnings);
    Some(loaded)
}

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<Status> {
    let start = &arguments.start;
    let Some(loaded) = load(start) else {
        return Ok(Status::Misused);
    };
    let (experiment, runs_dir, base) = (&loaded.experiment, start.runs_dir(), base_of(&start.file));
    let runs_a_network = experiment.model.is_some() && experiment.query.is_some();
    if arguments.profile && !runs_a_network {
        message!("warning: `--profile` has no effect: the file has no `model` with a `query` to run");
    }
    match (&experiment.model, &experiment.query, &experiment.analysis) {
        (Some(_), Some(_), _) => run_network(arguments, &loaded, Ends::WithQueries, |_| Ok(())),
        (_, None, Some(analysis)) => report::of_required(runs_dir, base, analysis, arguments.json),
        _ => {
            message!(
                "{} is valid but has nothing to run: add `model` and `query` to run a network, or `analysis` with \
                 `requires` to report on earlier runs (`mirror up` keeps a network without `query` running)",
                start.file.display()
            );
            Ok(Status::Done)
        }
    }
}

/// Runs the network of a file until a person shuts it down. Calls `created` once the folder of the run exists.
pub(super) fn stand(
    start: StartArguments,
    created: fn(&Layout) -> anyhow::Result<()>,
) -> anyhow::Result<Status> {
    let Some(loaded) = load(&start) else {
        return Ok(Status::Misused);
    };
    let problem = if loaded.experiment.model.is_none() {
        "has no network to start: add `model`"
    } else if loaded.experiment.replicates > 1 {
        "has several replicates, and `mirror up` starts one network: add `--set replicates=1`"
    } else {
        let arguments = RunArguments {
            start,
            json: false,
            wide: false,
            profile: false,
        };
        return run_network(&arguments, &loaded, Ends::OnRequest, created);
    };
    Err(Misuse::of(anyhow!("{} {problem}", start.file.display())).into())
}

/// Runs an experiment, or the group of its replicates one after another.
fn run_network(
    arguments: &RunArguments,
    loaded: &Loaded,
    ends: Ends,
    created: fn(&Layout) -> anyhow::Result<()>,
) -> anyhow::Result<Status> {
    mirror_telemetry::init("warn", LogFormat::Pretty, None)?;
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
        ends,
        created,
        profiler: arguments.profile.then(profile::profiler).flatten(),
    };
    if loaded.experiment.replicates > 1 {
        context.run_group()
    } else {
        let group = arguments.start.group.as_deref();
        let outcome = context.run_one(&loaded.experiment, group, |_| true)?;
        terminal::unless_closed(outcome.print(arguments))?;
        Ok(outcome.status())
    }
}
