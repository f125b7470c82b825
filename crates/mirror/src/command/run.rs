//! `mirror run`: an experiment from its file to its report.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use mirror_analysis::{RunData, Summary, write_report};
use mirror_cluster::local::LocalProcesses;
use mirror_config::Loaded;
use mirror_config::experiment::{Experiment, Model};
use mirror_runs::{Ended, Layout, NewRun, Recorder, Run, RunDirectory};
use tokio_util::sync::CancellationToken;

use super::check::{Overrides, show};
use super::{Misuse, RunsDir, Status, place, report};
use crate::coordinator::{self, Finished, Network, Options, Prepared, base_of, roles};

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
        (Some(model), Some(_), _) => run_network(arguments, &loaded, model),
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

fn run_network(arguments: &RunArguments, loaded: &Loaded, model: &Model) -> anyhow::Result<Status> {
    mirror_telemetry::init("warn")?;
    let binaries = place::binaries()?;
    let network = if arguments.offline {
        Network::Forbidden
    } else {
        Network::Allowed
    };
    let mut data = coordinator::prepare(
        &loaded.experiment,
        model,
        base_of(&arguments.file),
        &arguments.runs_dir.runs_dir,
        network,
    )
    .map_err(Misuse::of)?;
    if let Some(resume) = &arguments.resume {
        data.resume = checkpoints(arguments, resume, loaded.experiment.network.validators)?;
    }
    if !arguments.json {
        data.origins.iter().for_each(|origin| eprintln!("{origin}"));
    }
    let run = RunDirectory::create(&arguments.runs_dir.runs_dir, &new_run(arguments, loaded))?;
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
        let finished = conduct(&loaded.experiment, model, data, run, binaries, options).await?;
        let its_layout = layout.clone();
        let summary = tokio::task::spawn_blocking(move || summarise(&its_layout)).await??;
        interrupts.abort();
        tell(arguments, &layout, &finished, &summary)?;
        Ok(if finished.reason.is_none() {
            Status::Done
        } else {
            Status::Failed
        })
    })
}

/// What the validators' gating models begin with.
fn checkpoints(arguments: &RunArguments, resume: &str, validators: u32) -> anyhow::Result<Vec<PathBuf>> {
    let file = Path::new(resume);
    let from = if file.is_file() {
        file.to_owned()
    } else {
        place::run(&arguments.runs_dir.runs_dir, resume)?
    };
    Ok(coordinator::resume::checkpoints(&from, validators).map_err(Misuse::of)?)
}

async fn conduct(
    experiment: &Experiment,
    model: &Model,
    data: Prepared,
    run: RunDirectory,
    binaries: mirror_cluster::local::Binaries,
    options: Options,
) -> anyhow::Result<Finished> {
    let (placement, exits) =
        LocalProcesses::new(binaries, run.layout().logs()).context("cannot start nodes")?;
    let recorder = Recorder::start(run, Recorder::SEGMENT_BYTES)?;
    coordinator::run(experiment, model, data, recorder, placement, exits, options).await
}

/// Writes the report of a run that has ended.
fn summarise(layout: &Layout) -> anyhow::Result<Summary> {
    let data = RunData::read(&Run::open(layout.root())?)?;
    let summary = Summary::of(&data, &roles::load(layout)?);
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

fn new_run(arguments: &RunArguments, loaded: &Loaded) -> NewRun {
    let experiment = &loaded.experiment;
    let name = experiment.model.as_ref().map(|model| model.id.clone());
    NewRun {
        experiment: stem(&arguments.file)
            .or(name)
            .unwrap_or_else(|| "experiment".to_owned()),
        experiment_yml: loaded.text.clone(),
        resolved_yml: experiment.to_yaml(),
        seed: experiment.seed,
        job_type: arguments.job_type.clone(),
        group: arguments.group.clone(),
        tags: arguments.tags.clone(),
        notes: arguments.notes.clone(),
        versions: BTreeMap::from([("mirror".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

fn stem(file: &Path) -> Option<String> {
    Some(file.file_stem()?.to_string_lossy().into_owned())
}

fn tell(
    arguments: &RunArguments,
    layout: &Layout,
    finished: &Finished,
    summary: &Summary,
) -> anyhow::Result<()> {
    let Finished {
        manifest,
        reason,
        never_came,
        ..
    } = finished;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let result = serde_json::json!({
            "run": manifest.id,
            "state": manifest.state,
            "reason": reason,
            "never_came": never_came,
            "folder": layout.root(),
            "report": layout.report(),
            "counts": manifest.counts,
        });
        serde_json::to_writer_pretty(&mut out, &result)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", summary.table())?;
    let totals = &summary.totals;
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
    writeln!(out, "run    {}", layout.root().display())?;
    writeln!(out, "report {}", layout.report().display())?;
    Ok(())
}
