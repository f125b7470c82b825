//! `mirror sql`: queries the tables of runs.

use clap::{Args, ValueEnum};
use mirror_sql::Engine;

use super::{Misuse, RunsDir, Status, place};

#[derive(Debug, Args)]
pub(super) struct SqlArguments {
    /// Runs, then one SQL query. A run is an id or the start of one, `last`, a path, or a group
    #[arg(required = true, num_args = 2.., value_names = ["RUN", "SQL"])]
    words: Vec<String>,
    /// Format of the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    runs_dir: RunsDir,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A table of at most 1,000 rows
    Table,
    /// CSV with a header
    Csv,
    /// A JSON array of objects
    Json,
    /// A Parquet file
    Parquet,
}

impl From<Format> for mirror_sql::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
            Format::Parquet => Self::Parquet,
        }
    }
}

pub(super) fn sql(arguments: &SqlArguments) -> anyhow::Result<Status> {
    let (sql, wanted) = arguments
        .words
        .split_last()
        .expect("clap requires at least two words");
    let runs_dir = &arguments.runs_dir.runs_dir;
    let runs = place::runs(runs_dir, wanted)?;
    let engine = Engine::find()?;
    let format = arguments.format.into();
    match engine
        .answer(&runs, sql, format)
        .and_then(|answer| answer.write(std::io::stdout()))
    {
        Ok(()) => Ok(Status::Done),
        Err(error) if error.is_question() => Err(Misuse::of(error).into()),
        Err(error) => Err(error.into()),
    }
}
