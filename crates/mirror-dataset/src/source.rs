//! Reading rows from files: JSON lines, JSON, CSV, Parquet.
//!
//! A file is not trusted: it is bounded before it is read, and what is wrong with it is reported
//! with the file, the line or row, and the column.

mod csv;
mod json;
mod parquet;

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::compiled::{ROWS_MAX, SIZE_MAX};
use crate::row::TEXT_MAX;
use crate::{Row, RowError, Schema};

/// The longest line of text, in bytes: room for the longest question and answers, escaped, and
/// other columns beside them.
const LINE_MAX: usize = 4 * TEXT_MAX;

/// Why rows cannot be read from a file or a folder.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it means")]
pub enum SourceError {
    #[error("cannot read {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not a regular file")]
    NotAFile { path: PathBuf },
    #[error("{path} is not a data set: its name ends in none of {FORMATS}")]
    UnknownFormat { path: PathBuf },
    #[error("there is no data set in the folder {path}: no file's name ends in one of {FORMATS}")]
    EmptyFolder { path: PathBuf },
    #[error("{path} has no rows")]
    NoRows { path: PathBuf },
    #[error("{path} goes past the limit of {SIZE_MAX} bytes of data")]
    TooLarge { path: PathBuf },
    #[error("{path} goes past the limit of {ROWS_MAX} rows")]
    TooManyRows { path: PathBuf },
    #[error("{path} has no column `{column}`; it has {}", list(.columns))]
    NoColumn {
        path: PathBuf,
        column: String,
        columns: Vec<String>,
    },
    #[error("{path}: the column `{column}` holds {found}, it has to hold {expected}")]
    ColumnType {
        path: PathBuf,
        column: String,
        expected: &'static str,
        found: String,
    },
    #[error("{path} is not a readable Parquet file: {what}")]
    Parquet { path: PathBuf, what: String },
    #[error("{path}, {place}: {problem}")]
    At {
        path: PathBuf,
        place: Place,
        problem: Problem,
    },
}

/// Where in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of text.
    Line(usize),
    /// A row of a table.
    Row(usize),
}

/// What is wrong at one place of a file.
#[derive(Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it means")]
pub enum Problem {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("{bytes} bytes, the limit of a line is {LINE_MAX}")]
    LongLine { bytes: usize },
    #[error("malformed JSON: {what}, at column {column}")]
    Json { what: String, column: usize },
    #[error("malformed CSV: {what}")]
    Csv { what: String },
    #[error("{found} instead of {expected}")]
    Shape {
        expected: &'static str,
        found: &'static str,
    },
    #[error("no column `{column}`; there are {}", list(.columns))]
    NoColumn { column: String, columns: Vec<String> },
    #[error("the column `{column}` holds {found}, it has to hold {expected}")]
    CellType {
        column: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error(transparent)]
    Row(#[from] RowError),
}

const TEXT: &str = "a text";
const TEXT_OR_TEXTS: &str = "a text or a list of texts";

const FORMATS: &str = ".jsonl, .json, .csv, .parquet";

/// A file format, known by the end of the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    Parquet,
    JsonLines,
    Json,
    Csv,
}

impl Format {
    pub(crate) const ALL: [Self; 4] = [Self::Parquet, Self::JsonLines, Self::Json, Self::Csv];

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::JsonLines => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    pub(crate) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        Self::ALL
            .into_iter()
            .find(|format| extension.eq_ignore_ascii_case(format.extension()))
    }
}

/// The rows of a file, or of all data files of a folder in the order of their names.
pub(crate) fn load_path(path: &Path, schema: &Schema) -> Result<Vec<Row>, SourceError> {
    let metadata = fs::metadata(path).map_err(|source| io_error(path, source))?;
    if !metadata.is_dir() {
        return load_files(path, &[path.to_owned()], schema);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|source| io_error(path, source))? {
        let file = entry.map_err(|source| io_error(path, source))?.path();
        let is_hidden = file
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if !is_hidden && Format::of(&file).is_some() {
            files.push(file);
        }
    }
    files.sort();
    load_files(path, &files, schema)
}

