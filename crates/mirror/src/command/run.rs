//! `mirror run`: runs an experiment file and writes its report.

mod group;
mod interrupts;
mod manifest;
mod outcome;
mod profile;
mod single;
mod site;

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
pub(super) use self::site::Pods;
use self::site::Site;
use super::check::{Overrides, missing_runs, show};
use super::{Misuse, RUNS, RunsDir, Status, report, terminal};
use crate::expectations;

/// Job type of a run, unless another one is named.
const JOB_TYPE: &str = "default";

/// Log filter of the nodes, unless another one is named.
const LOG: &str = "info";

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
    /// Starts the nodes at agents on other machines, which this file names
    ///
    /// The file is YAML. `credentials` is a folder with the certificates that `mirror agents certificates` has created.
    /// `address` is the IP address at which agents and nodes reach this machine. Each entry of `agents` has the
    /// `address` of a `mirror-agent` and the names of the `nodes` that it may run, such as `subtensor` or `miner*`.
    #[arg(long, value_name = "FILE")]
    agents: Option<PathBuf>,
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
    #[arg(long, default_value = JOB_TYPE, value_name = "WORD")]
    job_type: String,
    /// Notes, recorded in the manifest
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Log filter of the nodes, in the syntax of tracing
    #[arg(long, default_value = LOG, value_name = "FILTER")]
    log: String,
}

impl StartArguments {
    /// Returns the arguments with which a file is run without further options.
    pub(super) fn of(file: PathBuf, overrides: Overrides) -> Self {
        Self {
            file,
            runs_dir: RunsDir {
                runs_dir: RUNS.into(),
            },
            overrides,
            agents: None,
            offline: false,
            resume: None,
            tags: Vec::new(),
            group: None,
            job_type: JOB_TYPE.to_owned(),
            notes: None,
            log: LOG.to_owned(),
        }
    }

    /// Returns the values of the settings on the command line.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.overrides.values()
    }

    /// Returns the experiment file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Loads the file and prints every problem in it. Returns `None` if one of them is an error.
    pub(super) fn load(&self) -> Option<Loaded> {
        load(self)
    }

    /// Returns the options for the coordinator of this experiment on another machine.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them names something on this machine.
    pub(super) fn for_another_machine(&self) -> anyhow::Result<Vec<String>> {
        for (option, is_set) in [
            ("--resume", self.resume.is_some()),
            ("--agents", self.agents.is_some()),
        ] {
            if is_set {
                let problem =
                    anyhow!("`{option}` names files of this machine, which a cluster does not have");
                return Err(Misuse::of(problem).into());
            }
        }
        let mut words = self.overrides.words();
        if self.offline {
            words.push("--offline".to_owned());
        }
        for tag in &self.tags {
            words.push(format!("--tag={tag}"));
        }
        if let Some(group) = &self.group {
            words.push(format!("--group={group}"));
        }
        if let Some(notes) = &self.notes {
            words.push(format!("--notes={notes}"));
        }
        if self.job_type != JOB_TYPE {
            words.push(format!("--job-type={}", self.job_type));
        }
        if self.log != LOG {
            words.push(format!("--log={}", self.log));
        }
        Ok(words)
    }

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
        (Some(_), Some(_), _) => {
            let site = Site::of(start)?;
            run_network(arguments, &loaded, site, Ends::WithQueries, |_| Ok(()))
        }
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

/// Runs an experiment in the pods of a cluster, from the pod of its coordinator.
pub(super) fn in_pods(start: StartArguments, loaded: &Loaded, pods: Pods) -> anyhow::Result<Status> {
    let arguments = RunArguments {
        start,
        json: false,
        wide: true,
        profile: false,
    };
    run_network(
        &arguments,
        loaded,
        Site::Pods(pods),
        Ends::WithQueries,
        |_| Ok(()),
    )
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
        let site = Site::of(&arguments.start)?;
        return run_network(&arguments, &loaded, site, Ends::OnRequest, created);
    };
    Err(Misuse::of(anyhow!("{} {problem}", start.file.display())).into())
}

/// Runs an experiment, or the group of its replicates one after another.
fn run_network(
    arguments: &RunArguments,
    loaded: &Loaded,
    site: Site,
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
        site,
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
