//! Reading rows from files: JSON lines, JSON, CSV, Parquet.
//!
//! A file is not trusted: its size is checked before it is read, and errors are reported with the file, the line or
//! row, and the column.

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

/// Maximum length of a line of text, in bytes. It allows for the longest question and answers, with escapes, and for
/// further columns.
const LINE_MAX: usize = 4 * TEXT_MAX;

/// Error from reading rows from a file or a folder.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant documents it")]
pub enum SourceError {
    #[error("cannot read {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not a regular file")]
    NotAFile { path: PathBuf },
    #[error("{path} is not a data set: its name must end in one of {FORMATS}")]
    UnknownFormat { path: PathBuf },
    #[error("there is no data set in the folder {path}: no file name ends in one of {FORMATS}")]
    EmptyFolder { path: PathBuf },
    #[error("{path} has no rows")]
    NoRows { path: PathBuf },
    #[error("{path} exceeds the limit of {SIZE_MAX} bytes of data")]
    TooLarge { path: PathBuf },
    #[error("{path} exceeds the limit of {ROWS_MAX} rows")]
    TooManyRows { path: PathBuf },
    #[error("{path} has no column `{column}`; found {}", list(.columns))]
    NoColumn {
        path: PathBuf,
        column: String,
        columns: Vec<String>,
    },
    #[error("{path}: the column `{column}` contains {found}; expected {expected}")]
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

/// A position in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of text.
    Line(usize),
    /// A row of a table.
    Row(usize),
}

/// Error at a position in a file.
#[derive(Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant documents it")]
pub enum Problem {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("the line has {bytes} bytes; the limit is {LINE_MAX}")]
    LongLine { bytes: usize },
    #[error("malformed JSON: {what}, at column {column}")]
    Json { what: String, column: usize },
    #[error("malformed CSV: {what}")]
    Csv { what: String },
    #[error("found {found}; expected {expected}")]
    Shape {
        expected: &'static str,
        found: &'static str,
    },
    #[error("no column `{column}`; found {}", list(.columns))]
    NoColumn { column: String, columns: Vec<String> },
    #[error("the column `{column}` contains {found}; expected {expected}")]
    CellType {
        column: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error(transparent)]
    Row(#[from] RowError),
}

const TEXT: &str = "a string";
const TEXT_OR_TEXTS: &str = "a string or a list of strings";

const FORMATS: &str = ".jsonl, .json, .csv, .parquet";

/// A file format, recognised by the extension of the file name.
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

/// Reads the rows of a file, or of all data files of a folder in the order of their names.
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

/// Reads the rows of `files`, in order. `whole` is the path of the data set, for error messages.
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

/// The rows that have been read so far.
struct Loaded {
    rows: Vec<Row>,
    /// Total size of questions and answers in bytes.
    bytes: u64,
}

/// A reader of one file. Each format adds a method.
struct FileReader<'a> {
    path: &'a Path,
    schema: &'a Schema,
    loaded: &'a mut Loaded,
}

impl FileReader<'_> {
    /// Opens the file.
    ///
    /// # Errors
    /// Returns an error if it is not a regular file, or is larger than the limit for a data set.
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

    /// Reads the whole file as UTF-8 text and removes a byte order mark.
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

    /// Adds a row after checking its limits and those of the data set.
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

/// Formats column names for a message, at most twenty of them.
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
