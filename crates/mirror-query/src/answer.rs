//! The rows of an answer, as somebody wants to read them.

use std::io::{BufWriter, Write};

use clap::ValueEnum;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::JsonArray;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::dataframe::DataFrame;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use futures::StreamExt;
use std::sync::Arc;

use crate::error::QueryError;

/// Rows that a table shows; the other formats have all.
const SHOWN: usize = 1_000;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, at most 1,000 rows
    Table,
    /// With a header
    Csv,
    /// One list of objects
    Json,
    /// A file of its own
    Parquet,
}

/// Writes the rows of `answer`, batch by batch as they come.
pub(crate) async fn write(
    answer: DataFrame,
    format: Format,
    out: impl Write + Send,
) -> Result<(), QueryError> {
    let schema = Arc::clone(answer.schema().inner());
    let mut batches = answer
        .execute_stream()
        .await
        .map_err(|error| QueryError::of(&error))?;
    let mut sink = Sink::new(format, schema, BufWriter::new(out))?;
    while let Some(batch) = batches.next().await {
        sink.take(&batch.map_err(|error| QueryError::of(&error))?)?;
    }
    sink.finish()
}

/// Where the rows of an answer go.
enum Sink<W: Write + Send> {
    Table {
        out: W,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        rows: usize,
    },
    Csv {
        csv: Box<csv::Writer<W>>,
        schema: SchemaRef,
    },
    Json(datafusion::arrow::json::Writer<W, JsonArray>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Sink<W> {
    fn new(format: Format, schema: SchemaRef, out: W) -> Result<Self, QueryError> {
        Ok(match format {
            Format::Table => Self::Table {
                out,
                schema,
                batches: Vec::new(),
                rows: 0,
            },
            Format::Csv => {
                let schema = flat(&schema);
                let mut csv = Box::new(csv::WriterBuilder::new().with_header(true).build(out));
                // An answer without rows has its header all the same.
                csv.write(&RecordBatch::new_empty(Arc::clone(&schema)))
                    .map_err(unwritten)?;
                Self::Csv { csv, schema }
            }
            Format::Json => Self::Json(WriterBuilder::new().with_explicit_nulls(true).build(out)),
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .build();
                let parquet = ArrowWriter::try_new(out, schema, Some(properties))
                    .map_err(|error| unwritten(error.into()))?;
                Self::Parquet(Box::new(parquet))
            }
        })
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        match self {
            Self::Table { batches, rows, .. } => {
                let shown = batch.num_rows().min(SHOWN.saturating_sub(*rows));
                *rows += batch.num_rows();
                if shown > 0 {
                    batches.push(batch.slice(0, shown));
                }
                Ok(())
            }
            Self::Csv { csv, schema } => {
                let columns: Result<Vec<ArrayRef>, ArrowError> =
                    batch.columns().iter().map(as_cells).collect();
                columns
                    .and_then(|columns| RecordBatch::try_new(Arc::clone(schema), columns))
                    .and_then(|batch| csv.write(&batch))
                    .map_err(unwritten)
            }
            Self::Json(json) => json.write(batch).map_err(unwritten),
            Self::Parquet(parquet) => parquet.write(batch).map_err(|error| unwritten(error.into())),
        }
    }

    fn finish(self) -> Result<(), QueryError> {
        match self {
            Self::Table {
                mut out,
                schema,
                batches,
                rows,
            } => {
                let table = pretty_format_batches_with_schema(schema, &batches).map_err(unwritten)?;
                let noun = if rows == 1 { "row" } else { "rows" };
                let note = if rows > SHOWN {
                    format!(", the first {SHOWN} of them here; --format csv has all")
                } else {
                    String::new()
                };
                writeln!(out, "{table}\n{rows} {noun}{note}")
                    .and_then(|()| out.flush())
                    .map_err(QueryError::Output)
            }
            Self::Csv { csv, .. } => csv.into_inner().flush().map_err(QueryError::Output),
            Self::Json(mut json) => {
                json.finish().map_err(unwritten)?;
                let mut out = json.into_inner();
                writeln!(out)
                    .and_then(|()| out.flush())
                    .map_err(QueryError::Output)
            }
            Self::Parquet(parquet) => {
                let mut out = parquet.into_inner().map_err(|error| unwritten(error.into()))?;
                out.flush().map_err(QueryError::Output)
            }
        }
    }
}

fn unwritten(error: ArrowError) -> QueryError {
    match error {
        ArrowError::IoError(_, error) => QueryError::Output(error),
        other => QueryError::Failed(other.to_string()),
    }
}

/// The columns as CSV has them, whose cells hold no lists.
fn flat(schema: &SchemaRef) -> SchemaRef {
    let cell = |field: &Arc<Field>| {
        let kind = match field.data_type() {
            nested if nested.is_nested() => DataType::Utf8,
            plain => plain.clone(),
        };
        Field::new(field.name(), kind, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(cell).collect::<Vec<_>>()))
}

/// A column for CSV: what is nested, as text.
fn as_cells(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !column.data_type().is_nested() {
        return Ok(Arc::clone(column));
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let cell = |row| (!column.is_null(row)).then(|| formatter.value(row).to_string());
    Ok(Arc::new((0..column.len()).map(cell).collect::<StringArray>()))
}
