//! `mirror check`: every problem of an experiment file, at once.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use mirror_config::{Loaded, Problems, load_with};

use super::Status;

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
        Ok(loaded) => (loaded.warnings, Status::Done),
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
