//! Why a question has no answer, in words for whoever asked it.

use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use mirror_runs::RunError;

use crate::tables::{NAMES, columns_of};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("cannot read the question")]
    Input(#[source] io::Error),
    #[error("the question is longer than {longest} bytes")]
    TooLong { longest: u64 },
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    #[error("cannot bound what the query may take")]
    Bounds(#[source] io::Error),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("this is not SQL: {0}")]
    Syntax(String),
    #[error("one question at a time: this is {0}")]
    Several(usize),
    #[error(
        "{0} is refused: a question begins with SELECT, WITH, EXPLAIN, DESCRIBE or SHOW TABLES, and changes nothing"
    )]
    Refused(String),
    #[error("no table is called {name}{near}; there are {}", NAMES.join(", "))]
    NoTable { name: String, near: String },
    #[error("no column is called {name}{near}; there are {known}")]
    NoColumn {
        name: String,
        near: String,
        known: String,
    },
    #[error("{0}")]
    Wrong(String),
    #[error("the query needs more than 1 GiB of memory: ask for fewer columns, rows or runs")]
    Memory,
    #[error("an expectation yields one row, and this yields {0}")]
    Rows(usize),
    #[error("an expectation's first column is true or false, and {name} is {kind}")]
    NotBoolean { name: String, kind: String },
    #[error("the query failed: {0}")]
    Failed(String),
}

impl QueryError {
    /// 2 where whoever asked can do better, 1 elsewhere.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::TooLong { .. }
            | Self::Syntax(_)
            | Self::Several(_)
            | Self::Refused(_)
            | Self::NoTable { .. }
            | Self::NoColumn { .. }
            | Self::Wrong(_)
            | Self::Rows(_)
            | Self::NotBoolean { .. } => 2,
            Self::Input(_)
            | Self::Output(_)
            | Self::Bounds(_)
            | Self::Run(_)
            | Self::Memory
            | Self::Failed(_) => 1,
        }
    }

    /// What the engine says, in our words where it speaks of what we know.
    pub(crate) fn of(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory,
            DataFusionError::SchemaError(schema, _) => Self::of_schema(schema),
            DataFusionError::SQL(syntax, _) => Self::Syntax(words(&syntax.to_string())),
            DataFusionError::Plan(said) | DataFusionError::Execution(said) => Self::Wrong(words(said)),
            DataFusionError::NotImplemented(said) => Self::Wrong(format!("not known here: {}", words(said))),
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::CastError(said)
                | ArrowError::ParseError(said)
                | ArrowError::ComputeError(said)
                | ArrowError::InvalidArgumentError(said) => Self::Wrong(words(said)),
                ArrowError::DivideByZero => Self::Wrong("a division by zero".to_owned()),
                other => Self::Failed(words(&other.to_string())),
            },
            DataFusionError::ParquetError(parquet) => Self::of_parquet(parquet),
            other => Self::Failed(words(&other.strip_backtrace())),
        }
    }

    fn of_schema(error: &SchemaError) -> Self {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let known: Vec<String> = match &field.relation {
                    Some(table) if !columns_of(table.table()).is_empty() => columns_of(table.table()),
                    _ => valid_fields.iter().map(|field| field.name.clone()).collect(),
                };
                Self::NoColumn {
                    name: field.flat_name(),
                    near: nearest(&field.name, &known),
                    known: known.join(", "),
                }
            }
            SchemaError::AmbiguousReference { field } => Self::Wrong(format!(
                "{} is a column of more than one table here: write the table's name and a dot before it",
                field.name
            )),
            other => Self::Wrong(words(&other.to_string())),
        }
    }

    fn of_parquet(error: &ParquetError) -> Self {
        Self::Failed(format!(
            "a table's file is damaged: {}",
            words(&error.to_string())
        ))
    }
}

/// The first line, without the engine's own prefix.
fn words(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    let prefixes = [
        "sql parser error: ",
        "ParserError(\"",
        "Error during planning: ",
        "Schema error: ",
    ];
    let bare = prefixes
        .iter()
        .fold(line, |line, prefix| line.strip_prefix(prefix).unwrap_or(line));
    let mut letters = bare.trim_end_matches(['.', ' ']).chars();
    let first = letters.next().map(|first| first.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

/// `, nearest is uid` where one of `known` is near.
pub(crate) fn nearest(name: &str, known: &[String]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    near.map_or_else(String::new, |(_, near)| format!(", nearest is {near}"))
}
