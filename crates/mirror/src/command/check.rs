//! `mirror check`: reports every problem of an experiment file, and of the data, models and runs that it names if they
//! are on this machine.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use mirror_config::{Loaded, Problems, did_you_mean, load_with};
use mirror_coordinator::{LocalInputs, base_of};
use mirror_event_log::NameError;
use mirror_output::message;
use mirror_runs::Run;
use mirror_spec::{Expectation, Experiment, Method, ValueError};
use mirror_sql::Engine;
use serde::Serialize;

use super::report::{self, Required};
use super::{Misuse, RunsDir, Status};
use crate::expectations;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Path of the experiment file
    file: PathBuf,
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(flatten)]
    overrides: Overrides,
    /// Prints the problems as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Overrides {
    /// Sets a value of the file, such as `query.method.args.max_iter=50`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

impl Overrides {
    /// Returns the options as they are written on a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let words = self
            .settings
            .iter()
            .map(|(path, value)| format!("--set={path}={value}"));
        words.collect()
    }

    /// Returns the values of the settings.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|(_, value)| &**value)
    }

    /// Reads the file, applies the settings and checks the result.
    ///
    /// # Errors
    /// Returns every problem of the file if one of them is an error.
    pub(super) fn load(&self, file: &std::path::Path) -> Result<Loaded, Problems> {
        load_with(file, &self.settings)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (path, value) = text
        .split_once('=')
        .ok_or("expected PATH=VALUE, such as network.validators=3")?;
    Ok((path.to_owned(), value.to_owned()))
}

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<Status> {
    let loaded = match arguments.overrides.load(&arguments.file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let not_checked = Vec::new();
            Checked {
                problems,
                not_checked,
            }
            .print(arguments.json)?;
            return Ok(Status::Misused);
        }
    };
    let experiment = &loaded.experiment;
    let looked = mirror_coordinator::find_local(experiment, base_of(&arguments.file));
    let mut not_checked = looked.unseen.clone();
    let mut errors = looked.problems.clone();
    errors.extend(missing_runs(
        experiment,
        &arguments.runs_dir.runs_dir,
        base_of(&arguments.file),
    ));
    errors.extend(check_expectations(&experiment.expect, &mut not_checked)?);
    let checked = Checked {
        problems: loaded.with_errors(&errors),
        not_checked,
    };
    checked.print(arguments.json)?;
    if checked.problems.has_errors() {
        return Ok(Status::Misused);
    }
    if !arguments.json {
        let file = arguments.file.display();
        writeln!(
            std::io::stdout(),
            "{file} is valid: {}",
            summary(experiment, &looked, base_of(&arguments.file))
        )?;
    }
    Ok(Status::Done)
}

/// The outcome of a check, as `--json` prints it.
#[derive(Serialize)]
struct Checked {
    #[serde(flatten)]
    problems: Problems,
    /// Description of each item that could not be checked.
    not_checked: Vec<String>,
}

impl Checked {
    fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, self)?;
            writeln!(out)?;
            return Ok(());
        }
        show(&self.problems);
        for what in &self.not_checked {
            message!("not checked: {what}");
        }
        Ok(())
    }
}

/// Checks the SQL of the expectations, with its tables and columns, if DuckDB is installed. Otherwise, adds it to
/// `not_checked`.
fn check_expectations(
    expected: &[Expectation],
    not_checked: &mut Vec<String>,
) -> anyhow::Result<Vec<ValueError>> {
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    match Engine::find() {
        Ok(engine) => expectations::problems(&engine, expected),
        Err(error) => {
            not_checked.push(format!("the SQL of `expect`: {error}"));
            Ok(Vec::new())
        }
    }
}

/// Returns an error for each run in `analysis.requires` that cannot be read, and for each event log that does not exist
/// or cannot be opened. Returns none if the file has a query, because the analysis then does not read them.
pub(super) fn missing_runs(experiment: &Experiment, runs_dir: &Path, base: &Path) -> Vec<ValueError> {
    let (None, Some(analysis)) = (&experiment.query, &experiment.analysis) else {
        return Vec::new();
    };
    let open = |name: &String| -> anyhow::Result<()> {
        match report::required(runs_dir, base, name)? {
            Required::Run(path) => drop(Run::open(path)?),
            Required::Logs(logs) => {
                for file in logs.files {
                    File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
                }
            }
        }
        Ok(())
    };
    let failed = |(index, name): (usize, &String)| {
        let error = open(name).err()?;
        let mut ids = report::query_ids(runs_dir).unwrap_or_default();
        let cause = error.downcast_ref().map(|Misuse(cause)| cause);
        if let Some(NameError::Missing { others, .. }) = cause.and_then(|cause| cause.downcast_ref()) {
            ids.extend_from_slice(others);
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let help = did_you_mean(name, &ids);
        Some(ValueError {
            path: ["analysis", "requires", &index.to_string()]
                .map(str::to_owned)
                .into(),
            message: format!("`{name}` in `analysis.requires`: {error:#}"),
            help: help.unwrap_or_else(|| {
                "name the id of a query that was run, the id or the path of a run, or an event log; `mirror runs list` lists \
                 the runs"
                    .to_owned()
            }),
        })
    };
    analysis.requires.iter().enumerate().filter_map(failed).collect()
}

/// Returns the size of a run of the experiment: `2 validators, 16 miners, 100 steps`.
fn summary(experiment: &Experiment, looked: &LocalInputs, base: &Path) -> String {
    let mut parts: Vec<(u64, &str)> = Vec::new();
    if experiment.model.is_some() {
        parts.push((experiment.network.validators.into(), "validator"));
        parts.extend(looked.miners.map(|miners| (miners as u64, "miner")));
    }
    let questions = looked.questions.map(|questions| questions as u64);
    match &experiment.query {
        Some(query) => {
            let steps = match &query.method {
                Method::Train(args) => Some(args.max_iter),
                Method::Forward(_) | Method::Inference(_) => {
                    questions.map(|questions| questions.div_ceil(query.chunk_size.into()))
                }
            };
            parts.extend(steps.map(|steps| (steps, "step")));
        }
        None => parts.extend(questions.map(|questions| (questions, "question"))),
    }
    if experiment.replicates > 1 {
        parts.push((experiment.replicates.into(), "replicate"));
    }
    if !experiment.expect.is_empty() {
        parts.push((experiment.expect.len() as u64, "expectation"));
    }
    if let (None, Some(analysis)) = (&experiment.query, &experiment.analysis) {
        let is_log = |name: &&String| matches!(mirror_event_log::named(base, name), Ok(Some(_)));
        let logs = analysis.requires.iter().filter(is_log).count();
        let runs = analysis.requires.len() - logs;
        let counted = [(logs as u64, "event log"), (runs as u64, "earlier run")];
        parts.extend(counted.into_iter().filter(|(count, _)| *count > 0));
    }
    let plural = |count| if count == 1 { "" } else { "s" };
    let words = parts
        .into_iter()
        .map(|(count, what)| format!("{count} {what}{}", plural(count)));
    words.collect::<Vec<_>>().join(", ")
}

/// Prints problems to standard error: with graphics on a terminal, as plain text otherwise.
pub(super) fn show(problems: &Problems) {
    if problems.problems.is_empty() {
        return;
    }
    if std::io::stderr().is_terminal() {
        message!("{}", problems.graphical().trim_end());
    } else {
        message!("{}", problems.plain().trim_end());
    }
}
