//! `mirror check`: every problem of an experiment file, at once.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use mirror_config::{Loaded, Problem, Problems, Severity, load_with};
use mirror_spec::Expectation;
use mirror_sql::Engine;

use super::Status;
use crate::expectations;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The experiment file
    file: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Prints the problems as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Overrides {
    /// Sets a value of the file, as in `query.method.args.max_iter=50`; may be given again
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

impl Overrides {
    /// Reads the file, puts the settings into it and checks the result.
    pub(super) fn load(&self, file: &std::path::Path) -> Result<Loaded, Problems> {
        load_with(file, &self.settings)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (path, value) = text
        .split_once('=')
        .ok_or("expected PATH=VALUE, as in network.validators=3")?;
    Ok((path.to_owned(), value.to_owned()))
}

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<Status> {
    let (problems, status) = match arguments.overrides.load(&arguments.file) {
        Ok(loaded) => {
            let mut problems = loaded.warnings;
            problems
                .problems
                .extend(problems_of_expectations(&loaded.experiment.expect)?);
            let status = if problems.has_errors() {
                Status::Misused
            } else {
                Status::Done
            };
            (problems, status)
        }
        Err(problems) => (problems, Status::Misused),
    };
    if arguments.json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &problems)?;
        writeln!(out)?;
    } else {
        show(&problems);
        if status == Status::Done {
            writeln!(std::io::stdout(), "{}: sound", arguments.file.display())?;
        }
    }
    Ok(status)
}

/// What is wrong with the SQL of expectations, or that it was not parsed.
fn problems_of_expectations(expected: &[Expectation]) -> anyhow::Result<Vec<Problem>> {
    let problem = |severity, message| Problem {
        severity,
        message,
        place: None,
        help: None,
    };
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    let engine = match Engine::find() {
        Ok(engine) => engine,
        Err(error) => {
            let message = format!("the SQL of `expect` was not parsed: {error}");
            return Ok(vec![problem(Severity::Warning, message)]);
        }
    };
    let wrong = expectations::problems(&engine, expected)?;
    Ok(wrong
        .into_iter()
        .map(|message| problem(Severity::Error, message))
        .collect())
}

/// Shows problems on standard error, drawn on a terminal and plain elsewhere.
pub(super) fn show(problems: &Problems) {
    if problems.problems.is_empty() {
        return;
    }
    if std::io::stderr().is_terminal() {
        eprint!("{}", problems.graphical());
    } else {
        eprint!("{}", problems.plain());
    }
}
