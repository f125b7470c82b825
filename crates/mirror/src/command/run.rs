//! `mirror run`: an experiment from its file to its report.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use mirror_analysis::{RunData, Summary, write_report};
use mirror_cluster::local::LocalProcesses;
use mirror_config::Loaded;
use mirror_config::experiment::{Experiment, Model};
use mirror_runs::{Ended, Layout, Manifest, NewRun, Recorder, Run, RunDirectory};
use tokio_util::sync::CancellationToken;

use super::check::{Overrides, show};
use super::{RunsDir, Status, place, report};
use crate::coordinator::{self, Network, Options, Prepared, base_of, standing};

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
    let planned: Vec<String> = experiment.model.iter().flat_map(Model::planned).collect();
    if experiment.query.is_some() && !planned.is_empty() {
        eprintln!(
            "{} cannot run in this version; `mirror components` lists those that can",
            planned.join(", ")
        );
        return Ok(Status::Misused);
    }
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

fn run_network(arguments: &RunArguments, loaded: &Loaded) -> anyhow::Result<Status> {
    mirror_telemetry::init("warn")?;
    let binaries = place::binaries()?;
    let network = if arguments.offline {
        Network::Forbidden
    } else {
        Network::Allowed
    };
    let data = coordinator::prepare(
        &loaded.experiment,
        base_of(&arguments.file),
        &arguments.runs_dir.runs_dir,
        network,
    )?;
    if !arguments.json {
        data.origins.iter().for_each(|origin| eprintln!("{origin}"));
    }
    let run = RunDirectory::create(&arguments.runs_dir.runs_dir, &new_run(arguments, loaded))?;
    let layout = run.layout().clone();
    let finished = conduct(arguments, &loaded.experiment, data, run, binaries)?;
    standing::save(&finished.standings, &layout)?;
    let run = Run::open(layout.root())?;
    let run_data = RunData::read(&run)?;
    let summary = Summary::of(&run_data, &finished.standings);
    write_report(&run_data, &summary, &layout)?;
    tell(
        arguments,
        &layout,
        &finished.manifest,
        finished.reason.as_deref(),
        &summary,
    )?;
    Ok(if finished.reason.is_none() {
        Status::Done
    } else {
        Status::Failed
    })
}

fn conduct(
    arguments: &RunArguments,
    experiment: &Experiment,
    data: Prepared,
    run: RunDirectory,
    binaries: mirror_cluster::local::Binaries,
) -> anyhow::Result<coordinator::Finished> {
    let Some(model) = &experiment.model else {
        bail!("the experiment has no model")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (placement, exits) =
            LocalProcesses::new(binaries, run.layout().logs()).context("cannot start nodes")?;
        let recorder = Recorder::start(run, Recorder::SEGMENT_BYTES)?;
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        let interrupts = tokio::spawn(watch_interrupts(stop.clone(), now.clone()));
        let options = Options {
            log: arguments.log.clone(),
            stop,
            now,
            progress: !arguments.json,
        };
        let finished = coordinator::run(experiment, model, data, recorder, placement, exits, options).await;
        interrupts.abort();
        finished
    })
}

/// The first Ctrl-C or SIGTERM ends the run in order, the second at once.
async fn watch_interrupts(stop: CancellationToken, now: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    for (token, word) in [
        (stop, "ending the run in order; once more ends it at once"),
        (now, "ending at once"),
    ] {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
        eprintln!("{word}");
        token.cancel();
    }
    Ok(())
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
    manifest: &Manifest,
    reason: Option<&str>,
    summary: &Summary,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let result = serde_json::json!({
            "run": manifest.id,
            "state": manifest.state,
            "reason": reason,
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
    }
    writeln!(out, "run    {}", layout.root().display())?;
    writeln!(out, "report {}", layout.report().display())?;
    Ok(())
}
