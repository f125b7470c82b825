//! JSON lines (one row per line) and JSON (an array of rows, or an object with a `data` array).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{FileReader, Place, Problem, SourceError, TEXT, TEXT_OR_TEXTS, check_line_length, newlines};
use crate::{Row, Schema};

/// The object form of a `.json` file. Other fields are ignored.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

impl FileReader<'_> {
    pub(super) fn json_lines(&mut self) -> Result<(), SourceError> {
        let text = self.text()?;
        for (line, number) in text.lines().zip(1..) {
            if !line.trim().is_empty() {
                self.json_row(line, number)?;
            }
        }
        Ok(())
    }

    pub(super) fn json(&mut self) -> Result<(), SourceError> {
        let text = self.text()?;
        let parsed = if text.trim_start().starts_with('{') {
            serde_json::from_str::<Wrapped<'_>>(&text).map(|wrapped| wrapped.data)
        } else {
            serde_json::from_str::<Vec<&RawValue>>(&text)
        };
        let rows = parsed.map_err(|error| self.at(Place::Line(error.line()), malformed(&error)))?;

        let mut counted = 0;
        let mut line = 1;
        for row in rows {
            // Each row is a slice of the text, so its line follows from its address.
            let start = row.get().as_ptr().addr() - text.as_ptr().addr();
            line += newlines(&text.as_bytes()[counted..start]);
            counted = start;
            self.json_row(row.get(), line)?;
        }
        Ok(())
    }

    /// Reads a row from `text`, whose first line is line `line` of the file.
    fn json_row(&mut self, text: &str, line: usize) -> Result<(), SourceError> {
        let row = check_line_length(text.len())
            .and_then(|()| parse_row(text, self.schema))
            .map_err(|problem| self.at(Place::Line(line), problem))?;
        self.push(row, Place::Line(line))
    }
}

fn parse_row(text: &str, schema: &Schema) -> Result<Row, Problem> {
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let Value::Object(cells) = value else {
        return Err(Problem::Shape {
            expected: "an object",
            found: kind(&value),
        });
    };
    let question = match cell(&cells, &schema.question)? {
        Value::String(question) => question.clone(),
        other => return Err(wrong_type(&schema.question, TEXT, kind(other))),
    };
    let answers = match cell(&cells, &schema.answer)? {
        Value::String(answer) => vec![answer.clone()],
        Value::Array(answers) => answers
            .iter()
            .map(|answer| match answer {
                Value::String(answer) => Ok(answer.clone()),
                other => Err(wrong_type(&schema.answer, TEXT_OR_TEXTS, kind_in_list(other))),
            })
            .collect::<Result<_, _>>()?,
        other => return Err(wrong_type(&schema.answer, TEXT_OR_TEXTS, kind(other))),
    };
    Ok(Row { question, answers })
}

fn cell<'a>(cells: &'a Map<String, Value>, column: &str) -> Result<&'a Value, Problem> {
    cells.get(column).ok_or_else(|| Problem::NoColumn {
        column: column.to_owned(),
        columns: cells.keys().cloned().collect(),
    })
}

fn wrong_type(column: &str, expected: &'static str, found: &'static str) -> Problem {
    Problem::CellType {
        column: column.to_owned(),
        expected,
        found,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn kind_in_list(value: &Value) -> &'static str {
    match value {
        Value::Null => "null in a list",
        Value::Bool(_) => "a boolean in a list",
        Value::Number(_) => "a number in a list",
        Value::String(_) => "a string in a list",
        Value::Array(_) => "a list in a list",
        Value::Object(_) => "an object in a list",
    }
}

/// Converts a parser error without the line of its message, because the caller knows the line in the file.
fn malformed(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    Problem::Json {
        what: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        column: error.column(),
    }
}
