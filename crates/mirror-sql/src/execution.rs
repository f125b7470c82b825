//! One question from its text to the files that DuckDB writes for it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::child::Runner;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::statement::{self, QUESTION, Statement};
use crate::tables::Scope;

/// A question that was parsed, in a folder of its own.
pub(crate) struct Execution<'engine> {
    runner: Runner<'engine>,
    scope: Scope,
    pub(crate) statement: Statement,
    work: PathBuf,
    /// Removes the folder.
    _folder: TempDir,
}

impl<'engine> Execution<'engine> {
    /// Parses a question about runs, which are given by their folders.
    pub(crate) fn parse(engine: &'engine Engine, runs: &[PathBuf], sql: &str) -> Result<Self, SqlError> {
        let mut runner = Runner::new(engine).map_err(SqlError::io("cannot start DuckDB"))?;
        let scope = Scope::open(runs)?;
        let doing = "cannot make a folder for DuckDB to work in";
        let folder = tempfile::Builder::new()
            .prefix("mirror-sql-")
            .tempdir()
            .map_err(SqlError::io(doing))?;
        // By its real path, which DuckDB compares with.
        let work = fs::canonicalize(folder.path()).map_err(SqlError::io(doing))?;
        let statement = statement::parse(&mut runner, &work, sql)?;
        Ok(Self {
            runner,
            scope,
            statement,
            work,
            _folder: folder,
        })
    }

    /// Those of the tables named which have no rows.
    pub(crate) fn tables_without_rows(&self) -> Result<Vec<&'static str>, SqlError> {
        self.scope.without_rows(&self.statement.reads)
    }

    /// Path of a file that the question's script writes.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Executes `script` with the tables that the statement reads and the variable `question`, the statement's text. It may
    /// write the files `written` and open no other that is not a table. Gives what DuckDB printed.
    pub(crate) fn run(&mut self, script: &str, written: &[&str]) -> Result<String, SqlError> {
        write(&self.work.join(QUESTION), &self.statement.text)?;
        let tables = self.scope.prepare(&self.statement.reads, &self.work, written)?;
        let script = format!(
            "SET VARIABLE question = (SELECT content FROM read_text('{QUESTION}'));\n{tables}{script}"
        );
        self.runner
            .execute(&self.work, &script)
            .map_err(|broken| SqlError::of(broken, &self.scope, &self.statement.reads))
    }

    /// The text of the statement that a syntax tree stands for.
    pub(crate) fn text_of(&mut self, tree: &serde_json::Value) -> Result<String, SqlError> {
        let (given, made) = (self.file("tree.json"), self.file("text"));
        write(&given, &tree.to_string())?;
        let script = "COPY (SELECT json_deserialize_sql(content::JSON) AS text FROM read_text('tree.json')) \
            TO 'text' (FORMAT json);";
        self.runner
            .execute(&self.work, script)
            .map_err(|broken| SqlError::of(broken, &self.scope, &self.statement.reads))?;
        let read = fs::read(&made).map_err(SqlError::io("cannot read what DuckDB wrote"))?;
        let row: serde_json::Value = serde_json::from_slice(&read)
            .map_err(|error| SqlError::Failed(format!("DuckDB wrote no text of a statement: {error}")))?;
        let text = row.get("text").and_then(serde_json::Value::as_str);
        Ok(text
            .ok_or_else(|| SqlError::Failed("DuckDB wrote no text of a statement".to_owned()))?
            .to_owned())
    }
}

fn write(file: &Path, text: &str) -> Result<(), SqlError> {
    fs::write(file, text).map_err(SqlError::io("cannot write a question for DuckDB"))
}
