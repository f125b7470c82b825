//! The command line: what can be typed, and the exit statuses. 0: done; 1: the run or an expectation failed, or two
//! runs differ; 2: the file or the command line is wrong.

mod cabal;
mod chain;
mod check;
mod components;
mod epochs;
mod metagraph;
mod models;
mod place;
mod report;
mod run;
mod runs;
mod serve;
mod sql;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// A laboratory for decentralised AI networks: validators, miners and a chain as real processes.
#[derive(Debug, Parser)]
#[command(name = "mirror", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an experiment, and writes its run directory and its report
    Run(run::RunArguments),
    /// Checks an experiment file and shows every problem in it
    Check(check::CheckArguments),
    /// Prints the JSON schema of experiment files
    Schema,
    /// Lists what can be named in an experiment file, with arguments, defaults and ranges
    Components(components::ComponentsArguments),
    /// Lists, shows, compares and recovers runs
    Runs(runs::RunsArguments),
    /// Answers a question in SQL over the tables of one or many runs
    Sql(sql::SqlArguments),
    /// Writes the report of a run again
    Report(report::ReportArguments),
    /// Checks metagraphs as files, and writes those of runs
    Metagraph(metagraph::MetagraphArguments),
    /// Shows what the chain of a run did, computes epochs, or runs a chain by itself
    Chain(chain::ChainArguments),
    /// Checks models against the numbers that Python computes from them
    Models(models::ModelsArguments),
}

/// Where runs lie.
#[derive(Debug, Args)]
struct RunsDir {
    /// Folder of the runs
    #[arg(
        long,
        env = "MIRROR_RUNS",
        default_value = "runs",
        value_name = "FOLDER",
        global = true
    )]
    runs_dir: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Done,
    /// The run or an expectation failed, or the comparison found differences.
    Failed,
    /// The file or the command line is wrong.
    Misused,
}

/// The file or the command line names something that is not there or cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Misuse(anyhow::Error);

impl Misuse {
    /// Marks an error as one of the user's making.
    fn of(error: impl Into<anyhow::Error>) -> Self {
        Self(error.into())
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::SUCCESS,
            Status::Failed => Self::FAILURE,
            Status::Misused => Self::from(2),
        }
    }
}

/// Parses the command line and does what it says. A wrong one ends the process with status 2.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Schema => components::schema(),
        Command::Components(arguments) => components::components(&arguments),
        Command::Runs(arguments) => runs::runs(&arguments),
        Command::Sql(arguments) => sql::sql(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Metagraph(arguments) => metagraph::metagraph(&arguments),
        Command::Chain(arguments) => chain::chain(&arguments),
        Command::Models(arguments) => models::models(&arguments),
    };
    match outcome {
        Ok(status) => status.into(),
        // Whoever read the output had enough of it, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let status = if error.is::<Misuse>() {
                Status::Misused
            } else {
                Status::Failed
            };
            status.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_io = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
    };
    error
        .chain()
        .any(|cause| of_io(cause) == Some(std::io::ErrorKind::BrokenPipe))
}
