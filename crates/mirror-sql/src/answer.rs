//! Formats the rows of an answer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use comfy_table::presets::ASCII_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::child::{self, Runner};
use crate::engine::Engine;
use crate::error::SqlError;
use crate::execution::{Execution, Written};
use crate::statement::{Explain, Reads};
use crate::tables::Scope;

/// Maximum number of rows in [`Format::Table`]. The other formats contain all rows.
const SHOWN: usize = 1_000;

/// Maximum number of bytes of a plan that are shown.
const PLAN_BYTES: u64 = 16 << 20;

/// Format in which an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A text table with at most 1,000 rows.
    Table,
    /// CSV with a header. Null is an empty cell, and an empty text is `""`.
    Csv,
    /// JSON: one array of objects.
    Json,
    /// A Parquet file, compressed with Snappy.
    Parquet,
}

/// A complete answer. A query that fails has no answer.
pub struct Answer<'engine> {
    content: Content,
    runner: Runner<'engine>,
}

enum Content {
    Text(String),
    /// An open file whose directory was removed.
    File(File),
    /// An open file of JSON with numbers that JSON does not support (`NaN`, `Infinity`), which are not replaced yet.
    Json(File),
}

impl Answer<'_> {
    /// Writes the answer. A signal that asks this program to shut down stops it.
    ///
    /// # Errors
    ///
    /// Returns an error if the answer cannot be written, or if a signal is received.
    pub fn write(self, out: impl Write + Send + 'static) -> Result<(), SqlError> {
        let Self { content, mut runner } = self;
        let written = runner.interruptible(move || content.write(out));
        runner.end();
        match written {
            Ok(written) => written.map_err(SqlError::io("cannot write the answer")),
            Err(broken) => Err(SqlError::of(broken, &Scope::default(), &Reads::default())),
        }
    }
}

impl Content {
    fn write(self, mut out: impl Write) -> io::Result<()> {
        match self {
            Self::Text(text) => out.write_all(text.as_bytes())?,
            Self::File(mut file) => {
                io::copy(&mut file, &mut out)?;
            }
            Self::Json(file) => write_json(BufReader::new(file), BufWriter::new(&mut out))?,
        }
        out.flush()
    }
}

/// Copies JSON, with `null` for the numbers that JSON does not support: `NaN`, `Infinity` and `-Infinity`.
fn write_json(json: impl BufRead, mut out: impl Write) -> io::Result<()> {
    let (mut in_text, mut escaped) = (false, false);
    let mut word = Vec::new();
    for byte in json.bytes() {
        let byte = byte?;
        if !in_text && (byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            word.push(byte);
            continue;
        }
        if !word.is_empty() {
            let no_number = [&b"NaN"[..], b"-NaN", b"Infinity", b"-Infinity"].contains(&word.as_slice());
            out.write_all(if no_number { b"null" } else { &word })?;
            word.clear();
        }
        match byte {
            b'"' if !escaped => in_text = !in_text,
            b'\\' if in_text && !escaped => {
                escaped = true;
                out.write_all(&[byte])?;
                continue;
            }
            _ => {}
        }
        escaped = false;
        out.write_all(&[byte])?;
    }
    out.write_all(&word)?;
    out.flush()
}

impl Engine {
    /// Answers a query about the runs in the given directories.
    ///
    /// # Errors
    ///
    /// Returns an error if the query is wrong ([`SqlError::is_question`]), if it exceeds a limit, or if a run or a file
    /// cannot be read. There is never a partial answer.
    pub fn answer(&self, runs: &[PathBuf], sql: &str, format: Format) -> Result<Answer<'_>, SqlError> {
        let mut execution = Execution::parse(self, runs, sql)?;
        if let Some(explain) = execution.statement.explain {
            return plan(execution, explain, format);
        }
        let options = match format {
            // An empty cell would make a row of one column an empty line, which CSV readers skip.
            Format::Table => "FORMAT csv, HEADER, NULLSTR 'null'",
            Format::Csv => "FORMAT csv, HEADER, NULLSTR ''",
            Format::Json => "FORMAT json, ARRAY true",
            Format::Parquet => "FORMAT parquet, COMPRESSION snappy",
        };
        // One additional row shows whether there are more than [`SHOWN`].
        let limit = match format {
            Format::Table => format!(" LIMIT {}", SHOWN + 1),
            _ => String::new(),
        };
        let script = format!(
            "COPY (FROM query(getvariable('question')){limit}) TO {} ({options});",
            execution.written(Written::Answer)
        );
        execution.run(&script)?;
        let file = File::open(execution.file(Written::Answer.name()))
            .map_err(SqlError::io("cannot read the answer"))?;
        let content = match format {
            Format::Table => Content::Text(table(file)?),
            Format::Json => Content::Json(file),
            Format::Csv | Format::Parquet => Content::File(file),
        };
        Ok(Answer {
            content,
            runner: execution.into_runner(),
        })
    }
}

/// Returns the plan of a query, drawn by DuckDB.
fn plan(mut execution: Execution<'_>, explain: Explain, format: Format) -> Result<Answer<'_>, SqlError> {
    if format != Format::Table {
        return Err(SqlError::Question(
            "EXPLAIN draws a plan, which is only available in the default format, table".to_owned(),
        ));
    }
    let word = match explain {
        Explain::Plan => "EXPLAIN",
        Explain::Analyze => "EXPLAIN ANALYZE",
    };
    let asked = "FROM query(getvariable('question'));";
    execution.run(&format!("{word} {asked}"))?;
    let drawn =
        child::read(&execution.file(child::OUT), PLAN_BYTES).map_err(SqlError::io("cannot read the plan"))?;
    // The output of EXPLAIN ANALYZE begins with the statement, which is not the user's.
    let plan = drawn
        .split_once(asked)
        .map_or(drawn.as_str(), |(_, plan)| plan.trim_start_matches('\n'));
    Ok(Answer {
        content: Content::Text(plan.to_owned()),
        runner: execution.into_runner(),
    })
}

/// Formats CSV rows as a table: numeric columns are right-aligned, and line breaks are shown as `\n`.
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
            format!("the first {SHOWN} rows; use --format csv, json or parquet for all rows")
        }
        count => format!("{count} rows"),
    };
    Ok(format!("{drawn}\n{rows}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_support_become_null_and_texts_are_unchanged() {
        let json = r#"[{"NaN":NaN,"b":-Infinity,"c":[1.5,Infinity,-2e-7],"d":"NaN \" Infinity \\","e":true,"f":null}]"#;
        let mut written = Vec::new();
        write_json(json.as_bytes(), &mut written).expect("writing to a vector does not fail");
        let read: serde_json::Value = serde_json::from_slice(&written).expect("the output is JSON");
        let expected = serde_json::json!([{
            "NaN": null, "b": null, "c": [1.5, null, -2e-7], "d": "NaN \" Infinity \\", "e": true, "f": null
        }]);
        assert_eq!(read, expected);
    }
}
