//! The command line and its exit statuses.
//!
//! | status | meaning |
//! |---|---|
//! | 0 | The command succeeded. |
//! | 1 | The command failed, a run failed or was interrupted, or a comparison found differences. |
//! | 2 | The experiment file or the command line is wrong. |
//! | 3 | The run ended, and an expectation of the file did not hold or could not be decided. |

mod agents;
mod ask;
mod cabal;
mod chain;
mod check;
mod components;
mod down;
mod epochs;
mod fault;
mod key;
mod kubernetes;
mod logs;
mod metagraph;
mod models;
mod nodes;
mod place;
mod report;
mod run;
mod running;
mod runs;
mod serve;
mod sql;
mod terminal;
mod trace;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mirror_output::message;

/// A laboratory for decentralised AI networks
#[derive(Debug, Parser)]
#[command(name = "mirror", version, term_width = 80)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an experiment and writes its tables and its report
    Run(run::RunArguments),
    /// Starts a network and keeps it running until `mirror down`
    Up(up::UpArguments),
    /// Shuts a running network down
    Down(down::DownArguments),
    /// Lists the nodes of a running network
    Nodes(nodes::NodesArguments),
    /// Adds, lists, ends and exports faults of a running network
    Fault(fault::FaultArguments),
    /// Asks one axon of a running network
    Ask(ask::AskArguments),
    /// Creates the certificates of agents on other machines
    Agents(agents::AgentsArguments),
    /// Runs experiments in a Kubernetes cluster
    Kubernetes(kubernetes::KubernetesArguments),
    /// Creates and shows key files of Bittensor's wallets
    Key(key::KeyArguments),
    /// Prints the log of a node
    Logs(logs::LogsArguments),
    /// Checks an experiment file and prints every problem in it
    Check(check::CheckArguments),
    /// Prints the JSON schema of experiment files
    Schema,
    /// Lists the components of an experiment file, or explains one
    Components(components::ComponentsArguments),
    /// Lists, shows, compares and recovers runs
    Runs(runs::RunsArguments),
    /// Lists, shows, compares and exports the traces of runs
    Trace(trace::TraceArguments),
    /// Queries the tables of runs with SQL
    Sql(sql::SqlArguments),
    /// Writes the report of a run from its tables
    Report(report::ReportArguments),
    /// Checks metagraph files and exports metagraphs of runs
    Metagraph(metagraph::MetagraphArguments),
    /// Shows the chain of a run, computes epochs, serves a chain
    Chain(chain::ChainArguments),
    /// Checks models, computes embeddings, counts tokens
    Models(models::ModelsArguments),
}

/// The folder that contains the runs, unless another one is named.
const RUNS: &str = "runs";

/// The folder that contains the runs.
#[derive(Debug, Args)]
struct RunsDir {
    /// Folder that contains the runs
    #[arg(
        long,
        env = "MIRROR_RUNS",
        default_value = RUNS,
        value_name = "FOLDER",
        global = true
    )]
    runs_dir: PathBuf,
}

/// The result of a command, which becomes the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Done,
    /// The run failed or was interrupted, or the comparison found differences.
    Failed,
    /// The experiment file or the command line is wrong.
    Misused,
    /// An expectation did not hold or could not be decided.
    Unexpected,
}

/// An error in the experiment file or in the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Misuse(anyhow::Error);

impl Misuse {
    /// Marks an error as one of the file or of the command line.
    fn of(error: impl Into<anyhow::Error>) -> Self {
        Self(error.into())
    }
}

impl Status {
    /// The status of several runs: a failed run counts more than an expectation that did not hold.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Done, other) => other,
            (worst, _) => worst,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::SUCCESS,
            Status::Failed => Self::FAILURE,
            Status::Misused => Self::from(2),
            Status::Unexpected => Self::from(3),
        }
    }
}

/// Parses the command line and runs the command. An invalid command line ends the process with status 2.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command;
    // A run continues when its output is closed, so an error of that kind is a failure of something else.
    let only_prints = !matches!(command, Command::Run(_) | Command::Up(_) | Command::Kubernetes(_));
    let outcome = match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Up(arguments) => up::up(arguments),
        Command::Down(arguments) => down::down(&arguments),
        Command::Nodes(arguments) => nodes::nodes(&arguments),
        Command::Fault(arguments) => fault::fault(&arguments),
        Command::Ask(arguments) => ask::ask(&arguments),
        Command::Agents(arguments) => agents::agents(&arguments),
        Command::Kubernetes(arguments) => kubernetes::kubernetes(arguments),
        Command::Key(arguments) => key::key(&arguments),
        Command::Logs(arguments) => logs::logs(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Schema => components::schema(),
        Command::Components(arguments) => components::components(&arguments),
        Command::Runs(arguments) => runs::runs(&arguments),
        Command::Trace(arguments) => trace::trace(&arguments),
        Command::Sql(arguments) => sql::sql(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Metagraph(arguments) => metagraph::metagraph(&arguments),
        Command::Chain(arguments) => chain::chain(&arguments),
        Command::Models(arguments) => models::models(&arguments),
    };
    match outcome {
        Ok(status) => status.into(),
        // The reader of the output closed it early, as `head` does.
        Err(error) if only_prints && terminal::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            message!("error: {error:#}");
            let status = if error.is::<Misuse>() {
                Status::Misused
            } else {
                Status::Failed
            };
            status.into()
        }
    }
}
