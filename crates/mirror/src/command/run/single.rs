//! One run of an experiment: prepared, executed, decided and reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use mirror_analysis::{Report, Summary};
use mirror_config::{Loaded, Problem};
use mirror_coordinator::{Ends, Network, Options, ReadFault, base_of, fault_with_traces, with_traces};
use mirror_output::message;
use mirror_profile::Profiler;
use mirror_runs::{Layout, Run, RunDirectory};
use mirror_spec::{Expectation, Experiment};
use mirror_sql::Engine;
use tokio_util::sync::CancellationToken;

use super::super::{Misuse, place, report};
use super::manifest::new_run;
use super::outcome::RunOutcome;
use super::profile;
use super::site::Site;
use super::{RunArguments, StartArguments, watch_interrupts};
use crate::expectations;

/// The context that all runs of a file share.
pub(super) struct RunContext<'a> {
    pub(super) arguments: &'a RunArguments,
    pub(super) loaded: &'a Loaded,
    pub(super) site: Site,
    /// The engine that decides the expectations. `None` if there are none.
    pub(super) sql: Option<Engine>,
    pub(super) ends: Ends,
    /// Called once the folder of a run exists.
    pub(super) created: fn(&Layout) -> anyhow::Result<()>,
    /// The profiler of this process. `None` if it is not profiled.
    pub(super) profiler: Option<Profiler>,
}

impl RunContext<'_> {
    /// Runs an experiment to its end, decides the expectations that `is_asked` selects, and writes the report.
    pub(super) fn run_one(
        &self,
        experiment: &Experiment,
        group: Option<&str>,
        is_asked: fn(&Expectation) -> bool,
    ) -> anyhow::Result<RunOutcome> {
        let (arguments, start) = (self.arguments, &self.arguments.start);
        let experiment = &with_traces(experiment, base_of(&start.file)).map_err(Misuse::of)?;
        let model = experiment
            .model
            .as_ref()
            .context("the file has no `model`, so the run has no miners")?;
        let network = if start.offline {
            Network::Forbidden
        } else {
            Network::Allowed
        };
        let mut data =
            mirror_coordinator::prepare(experiment, model, base_of(&start.file), start.runs_dir(), network)
                .map_err(Misuse::of)?;
        if let Some(resume) = &start.resume {
            data.resume = checkpoints(start, resume, experiment.network.validators)?;
        }
        // The replicates of a group have the same data.
        let is_first = group.is_none() || experiment.seed == self.loaded.experiment.seed;
        if !arguments.json && is_first {
            data.origins.iter().for_each(|origin| message!("{origin}"));
        }
        let new = new_run(start, self.loaded, experiment, group);
        let run = RunDirectory::create(start.runs_dir(), &new)?;
        let layout = run.layout().clone();
        (self.created)(&layout)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (stop, now) = (CancellationToken::new(), CancellationToken::new());
            let interrupts = tokio::spawn(watch_interrupts(stop.clone(), now.clone()));
            let options = Options {
                authority: self.site.authority()?,
                log: start.log.clone(),
                stop,
                now,
                progress: !arguments.json,
                read_fault: read_fault(self.loaded, base_of(&start.file)),
                ends: self.ends,
                profiles: arguments.profile.then(|| layout.profiles()),
            };
            let recording = self
                .profiler
                .as_ref()
                .and_then(|profiler| profile::start(profiler, &layout));
            let finished = Box::pin(self.site.execute(experiment, model, data, run, options)).await;
            // The report links to the profile.
            recording.into_iter().for_each(profile::finish);
            let finished = finished?;
            let (its_layout, sql) = (layout.clone(), self.sql.clone());
            let expected: Vec<Expectation> = experiment
                .expect
                .iter()
                .filter(|one| is_asked(one))
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
            let (expectations, (report, summary)) = tokio::task::spawn_blocking(last).await??;
            interrupts.abort();
            Ok(RunOutcome {
                layout,
                finished,
                report,
                summary,
                expectations,
            })
        })
    }
}

/// Returns the reader of faults that a person adds to the network of a file.
fn read_fault(loaded: &Loaded, base: &Path) -> ReadFault {
    let (loaded, base) = (loaded.clone(), base.to_owned());
    let in_words = |problem: Problem| match problem.help {
        Some(help) => format!("{} ({help})", problem.message),
        None => problem.message,
    };
    Arc::new(move |text| match loaded.fault(text) {
        Ok((fault, warnings)) => {
            let fault = fault_with_traces(fault, &base)?;
            Ok((fault, warnings.into_iter().map(in_words).collect()))
        }
        Err(problems) => {
            let problems: Vec<String> = problems.into_iter().map(in_words).collect();
            Err(problems.join("; "))
        }
    })
}

/// Returns the checkpoints from which the validators' gating models start.
fn checkpoints(start: &StartArguments, resume: &str, validators: u32) -> anyhow::Result<Vec<PathBuf>> {
    let file = Path::new(resume);
    let from = if file.is_file() {
        file.to_owned()
    } else {
        place::run(start.runs_dir(), resume)?
    };
    Ok(mirror_coordinator::resume::checkpoints(&from, validators).map_err(Misuse::of)?)
}

/// Writes the report of a run that has ended.
fn summarise(layout: &Layout) -> anyhow::Result<(Report, Summary)> {
    let (report, summary) = report::of_run(&Run::open(layout.root())?, None)?;
    report.write(layout)?;
    Ok((report, summary))
}
