//! CSV with a header line. A cell of answers contains one answer or a JSON list of answers.

use csv::{ErrorKind, StringRecord};

use super::{FileReader, Place, Problem, SourceError, check_line_length};
use crate::Row;

impl FileReader<'_> {
    pub(super) fn csv(&mut self) -> Result<(), SourceError> {
        let text = self.text()?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader
            .headers()
            .map_err(|error| self.malformed_csv(&error))?
            .clone();
        if header.is_empty() {
            return Ok(());
        }
        let question_column = self.csv_column(&header, &self.schema.question)?;
        let answer_column = self.csv_column(&header, &self.schema.answer)?;

        for record in reader.records() {
            let record = record.map_err(|error| self.malformed_csv(&error))?;
            let line = record.position().map_or(0, csv::Position::line) as usize;
            check_line_length(record.as_slice().len())
                .map_err(|problem| self.at(Place::Line(line), problem))?;
            // The CSV reader already refuses records with another number of cells than the header.
            let cell = |column: usize| record.get(column).unwrap_or_default();
            let row = Row {
                question: cell(question_column).to_owned(),
                answers: answers(cell(answer_column)),
            };
            self.push(row, Place::Line(line))?;
        }
        Ok(())
    }

    fn csv_column(&self, header: &StringRecord, column: &str) -> Result<usize, SourceError> {
        header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| SourceError::NoColumn {
                path: self.path.to_owned(),
                column: column.to_owned(),
                columns: header.iter().map(str::to_owned).collect(),
            })
    }

    fn malformed_csv(&self, error: &csv::Error) -> SourceError {
        let line = error.position().map_or(1, csv::Position::line) as usize;
        let what = match error.kind() {
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("{len} cells, but the header has {expected_len}"),
            _ => error.to_string(),
        };
        self.at(Place::Line(line), Problem::Csv { what })
    }
}

fn answers(cell: &str) -> Vec<String> {
    // Text that is not a valid JSON list of strings is a single answer.
    match serde_json::from_str::<Vec<String>>(cell) {
        Ok(list) => list,
        Err(_) => vec![cell.to_owned()],
    }
}
