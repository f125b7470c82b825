//! `mirror run`: an experiment from its file to its report.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_analysis::{RunData, Summary, write_report};
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_config::Loaded;
use mirror_runs::expectations::Checked;
use mirror_runs::{Ended, Group, Layout, NewRun, Recorder, Run, RunDirectory};
use mirror_spec::{Expectation, Experiment, Model, Over};
use mirror_sql::Engine;
use tokio_util::sync::CancellationToken;

use super::check::{Overrides, show};
use super::{Misuse, RunsDir, Status, place, report};
use crate::expectations;
use mirror_coordinator::{Finished, Network, Options, Prepared, base_of};

/// Time between the second interrupt and the end of this program, whatever it is doing.
const LAST_CHANCE: Duration = Duration::from_secs(3);

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
    /// Begins with trained gating models: a checkpoint, or the run that left them (an id or its beginning, `last`, a path)
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
            let sections =
                "it has no `query` for validators to work through and no `analysis` of an earlier run";
            eprintln!(
                "{}: sound, and nothing to run: {sections}",
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
    let laboratory = Laboratory {
        arguments,
        loaded,
        binaries: place::binaries()?,
        sql,
    };
    if loaded.experiment.replicates > 1 {
        laboratory.run_group()
    } else {
        let group = arguments.group.as_deref();
        let ran = laboratory.run_one(&loaded.experiment, group, |_| true)?;
        ran.tell(arguments)?;
        Ok(ran.status())
    }
}

/// What the runs of a file have in common.
struct Laboratory<'a> {
    arguments: &'a RunArguments,
    loaded: &'a Loaded,
    binaries: Binaries,
    /// Decides the expectations; `None` where there are none.
    sql: Option<Engine>,
}

/// A run that has ended, looked at.
struct Ran {
    layout: Layout,
    finished: Finished,
    summary: Summary,
    expectations: Vec<Checked>,
}

impl Laboratory<'_> {
    /// Runs an experiment to its end, decides those expectations that are `asked` of it, and writes its report.
    fn run_one(
        &self,
        experiment: &Experiment,
        group: Option<&str>,
        asked: fn(&Expectation) -> bool,
    ) -> anyhow::Result<Ran> {
        let arguments = self.arguments;
        let model = experiment
            .model
            .as_ref()
            .context("there is nobody to ask: the file has no `model`")?;
        let network = if arguments.offline {
            Network::Forbidden
        } else {
            Network::Allowed
        };
        let mut data = mirror_coordinator::prepare(
            experiment,
            model,
            base_of(&arguments.file),
            &arguments.runs_dir.runs_dir,
            network,
        )
        .map_err(Misuse::of)?;
        if let Some(resume) = &arguments.resume {
            data.resume = checkpoints(arguments, resume, experiment.network.validators)?;
        }
        if !arguments.json {
            data.origins.iter().for_each(|origin| eprintln!("{origin}"));
        }
        let new = new_run(arguments, self.loaded, experiment, group);
        let run = RunDirectory::create(&arguments.runs_dir.runs_dir, &new)?;
        let layout = run.layout().clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (stop, now) = (CancellationToken::new(), CancellationToken::new());
            let interrupts = tokio::spawn(watch_interrupts(stop.clone(), now.clone()));
            let options = Options {
                log: arguments.log.clone(),
                stop,
                now,
                progress: !arguments.json,
            };
            let finished = conduct(experiment, model, data, run, self.binaries.clone(), options).await?;
            let (its_layout, sql) = (layout.clone(), self.sql.clone());
            let expected: Vec<Expectation> = experiment
                .expect
                .iter()
                .filter(|one| asked(one))
                .cloned()
                .collect();
            let last = move || -> anyhow::Result<_> {
                let checked = match sql {
                    Some(engine) => {
                        let runs = [its_layout.root().to_owned()];
                        expectations::decide(&engine, &expected, &runs, &its_layout)?
                    }
                    None => Vec::new(),
                };
                Ok((checked, summarise(&its_layout)?))
            };
            let (expectations, summary) = tokio::task::spawn_blocking(last).await??;
            interrupts.abort();
            Ok(Ran {
                layout,
                finished,
                summary,
                expectations,
            })
        })
    }

    /// Runs every replicate, then decides what is expected of all together.
    fn run_group(&self) -> anyhow::Result<Status> {
        let (arguments, experiment) = (self.arguments, &self.loaded.experiment);
        let runs_dir = &arguments.runs_dir.runs_dir;
        let name = name_of(arguments, experiment);
        let (group, layout) = Group::create(runs_dir, &name, experiment.replicates, experiment.seed)?;
        let mut runs = Vec::new();
        let mut all_done = true;
        for replica in experiment.replicas() {
            if !arguments.json {
                eprintln!(
                    "replicate {} of {}, seed {}",
                    runs.len() + 1,
                    experiment.replicates,
                    replica.seed
                );
            }
            let ran = self.run_one(&replica, Some(&group.id), |expected| expected.over == Over::Run)?;
            all_done &= ran.status() == Status::Done;
            if !arguments.json {
                ran.tell(arguments)?;
            }
            let interrupted = ran.finished.manifest.state == Ended::Interrupted.into();
            runs.push(ran);
            if interrupted {
                break;
            }
        }
        let folders: Vec<PathBuf> = runs.iter().map(|ran| ran.layout.root().to_owned()).collect();
        let of_group = experiment
            .expect
            .iter()
            .filter(|expected| expected.over == Over::Group);
        let checked = match &self.sql {
            Some(engine) => expectations::decide(engine, of_group, &folders, &layout)?,
            None => Vec::new(),
        };
        all_done &= expectations::all_held(&checked);
        report::write_group(&group, &layout, runs_dir)?;
        let mut out = std::io::stdout().lock();
        if arguments.json {
            let result = serde_json::json!({
                "group": group.id,
                "folder": layout.root(),
                "report": layout.report(),
                "expectations": checked,
                "runs": runs.iter().map(Ran::json).collect::<Vec<_>>(),
            });
            serde_json::to_writer_pretty(&mut out, &result)?;
            writeln!(out)?;
        } else {
            write!(out, "{}", expectations::in_words(&checked))?;
            writeln!(out, "group  {}", layout.root().display())?;
            writeln!(out, "report {}", layout.report().display())?;
        }
        Ok(if all_done { Status::Done } else { Status::Failed })
    }
}

