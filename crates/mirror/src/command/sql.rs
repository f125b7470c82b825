//! `mirror sql`: questions about runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mirror_runs::runs_of_group;

use super::{RunsDir, Status, place};
use crate::query::{Answered, Querier};

#[derive(Debug, Args)]
pub(super) struct SqlArguments {
    /// Runs, each an id or its beginning, `last`, a path, or a group's name for all its runs; then the question
    #[arg(required = true, num_args = 2.., value_names = ["RUN", "SQL"])]
    words: Vec<String>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    runs_dir: RunsDir,
}

/// As `mirror-query` knows them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}

pub(super) fn sql(arguments: &SqlArguments) -> anyhow::Result<Status> {
    let (sql, wanted) = arguments
        .words
        .split_last()
        .expect("the command line has at least two words");
    let runs_dir = &arguments.runs_dir.runs_dir;
    let mut runs: Vec<PathBuf> = Vec::new();
    for wanted in wanted {
        let of_group = runs_of_group(runs_dir, wanted)?;
        if of_group.is_empty() {
            runs.push(place::run(runs_dir, wanted)?);
        } else {
            runs.extend(of_group.into_iter().map(|listed| listed.path));
        }
    }
    let format = arguments.format.to_possible_value();
    let format = format.expect("every format can be named");
    let answered = Querier::beside_this_program()?.print(&runs, sql, format.get_name())?;
    Ok(match answered {
        Answered::Yes => Status::Done,
        Answered::No => Status::Failed,
        Answered::Wrong => Status::Misused,
    })
}
