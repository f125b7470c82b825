//! Parquet with a column of strings for the questions, and a column of strings or lists of strings for the answers.

use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderBuilder, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::{FileReader, Place, Problem, SourceError, TEXT, TEXT_OR_TEXTS};
use crate::Row;

const BATCH_ROWS: usize = 1024;

impl FileReader<'_> {
    pub(super) fn parquet(&mut self) -> Result<(), SourceError> {
        // The Parquet reader panics on some kinds of damage instead of returning an error. The rows that were read
        // before the panic are discarded, so no inconsistent state is visible.
        let read = panic::catch_unwind(AssertUnwindSafe(|| self.parquet_batches()));
        read.unwrap_or_else(|_| Err(self.unreadable(&"the Parquet reader panicked")))
    }

    fn parquet_batches(&mut self) -> Result<(), SourceError> {
        let file = self.open()?;
        // Without the Arrow schema of the writer, a string is always `Utf8` and a list is always `List`.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|error| self.unreadable(&error))?;

        let question_column = self.parquet_column(&builder, &self.schema.question)?;
        let answer_column = self.parquet_column(&builder, &self.schema.answer)?;
        let field = |column: usize| builder.schema().field(column).data_type();
        if *field(question_column) != DataType::Utf8 {
            let found = field(question_column);
            return Err(self.column_type(&self.schema.question, TEXT, found));
        }
        let is_text_or_texts = match field(answer_column) {
            DataType::Utf8 => true,
            DataType::List(item) => *item.data_type() == DataType::Utf8,
            _ => false,
        };
        if !is_text_or_texts {
            let found = field(answer_column);
            return Err(self.column_type(&self.schema.answer, TEXT_OR_TEXTS, found));
        }

        let columns = [question_column, answer_column];
        let projection = ProjectionMask::roots(builder.parquet_schema(), columns);
        let batches = builder
            .with_projection(projection)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| self.unreadable(&error))?;
        let mut row_number = 1;
        for batch in batches {
            let batch = batch.map_err(|error| self.unreadable(&error))?;
            self.parquet_batch(&batch, row_number)?;
            row_number += batch.num_rows();
        }
        Ok(())
    }

    /// Adds the rows of a batch, whose first row is row `first` of the file.
    fn parquet_batch(&mut self, batch: &RecordBatch, first: usize) -> Result<(), SourceError> {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| self.unreadable(&format!("a batch has no column `{name}`")))
        };
        let questions = column(&self.schema.question)?.clone();
        let answers = column(&self.schema.answer)?.clone();
        for index in 0..batch.num_rows() {
            let place = Place::Row(first + index);
            let at = |problem| self.at(place, problem);
            let row = Row {
                question: text(questions.as_string(), index, &self.schema.question).map_err(at)?,
                answers: texts(&answers, index, &self.schema.answer).map_err(at)?,
            };
            self.push(row, place)?;
        }
        Ok(())
    }

    fn parquet_column<T>(&self, builder: &ArrowReaderBuilder<T>, column: &str) -> Result<usize, SourceError> {
        let fields = builder.schema().fields();
        fields
            .iter()
            .position(|field| field.name() == column)
            .ok_or_else(|| SourceError::NoColumn {
                path: self.path.to_owned(),
                column: column.to_owned(),
                columns: fields.iter().map(|field| field.name().clone()).collect(),
            })
    }

    fn column_type(&self, column: &str, expected: &'static str, found: &DataType) -> SourceError {
        SourceError::ColumnType {
            path: self.path.to_owned(),
            column: column.to_owned(),
            expected,
            found: found.to_string(),
        }
    }

    fn unreadable(&self, error: &dyn Display) -> SourceError {
        SourceError::Parquet {
            path: self.path.to_owned(),
            what: error.to_string(),
        }
    }
}

fn text(texts: &StringArray, index: usize, column: &str) -> Result<String, Problem> {
    if texts.is_null(index) {
        return Err(Problem::CellType {
            column: column.to_owned(),
            expected: TEXT,
            found: "null",
        });
    }
    Ok(texts.value(index).to_owned())
}

fn texts(answers: &dyn Array, index: usize, column: &str) -> Result<Vec<String>, Problem> {
    let Some(lists) = answers.as_list_opt::<i32>() else {
        return Ok(vec![text(answers.as_string(), index, column)?]);
    };
    if lists.is_null(index) {
        return Err(Problem::CellType {
            column: column.to_owned(),
            expected: TEXT_OR_TEXTS,
            found: "null",
        });
    }
    let list = lists.value(index);
    let list: &StringArray = list.as_string();
    (0..list.len()).map(|index| text(list, index, column)).collect()
}
