//! Executes one query, from its text to the files that DuckDB writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::child::Runner;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::statement::{self, QUESTION, Reads, Statement};
use crate::tables::{Scope, quoted};

/// A parsed query with its temporary directory.
pub(crate) struct Execution<'engine> {
    runner: Runner<'engine>,
    scope: Scope,
    pub(crate) statement: Statement,
    /// The working directory: absolute, without symbolic links.
    work: PathBuf,
    /// The part of a script that creates the tables and drops all permissions. `None` until it is needed.
    tables: Option<String>,
    /// Removes the directory when dropped.
    _folder: TempDir,
}

/// A file that the script of a query may write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written {
    /// The rows of the answer.
    Answer,
    /// Names and types of the answer's columns.
    Columns,
}

impl Written {
    const ALL: [Self; 2] = [Self::Answer, Self::Columns];

    /// Returns the name of the file in DuckDB's working directory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Columns => "columns",
        }
    }
}

impl<'engine> Execution<'engine> {
    /// Parses a query about the runs in the given directories.
    pub(crate) fn parse(engine: &'engine Engine, runs: &[PathBuf], sql: &str) -> Result<Self, SqlError> {
        let mut runner = Runner::new(engine).map_err(SqlError::io("cannot start DuckDB"))?;
        let scope = Scope::open(runs)?;
        let doing = "cannot create a working directory for DuckDB";
        let folder = tempfile::Builder::new()
            .prefix("mirror-sql-")
            .tempdir_in(&engine.folder)
            .map_err(SqlError::io(doing))?;
        // DuckDB compares real paths.
        let work = fs::canonicalize(folder.path()).map_err(SqlError::io(doing))?;
        let statement = statement::parse(&mut runner, &work, sql)?;
        Ok(Self {
            runner,
            scope,
            statement,
            work,
            tables: None,
            _folder: folder,
        })
    }

    /// Returns the tables named in the query that have no rows.
    pub(crate) fn tables_without_rows(&self) -> Result<Vec<&'static str>, SqlError> {
        self.scope.without_rows(&self.statement.reads)
    }

    /// Returns the path of a file in DuckDB's working directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Returns the path of a file that a script may write, as an SQL literal.
    pub(crate) fn written(&self, written: Written) -> String {
        quoted(&self.file(written.name()).to_string_lossy())
    }

    /// Executes `script` with the tables that the statement reads and the variable `question`, which contains the text
    /// of the statement. The script may write the files of [`Written`] and may not open any other file except the
    /// tables.
    pub(crate) fn run(&mut self, script: &str) -> Result<(), SqlError> {
        let text = self.statement.text.clone();
        self.run_text(&text, script)
    }

    /// Executes `script` as [`Execution::run`] does, with another text in the variable `question`. The text must read
    /// the same tables.
    pub(crate) fn run_text(&mut self, text: &str, script: &str) -> Result<(), SqlError> {
        write(&self.work.join(QUESTION), text)?;
        for written in Written::ALL {
            // If a file exists, DuckDB writes to a temporary name next to it, which is not allowed.
            match fs::remove_file(self.file(written.name())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SqlError::io(
                        "cannot remove an old file from DuckDB's working directory",
                    )(error));
                }
                _ => {}
            }
        }
        if self.tables.is_none() {
            let written = Written::ALL.map(Written::name);
            self.tables = Some(self.scope.prepare(&self.statement.reads, &self.work, &written)?);
        }
        let tables = self.tables.as_deref().unwrap_or_default();
        let script = format!(
            "SET VARIABLE question = (SELECT content FROM read_text('{QUESTION}'));\n{tables}{script}"
        );
        self.runner
            .execute(&self.work, &script)
            .map_err(|broken| SqlError::of(broken, &self.scope, &self.statement.reads))
    }

    /// Returns the SQL text of a syntax tree.
    pub(crate) fn text_of(&mut self, tree: &serde_json::Value) -> Result<String, SqlError> {
        write(&self.file("tree.json"), &tree.to_string())?;
        let script = "COPY (SELECT json_deserialize_sql(content::JSON) AS text FROM read_text('tree.json')) \
            TO 'text' (FORMAT json);";
        self.runner
            .execute(&self.work, script)
            .map_err(|broken| SqlError::of(broken, &self.scope, &Reads::default()))?;
        let read = fs::read(self.file("text")).map_err(SqlError::io("cannot read the output of DuckDB"))?;
        let row: serde_json::Value = serde_json::from_slice(&read)
            .map_err(|error| SqlError::Failed(format!("DuckDB returned no statement text: {error}")))?;
        let text = row.get("text").and_then(serde_json::Value::as_str);
        Ok(text
            .ok_or_else(|| SqlError::Failed("DuckDB returned no statement text".to_owned()))?
            .to_owned())
    }

    /// Removes the directory and returns the runner, which continues to listen for signals.
    pub(crate) fn into_runner(self) -> Runner<'engine> {
        self.runner
    }
}

fn write(file: &Path, text: &str) -> Result<(), SqlError> {
    fs::write(file, text).map_err(SqlError::io("cannot write a query for DuckDB"))
}
