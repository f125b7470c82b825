//! SQL over the tables of runs, in a process of its own: it can be killed, and a query that takes too much dies with it.
//!
//! `mirror-query print --format csv RUN…` answers the question on its standard input; `mirror-query judge RUN…` decides an
//! expectation and prints the decision as JSON; `mirror-query check` tells before there is a run whether it could be asked. Only the tables of the runs named are in reach ([`tables`]); what is not a
//! query is refused ([`question`]); memory and time are bounded ([`bounds`]).
//!
//! Exit status 0: answered; 1: it could not be answered; 2: the question is wrong. The answer is printed whole or not at
//! all.

mod answer;
mod bounds;
mod error;
mod judge;
mod question;
mod tables;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::answer::Format;
use crate::error::QueryError;
use crate::tables::Session;

/// Bytes of a question, at most.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, Parser)]
#[command(
    name = "mirror-query",
    version,
    about = "Answers SQL questions about runs; `mirror sql` starts it"
)]
struct Arguments {
    /// Time that the question may take
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=30))]
    seconds: u64,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Prints the answer to the question on standard input
    Print {
        /// How it is printed
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        runs: Runs,
    },
    /// Tells whether the expectation on standard input could be asked of a run
    Check,
    /// Decides the expectation on standard input
    Judge {
        #[command(flatten)]
        runs: Runs,
    },
}

#[derive(Debug, Args)]
struct Runs {
    /// Folders of the runs
    #[arg(required = true)]
    runs: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let status = error.exit_status();
            eprintln!("{:#}", anyhow::Error::from(error));
            ExitCode::from(status)
        }
    }
}

fn perform(arguments: &Arguments) -> Result<(), QueryError> {
    let mut sql = String::new();
    let input = io::stdin().lock().take(LONGEST + 1).read_to_string(&mut sql);
    input.map_err(QueryError::Input)?;
    if sql.len() as u64 > LONGEST {
        return Err(QueryError::TooLong { longest: LONGEST });
    }
    bounds::bound_memory()?;
    let clock = bounds::start_clock(Duration::from_secs(arguments.seconds));
    let runtime = bounds::runtime()?;
    // An answer that failed half way, or that nobody has time to read, shows nothing and holds up nothing.
    let mut spool = tempfile::tempfile().map_err(QueryError::Output)?;
    let answering = || runtime.block_on(answer(&arguments.task, &sql, &mut spool));
    bounds::with_deep_stack(answering)??;
    clock.stop();
    spool.rewind().map_err(QueryError::Output)?;
    let mut out = io::stdout().lock();
    match io::copy(&mut spool, &mut out).and_then(|_| out.flush()) {
        // Whoever read had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        copied => copied.map_err(QueryError::Output),
    }
}

async fn answer(task: &Task, sql: &str, out: &mut File) -> Result<(), QueryError> {
    match task {
        Task::Print { format, runs } => {
            let session = Session::open(&runs.runs)?;
            answer::write(session.ask(sql).await?, *format, out).await
        }
        Task::Check => judge::check(&Session::open(&[])?, sql).await,
        Task::Judge { runs } => {
            let session = Session::open(&runs.runs)?;
            let decision = judge::judge(&session, sql).await?;
            serde_json::to_writer(out, &decision).map_err(|error| QueryError::Output(error.into()))
        }
    }
}