/// The rows of `files`, in order; `whole` is what they belong to.
pub(crate) fn load_files(whole: &Path, files: &[PathBuf], schema: &Schema) -> Result<Vec<Row>, SourceError> {
    if files.is_empty() {
        return Err(SourceError::EmptyFolder {
            path: whole.to_owned(),
        });
    }
    let mut loaded = Loaded {
        rows: Vec::new(),
        bytes: 0,
    };
    for path in files {
        let before = loaded.rows.len();
        let mut reader = FileReader {
            path,
            schema,
            loaded: &mut loaded,
        };
        match Format::of(path) {
            Some(Format::Parquet) => reader.parquet()?,
            Some(Format::JsonLines) => reader.json_lines()?,
            Some(Format::Json) => reader.json()?,
            Some(Format::Csv) => reader.csv()?,
            None => {
                return Err(SourceError::UnknownFormat {
                    path: path.to_owned(),
                });
            }
        }
        if loaded.rows.len() == before {
            return Err(SourceError::NoRows {
                path: path.to_owned(),
            });
        }
    }
    Ok(loaded.rows)
}

/// What has been read of a data set so far.
struct Loaded {
    rows: Vec<Row>,
    /// Bytes of questions and answers.
    bytes: u64,
}

/// Reads one file; each format adds a method.
struct FileReader<'a> {
    path: &'a Path,
    schema: &'a Schema,
    loaded: &'a mut Loaded,
}

impl FileReader<'_> {
    /// Opens the file if it is a regular one and no larger than a whole data set may be.
    fn open(&self) -> Result<File, SourceError> {
        let io_error = |source| io_error(self.path, source);
        let file = File::open(self.path).map_err(io_error)?;
        let metadata = file.metadata().map_err(io_error)?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile {
                path: self.path.to_owned(),
            });
        }
        if metadata.len() > SIZE_MAX {
            return Err(self.too_large());
        }
        Ok(file)
    }

    /// The whole file as text, without a byte order mark.
    fn text(&self) -> Result<String, SourceError> {
        let read = mirror_files::read_at_most(self.open()?, SIZE_MAX);
        let bytes = read.map_err(|source| io_error(self.path, source))?;
        let mut bytes = bytes.ok_or_else(|| self.too_large())?;
        if bytes.starts_with("\u{feff}".as_bytes()) {
            bytes.drain(.."\u{feff}".len());
        }
        String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            self.at(Place::Line(1 + newlines(valid)), Problem::NotUtf8)
        })
    }

    /// Keeps a row that keeps the bounds.
    fn push(&mut self, row: Row, place: Place) -> Result<(), SourceError> {
        row.check().map_err(|problem| self.at(place, problem.into()))?;
        let answer_bytes: usize = row.answers.iter().map(String::len).sum();
        self.loaded.bytes += (row.question.len() + answer_bytes) as u64;
        if self.loaded.bytes > SIZE_MAX {
            return Err(self.too_large());
        }
        if self.loaded.rows.len() == ROWS_MAX {
            return Err(SourceError::TooManyRows {
                path: self.path.to_owned(),
            });
        }
        self.loaded.rows.push(row);
        Ok(())
    }

    fn at(&self, place: Place, problem: Problem) -> SourceError {
        SourceError::At {
            path: self.path.to_owned(),
            place,
            problem,
        }
    }

    fn too_large(&self) -> SourceError {
        SourceError::TooLarge {
            path: self.path.to_owned(),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

fn io_error(path: &Path, source: io::Error) -> SourceError {
    SourceError::Io {
        path: path.to_owned(),
        source,
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

fn check_line_length(bytes: usize) -> Result<(), Problem> {
    if bytes > LINE_MAX {
        return Err(Problem::LongLine { bytes });
    }
    Ok(())
}

/// Column names for people, at most twenty of them.
fn list(columns: &[String]) -> String {
    if columns.is_empty() {
        return "none".to_owned();
    }
    let mut names: Vec<String> = columns.iter().take(20).map(|name| format!("`{name}`")).collect();
    if columns.len() > names.len() {
        names.push(format!("{} more", columns.len() - names.len()));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
