//! The rows of an answer, as somebody wants to read them.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::presets::ASCII_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::engine::Engine;
use crate::error::SqlError;
use crate::execution::Execution;
use crate::statement::Explain;

/// Rows that a table shows; the other formats have all.
const SHOWN: usize = 1_000;

/// The answer, in the folder where DuckDB works.
const ANSWER: &str = "answer";

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, at most 1,000 rows.
    Table,
    /// With a header; null is an empty cell, and an empty text is `""`.
    Csv,
    /// One list of objects.
    Json,
    /// A file of its own, compressed with Snappy.
    Parquet,
}

/// A whole answer: a question that fails has none.
pub struct Answer {
    content: Content,
}

enum Content {
    Text(String),
    /// With the folder that it lies in.
    File(File),
}

impl Answer {
    /// Writes the answer.
    pub fn write(self, mut out: impl Write) -> io::Result<()> {
        match self.content {
            Content::Text(text) => out.write_all(text.as_bytes())?,
            Content::File(mut file) => {
                io::copy(&mut file, &mut out)?;
            }
        }
        out.flush()
    }
}

impl Engine {
    /// Answers a question about runs, which are given by their folders.
    ///
    /// # Errors
    ///
    /// When the question is wrong ([`SqlError::is_question`]), when it takes more than it may, or when a run or a file
    /// cannot be read. There is no part of an answer then.
    pub fn answer(&self, runs: &[PathBuf], sql: &str, format: Format) -> Result<Answer, SqlError> {
        let mut execution = Execution::parse(self, runs, sql)?;
        if let Some(explain) = execution.statement.explain {
            return plan(&mut execution, explain, format);
        }
        let options = match format {
            Format::Table => "FORMAT csv, HEADER",
            Format::Csv => "FORMAT csv, HEADER, NULLSTR ''",
            Format::Json => "FORMAT json, ARRAY true",
            Format::Parquet => "FORMAT parquet, COMPRESSION snappy",
        };
        // One row more than is shown tells whether there are more.
        let limit = match format {
            Format::Table => format!(" LIMIT {}", SHOWN + 1),
            _ => String::new(),
        };
        let target = execution.file(ANSWER);
        let path = target.to_string_lossy().replace('\'', "''");
        let script = format!("COPY (FROM query(getvariable('question')){limit}) TO '{path}' ({options});");
        execution.run(&script, &[ANSWER])?;
        let file = File::open(&target).map_err(SqlError::io("cannot read the answer"))?;
        let content = match format {
            Format::Table => Content::Text(table(file)?),
            // The open file outlives the folder that it lies in.
            _ => Content::File(file),
        };
        Ok(Answer { content })
    }
}

/// The plan of a question, which DuckDB draws.
fn plan(execution: &mut Execution, explain: Explain, format: Format) -> Result<Answer, SqlError> {
    if format != Format::Table {
        return Err(SqlError::Question(
            "EXPLAIN draws a plan, which has no other format than the default, table".to_owned(),
        ));
    }
    let word = match explain {
        Explain::Plan => "EXPLAIN",
        Explain::Analyze => "EXPLAIN ANALYZE",
    };
    let drawn = execution.run(&format!("{word} FROM query(getvariable('question'));"), &[])?;
    Ok(Answer {
        content: Content::Text(drawn),
    })
}

/// Rows of CSV as a table: columns of numbers to the right, line breaks as `\n`.
fn table(rows: File) -> Result<String, SqlError> {
    let wrong = |error: csv::Error| SqlError::Failed(format!("DuckDB wrote no CSV: {error}"));
    let mut reader = csv::Reader::from_reader(rows);
    let mut drawn = Table::new();
    drawn.load_style(ASCII_FULL_CONDENSED);
    let shown = |record: &csv::StringRecord| {
        let cells = record
            .iter()
            .map(|cell| cell.replace('\n', "\\n").replace('\r', "\\r"));
        cells.collect::<Vec<_>>()
    };
    let header = reader.headers().map_err(wrong)?.clone();
    drawn.set_header(shown(&header));
    let mut numbers = vec![true; header.len()];
    let mut count = 0;
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        count += 1;
        if count > SHOWN {
            break;
        }
        for (is_number, cell) in numbers.iter_mut().zip(&record) {
            *is_number &= cell.is_empty() || cell.parse::<f64>().is_ok();
        }
        drawn.add_row(shown(&record));
    }
    for (column, is_number) in drawn.column_iter_mut().zip(numbers) {
        if is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let rows = match count {
        1 => "1 row".to_owned(),
        count if count > SHOWN => {
            format!("the first {SHOWN} rows; --format csv, json or parquet gives all")
        }
        count => format!("{count} rows"),
    };
    Ok(format!("{drawn}\n{rows}\n"))
}