/// What the validators' gating models begin with.
fn checkpoints(arguments: &RunArguments, resume: &str, validators: u32) -> anyhow::Result<Vec<PathBuf>> {
    let file = Path::new(resume);
    let from = if file.is_file() {
        file.to_owned()
    } else {
        place::run(&arguments.runs_dir.runs_dir, resume)?
    };
    Ok(mirror_coordinator::resume::checkpoints(&from, validators).map_err(Misuse::of)?)
}

async fn conduct(
    experiment: &Experiment,
    model: &Model,
    data: Prepared,
    run: RunDirectory,
    binaries: Binaries,
    options: Options,
) -> anyhow::Result<Finished> {
    let (placement, exits) =
        LocalProcesses::new(binaries, run.layout().logs()).context("cannot start nodes")?;
    let recorder = Recorder::start(run, Recorder::SEGMENT_BYTES)?;
    mirror_coordinator::run(experiment, model, data, recorder, placement, exits, options).await
}

/// Writes the report of a run that has ended.
fn summarise(layout: &Layout) -> anyhow::Result<Summary> {
    let data = RunData::read(&Run::open(layout.root())?)?;
    let summary = Summary::of(&data);
    write_report(&data, &summary, layout)?;
    Ok(summary)
}

/// The first Ctrl-C or SIGTERM ends the run in order, the second at once.
pub(super) async fn watch_interrupts(stop: CancellationToken, now: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let words = [
        (stop, "ending the run in order; once more ends it at once"),
        (now, "ending at once"),
    ];
    for (token, word) in words {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
        eprintln!("{word}");
        token.cancel();
    }
    // The nodes are being killed. What still goes on after that is the writing of tables and of the report.
    tokio::time::sleep(LAST_CHANCE).await;
    eprintln!("the run is left as it is; `mirror runs recover` makes its tables, `mirror report` its report");
    std::process::exit(1);
}

fn new_run(
    arguments: &RunArguments,
    loaded: &Loaded,
    experiment: &Experiment,
    group: Option<&str>,
) -> NewRun {
    NewRun {
        experiment: name_of(arguments, experiment),
        experiment_yml: loaded.text.clone(),
        resolved_yml: mirror_config::to_yaml(experiment),
        seed: experiment.seed,
        job_type: arguments.job_type.clone(),
        group: group.map(str::to_owned),
        tags: arguments.tags.clone(),
        notes: arguments.notes.clone(),
        versions: BTreeMap::from([("mirror".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

/// The file's name, or its model's.
fn name_of(arguments: &RunArguments, experiment: &Experiment) -> String {
    let stem = arguments
        .file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    stem.or_else(|| experiment.model.as_ref().map(|model| model.id.clone()))
        .unwrap_or_else(|| "experiment".to_owned())
}

impl Ran {
    fn status(&self) -> Status {
        if self.finished.reason.is_none() && expectations::all_held(&self.expectations) {
            Status::Done
        } else {
            Status::Failed
        }
    }

    fn json(&self) -> serde_json::Value {
        let manifest = &self.finished.manifest;
        serde_json::json!({
            "run": manifest.id,
            "state": manifest.state,
            "reason": self.finished.reason,
            "never_came": self.finished.never_came,
            "folder": self.layout.root(),
            "report": self.layout.report(),
            "counts": manifest.counts,
            "expectations": self.expectations,
        })
    }

    fn tell(&self, arguments: &RunArguments) -> anyhow::Result<()> {
        let Finished {
            manifest,
            reason,
            never_came,
            ..
        } = &self.finished;
        let mut out = std::io::stdout().lock();
        if arguments.json {
            serde_json::to_writer_pretty(&mut out, &self.json())?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(out, "{}", self.summary.table())?;
        let totals = &self.summary.totals;
        let rate = totals
            .step_rate()
            .map(|rate| format!(", {rate:.0} steps a second"))
            .unwrap_or_default();
        writeln!(out, "{} steps, {} events{rate}", totals.steps, totals.events)?;
        if let Some(reason) = reason {
            let word = if manifest.state == Ended::Interrupted.into() {
                "interrupted"
            } else {
                "failed"
            };
            eprintln!("the run {word}: {reason}");
        } else {
            for step in never_came {
                eprintln!("what the schedule has at step {step} did not happen: the step never came");
            }
        }
        write!(out, "{}", expectations::in_words(&self.expectations))?;
        writeln!(out, "run    {}", self.layout.root().display())?;
        writeln!(out, "report {}", self.layout.report().display())?;
        Ok(())
    }
}
