//! Errors of queries, with messages for the person who wrote the query.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mirror_runs::RunError;

use crate::child::{ANSWER_BYTES, Broken, MEMORY_BYTES, SPILL_BYTES};
use crate::engine::MINIMUM_VERSION;
use crate::statement::Reads;
use crate::tables::{Scope, columns_of_table};

const GIB: u64 = 1 << 30;

/// The reason why no DuckDB executable can be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No usable executable was found.
    #[error(
        "SQL queries require DuckDB, and no executable of version {}.{} or later was found{}. To get one, run \
         `cargo xtask setup`, or put `duckdb` on the PATH (`pip install duckdb-cli`), or set MIRROR_DUCKDB to the path \
         of an executable",
        MINIMUM_VERSION.0, MINIMUM_VERSION.1, remark(.unfit.as_deref())
    )]
    Missing {
        /// The error of the first executable that was found.
        unfit: Option<Box<EngineError>>,
    },
    /// The file cannot be executed.
    #[error("{} cannot be started as DuckDB: {source}", .program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The program does not print a version of DuckDB.
    #[error("{} is not DuckDB: `--version` printed {printed:?}", .program.display())]
    NotDuckDb {
        /// The executable.
        program: PathBuf,
        /// The first line of its output.
        printed: String,
    },
    /// The executable is older than [`MINIMUM_VERSION`].
    #[error(
        "{} is DuckDB {version}, but at least {}.{} is required",
        .program.display(), MINIMUM_VERSION.0, MINIMUM_VERSION.1
    )]
    Old {
        /// The executable.
        program: PathBuf,
        /// Its version.
        version: String,
    },
}

fn remark(unfit: Option<&EngineError>) -> String {
    unfit.map_or_else(String::new, |error| format!(" ({error})"))
}

/// The reason why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The query is wrong, and the user can correct it.
    #[error("{0}")]
    Question(String),
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The query exceeded the time limit.
    #[error("the query took more than {} seconds and was stopped: ask for fewer rows or fewer runs", .0.as_secs())]
    Time(Duration),
    /// The query exceeded the memory limit.
    #[error(
        "the query needs more than {} GiB of memory: ask for fewer columns, rows or runs", MEMORY_BYTES / GIB
    )]
    Memory,
    /// Data that does not fit in memory exceeds the disk limit.
    #[error(
        "the query needs more than {} GiB of disk space for data that does not fit in memory: ask for fewer columns, rows or runs",
        SPILL_BYTES / GIB
    )]
    Spill,
    /// The answer exceeds the size limit.
    #[error("the answer is larger than {} GiB: ask for fewer columns, rows or runs", ANSWER_BYTES / GIB)]
    Answer,
    /// A signal to shut down interrupted the query.
    #[error("the query was interrupted")]
    Interrupted,
    /// The answer cannot be written or read.
    #[error("{doing}")]
    Io {
        /// Description of the failed operation.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// DuckDB failed.
    #[error("the query failed: {0}")]
    Failed(String),
}

impl SqlError {
    /// Whether the query itself is wrong, as opposed to a failure of its execution.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Question(_))
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    /// Converts a failure of DuckDB at a query that reads `reads`. The user knows neither DuckDB's settings nor the
    /// names of the run files in DuckDB's working directory, so the message is rewritten without them.
    pub(crate) fn of(broken: Broken, scope: &Scope, reads: &Reads) -> Self {
        let said = match broken {
            Broken::Time(limit) => return Self::Time(limit),
            Broken::Interrupted => return Self::Interrupted,
            Broken::Io { doing, source } => return Self::Io { doing, source },
            Broken::FileSize => return Self::Answer,
            Broken::Signal(signal) => {
                return Self::Failed(format!(
                    "DuckDB was terminated by signal {signal}; the query may be nested too deeply or need too much memory"
                ));
            }
            Broken::Complaint(said) => said,
        };
        let (kind, message) = said.trim().split_once(" Error: ").unwrap_or(("", &said));
        let message = in_plain_words(message);
        if let Some(real) = scope.with_real_paths(&message) {
            return Self::Failed(format!("a table of a run cannot be read: {real}"));
        }
        match kind {
            "Out of Memory" if message.contains("max_temp_directory_size") || message.contains("offload") => {
                Self::Spill
            }
            "Out of Memory" => Self::Memory,
            "Parser" if message.starts_with("Expected a single SELECT") => Self::Question(REFUSED.to_owned()),
            "Parser" | "Syntax" => Self::Question(format!("this is not SQL: {message}")),
            "Permission" => Self::Question(format!("a query may only read the tables of runs: {message}")),
            "Binder" => Self::Question(no_column(&message, reads).unwrap_or(message)),
            "Catalog" | "Conversion" | "Invalid Input" | "Out of Range" | "Not implemented"
            | "Mismatch Type" => Self::Question(message),
            _ => Self::Failed(message),
        }
    }
}

/// Returns a message about a column that DuckDB does not find, with the nearest name and the columns of the tables that
/// are read.
fn no_column(message: &str, reads: &Reads) -> Option<String> {
    let mut parts = message.split('"');
    let name = parts.find_map(|before| {
        let named =
            before.ends_with("Referenced column ") || before.ends_with("does not have a column named ");
        named.then_some(())
    });
    let name = name.and_then(|()| parts.next())?;
    // DuckDB knows the columns that a statement defines, and suggests the nearest ones.
    if reads.derived {
        return None;
    }
    let columns: Vec<(&str, Vec<String>)> = reads
        .tables
        .iter()
        .map(|table| (*table, columns_of_table(table)))
        .collect();
    let all = || {
        columns
            .iter()
            .flat_map(|(_, columns)| columns)
            .map(String::as_str)
    };
    if columns.is_empty() || all().any(|column| column == name) {
        return None;
    }
    let there: Vec<String> = columns
        .iter()
        .map(|(table, columns)| format!("{table} has {}", columns.join(", ")))
        .collect();
    Some(format!(
        "no column is called {name}{}; {}",
        nearest(name, all()),
        there.join("; ")
    ))
}

/// Message for a statement that is not a query.
pub(crate) const REFUSED: &str = "this statement is refused: a query is one SELECT, WITH, FROM, VALUES, SUMMARIZE, \
    DESCRIBE, SHOW TABLES or EXPLAIN, and changes nothing (PIVOT must be inside FROM, with an IN list)";

/// Returns a message of DuckDB as one line of at most 2,000 bytes, without the excerpt of a text that the user did not
/// write, the advice on settings, and the stack trace.
fn in_plain_words(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    let wanted = lines.take_while(|line| {
        !line.starts_with("LINE ")
            && !line.starts_with("Stack Trace")
            && !line.starts_with("Possible solutions")
    });
    let words: Vec<&str> = wanted.filter(|line| !line.is_empty()).collect();
    let mut said = words.join(" ");
    if said.len() > 2_000 {
        let end = (0..=2_000)
            .rev()
            .find(|end| said.is_char_boundary(*end))
            .unwrap_or(0);
        said.truncate(end);
        said.push('…');
    }
    said
}

/// Returns `, the nearest is uid` if a name in `known` is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    near.map_or_else(String::new, |(_, near)| format!(", the nearest is {near}"))
}
