//! Why there is no answer, in words for the person who asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mirror_runs::RunError;

use crate::child::{ANSWER_BYTES, Broken, MEMORY_BYTES, SPILL_BYTES};
use crate::engine::MINIMUM_VERSION;
use crate::statement::Reads;
use crate::tables::{Scope, columns_of_table};

const GIB: u64 = 1 << 30;

/// Why there is no DuckDB that can be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No executable serves.
    #[error(
        "SQL is answered by DuckDB, and no executable of at least version {}.{} was found{}. There are three ways to get \
         one: `cargo xtask setup` fetches it; or put `duckdb` on the PATH (`pip install duckdb-cli`); or let MIRROR_DUCKDB \
         name an executable",
        MINIMUM_VERSION.0, MINIMUM_VERSION.1, remark(.unfit.as_deref())
    )]
    Missing {
        /// What is wrong with the first executable that was found.
        unfit: Option<Box<EngineError>>,
    },
    /// The file cannot be executed.
    #[error("{} cannot be started as DuckDB: {source}", .program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It prints no version of DuckDB.
    #[error("{} is not DuckDB: `--version` printed {printed:?}", .program.display())]
    NotDuckDb {
        /// The executable.
        program: PathBuf,
        /// The beginning of what it printed.
        printed: String,
    },
    /// It is older than [`MINIMUM_VERSION`].
    #[error(
        "{} is DuckDB {version}, and at least {}.{} is needed",
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

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The question is wrong, and the person who asked can correct it.
    #[error("{0}")]
    Question(String),
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The question did not end in time.
    #[error("the query took more than {} seconds and was stopped: ask for fewer rows or fewer runs", .0.as_secs())]
    Time(Duration),
    /// The question needs more memory than it may have.
    #[error(
        "the query needs more than {} GiB of memory: ask for fewer columns, rows or runs", MEMORY_BYTES / GIB
    )]
    Memory,
    /// What does not fit in memory does not fit on the disk either.
    #[error(
        "the query needs more than {} GiB of disk for what does not fit in memory: ask for fewer columns, rows or runs",
        SPILL_BYTES / GIB
    )]
    Spill,
    /// The answer is too large.
    #[error("the answer is larger than {} GiB: ask for fewer columns, rows or runs", ANSWER_BYTES / GIB)]
    Answer,
    /// A signal of the terminal ended the question.
    #[error("the query was interrupted")]
    Interrupted,
    /// The answer cannot be written or read.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// DuckDB failed.
    #[error("the query failed: {0}")]
    Failed(String),
}

impl SqlError {
    /// Whether the question itself is wrong, and not what happened to it.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Question(_))
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    /// Converts a failure of DuckDB, at a question that reads `reads`. The user knows neither the names that the files
    /// of runs have in the folder where DuckDB works nor DuckDB's settings, so the message replaces them.
    pub(crate) fn of(broken: Broken, scope: &Scope, reads: &Reads) -> Self {
        let said = match broken {
            Broken::Time(limit) => return Self::Time(limit),
            Broken::Interrupted => return Self::Interrupted,
            Broken::Io { doing, source } => return Self::Io { doing, source },
            Broken::FileSize => return Self::Answer,
            Broken::Signal(signal) => {
                return Self::Failed(format!(
                    "DuckDB was ended by signal {signal}; the question may nest too deep or need too much memory"
                ));
            }
            Broken::Complaint(said) => said,
        };
        let (kind, message) = said.trim().split_once(" Error: ").unwrap_or(("", &said));
        let message = told(message);
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
            "Permission" => Self::Question(format!(
                "a question reads the tables of runs and nothing else: {message}"
            )),
            "Binder" => Self::Question(no_column(&message, reads).unwrap_or(message)),
            "Catalog" | "Conversion" | "Invalid Input" | "Out of Range" | "Not implemented"
            | "Mismatch Type" => Self::Question(message),
            _ => Self::Failed(message),
        }
    }
}

/// Which column comes nearest to one that DuckDB does not find, and which there are in the tables that are read.
fn no_column(message: &str, reads: &Reads) -> Option<String> {
    let mut parts = message.split('"');
    let name = parts.find_map(|before| {
        let named =
            before.ends_with("Referenced column ") || before.ends_with("does not have a column named ");
        named.then_some(())
    });
    let name = name.and_then(|()| parts.next())?;
    // DuckDB knows the columns of a statement's own making, and tells which come near.
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

/// Why a statement that is not a question is refused.
pub(crate) const REFUSED: &str = "this statement is refused: a question is one SELECT, WITH, FROM, VALUES, SUMMARIZE, \
    DESCRIBE, SHOW TABLES or EXPLAIN, and changes nothing (PIVOT has to stand inside FROM, with an IN list)";

/// A message of DuckDB in one line, without its excerpt of a text that the person who asked did not write, its advice
/// on settings, and its stack trace.
fn told(message: &str) -> String {
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

/// `, the nearest is uid` where one of `known` is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    near.map_or_else(String::new, |(_, near)| format!(", the nearest is {near}"))
}
