//! Files of rows: they are written once, in the order of their table, and merged.

use std::borrow::Borrow;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow_schema::{ArrowError, Field, FieldRef, Schema, SchemaRef};
use mirror_proto::mirror::v1::Record;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use tempfile::TempDir;

use crate::error::RunError;
use crate::tables::former_names::{former_name, with_names_of_today};
use crate::tables::{self, Row};

/// Maximum number of rows, and of bytes, that are exchanged with the Parquet library in one batch.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;

/// Maximum number of rows in a batch of requested columns.
const READ_ROWS: usize = 4096;

/// Maximum number of rows, and of bytes, of a row group. A row group is buffered in memory while it is written.
const ROW_GROUP_ROWS: usize = 128 << 10;
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Maximum size of a page in bytes. A reader buffers a page of every column.
const PAGE_BYTES: usize = 128 << 10;

/// Maximum number of files that are merged together. More files are merged in rounds, so that memory use does not grow
/// with the run.
const FAN_IN: usize = 32;

/// Writes the rows of one table among `records` to a new file, and returns their number. No file is created if there
/// are no rows.
pub(crate) fn write<R: Row>(records: &[Record], run_id: &str, file: &Path) -> Result<u64, RunError> {
    let mut rows = Vec::new();
    for record in records {
        R::read(record, &mut rows);
    }
    if rows.is_empty() {
        return Ok(0);
    }
    write_rows(&rows, run_id, file)
}

/// Writes rows to a new file in the order of their table, and returns their number.
pub(crate) fn write_rows<R: Row>(rows: &[R], run_id: &str, file: &Path) -> Result<u64, RunError> {
    // Rows are large, so references to them are sorted and written.
    let mut order: Vec<&R> = rows.iter().collect();
    order.sort_by(|first, second| first.order(second));
    let mut writer = RowWriter::<R, &R>::create(file, run_id)?;
    for row in order {
        writer.push(row)?;
    }
    writer.finish()
}

/// Merges sorted files into a new file and returns the number of rows. If there are many files, intermediate files are
/// written in `scratch`.
pub(crate) fn merge<R: Row>(
    sources: Vec<PathBuf>,
    run_id: &str,
    scratch: &Path,
    file: &Path,
) -> Result<u64, RunError> {
    let mut writer = RowWriter::<R, R>::create(file, run_id)?;
    for row in Rows::<R>::merging(sources, run_id, scratch)? {
        writer.push(row?)?;
    }
    writer.finish()
}

/// Replaces a file atomically with one that contains `bytes`.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    mirror_files::replace(path, bytes).map_err(|error| RunError::write(path, error))
}

/// Reads a file of at most `largest` bytes. Returns `None` if the file does not exist.
pub(crate) fn read_small(path: &Path, largest: u64) -> Result<Option<Vec<u8>>, RunError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RunError::read(path, error)),
    };
    let bytes = mirror_files::read_at_most(file, largest).map_err(|error| RunError::read(path, error))?;
    let too_large = || {
        let error = io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the file is larger than the limit of {largest} bytes"),
        );
        RunError::read(path, error)
    };
    bytes.ok_or_else(too_large).map(Some)
}

/// Renames a finished file or directory to its final name durably. The files in a directory are synced first.
pub(crate) fn publish(unfinished: &Path, path: &Path) -> Result<(), RunError> {
    mirror_files::publish(unfinished, path).map_err(|error| RunError::write(path, error))
}

/// Syncs a file's content or a directory's entries to the disk.
pub(crate) fn sync(path: &Path) -> Result<(), RunError> {
    mirror_files::sync(path).map_err(|error| RunError::write(path, error))
}

/// Writes rows that are pushed in the order of their table. `B` is a row or a reference to one.
struct RowWriter<R, B> {
    path: PathBuf,
    run_id: String,
    schema: SchemaRef,
    parquet: ArrowWriter<File>,
    batch: Vec<B>,
    batch_bytes: usize,
    rows: u64,
    table: PhantomData<R>,
}

impl<R: Row, B: Borrow<R>> RowWriter<R, B> {
    fn create(path: &Path, run_id: &str) -> Result<Self, RunError> {
        let file = File::create(path).map_err(|error| RunError::write(path, error))?;
        let schema = tables::schema(R::fields());
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_data_page_size_limit(PAGE_BYTES);
        let properties = R::DISTINCT.iter().fold(properties, |properties, column| {
            properties.set_column_dictionary_enabled(ColumnPath::from(*column), false)
        });
        let parquet = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build()))
            .map_err(|error| RunError::parquet(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            run_id: run_id.to_owned(),
            schema,
            parquet,
            batch: Vec::new(),
            batch_bytes: 0,
            rows: 0,
            table: PhantomData,
        })
    }

    fn push(&mut self, row: B) -> Result<(), RunError> {
        self.batch_bytes += row.borrow().bytes();
        self.batch.push(row);
        if self.batch.len() >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RunError> {
        let run_id = StringArray::from_iter_values(std::iter::repeat_n(&self.run_id, self.batch.len()));
        let run_id: ArrayRef = Arc::new(run_id);
        let columns = std::iter::once(run_id)
            .chain(R::arrays(self.batch.iter().map(B::borrow)))
            .collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(ParquetError::from)
            .and_then(|batch| self.parquet.write(&batch))
            .map_err(|error| RunError::parquet(&self.path, error))?;
        self.rows += self.batch.len() as u64;
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }

    /// Closes the file and returns the number of rows.
    fn finish(mut self) -> Result<u64, RunError> {
        self.flush()?;
        let path = self.path;
        self.parquet
            .close()
            .map_err(|error| RunError::parquet(&path, error))?;
        Ok(self.rows)
    }
}

/// Reads the rows of one file.
struct RowReader<R> {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    batch: vec::IntoIter<R>,
}

impl<R: Row> RowReader<R> {
    fn open(path: PathBuf) -> Result<Self, RunError> {
        let file = open_parquet(&path)?;
        let rows = rows_of_a_batch(file.metadata());
        let batches = file
            .with_batch_size(rows)
            .build()
            .map_err(|error| RunError::parquet(&path, error))?;
        Ok(Self {
            path,
            batches,
            batch: Vec::new().into_iter(),
        })
    }

    fn next(&mut self) -> Result<Option<R>, RunError> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            let Some(batch) = self.batches.next() else {
                return Ok(None);
            };
            let batch = batch.map_err(|error| RunError::parquet(&self.path, error.into()))?;
            let batch = with_absent_columns(&with_names_of_today(&batch), &tables::schema(R::fields()))
                .map_err(|error| RunError::parquet(&self.path, error.into()))?;
            let rows = R::from_batch(&batch).map_err(|source| RunError::Columns {
                path: self.path.clone(),
                source,
            })?;
            self.batch = rows.into_iter();
        }
    }
}

/// Returns the number of rows of a file that are read together. A merge reads [`FAN_IN`] files, whose batches together
/// have about [`BATCH_BYTES`] in memory, however long the lists in a row are.
fn rows_of_a_batch(metadata: &ParquetMetaData) -> usize {
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    // Each value of a list counts. Equal values may be stored once, so that the size in the file is smaller.
    let bytes = columns.map(|column| {
        column
            .uncompressed_size()
            .max(column.num_values().saturating_mul(8))
    });
    let bytes = usize::try_from(bytes.fold(0_i64, i64::saturating_add)).unwrap_or(usize::MAX);
    let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(1);
    let bytes_per_row = bytes / rows.max(1);
    (BATCH_BYTES / FAN_IN / bytes_per_row.max(1)).clamp(1, BATCH_ROWS)
}

fn open_parquet(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, RunError> {
    let file = File::open(path).map_err(|error| RunError::read(path, error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| RunError::parquet(path, error))
}

/// Returns the number of rows in a file, read from its footer.
pub(crate) fn row_count(path: &Path) -> Result<u64, RunError> {
    let rows = open_parquet(path)?.metadata().file_metadata().num_rows();
    u64::try_from(rows).map_err(|error| RunError::parquet(path, ParquetError::External(error.into())))
}

/// Returns the greatest value of a column of unsigned integers, read from the footer. `None` if there is none.
pub(crate) fn greatest(path: &Path, column: &str) -> Result<Option<u64>, RunError> {
    let builder = open_parquet(path)?;
    let groups = builder.metadata().row_groups().iter();
    let columns = groups.flat_map(RowGroupMetaData::columns);
    let columns = columns.filter(|chunk| chunk.column_path().string() == column);
    let greatest = columns.filter_map(|chunk| match chunk.statistics() {
        Some(Statistics::Int64(statistics)) => statistics.max_opt().map(|greatest| *greatest as u64),
        _ => None,
    });
    Ok(greatest.max())
}

/// An iterator over the rows of a table, in the order of the table. It ends after the first error.
pub struct Rows<R> {
    sources: Vec<Source<R>>,
    failed: Option<RunError>,
    /// Directory with the files of all merge rounds except the last.
    _rounds: Option<TempDir>,
}

struct Source<R> {
    /// The next row.
    head: R,
    reader: RowReader<R>,
}

impl<R: Row> Rows<R> {
    /// Creates an iterator over files that are each in the order of the table. Rows with equal keys are returned in the
    /// order of `files`.
    pub(crate) fn merging(files: Vec<PathBuf>, run_id: &str, scratch: &Path) -> Result<Self, RunError> {
        let (files, rounds) = merge_in_rounds::<R>(files, run_id, scratch)?;
        let mut sources = Vec::with_capacity(files.len());
        for file in files {
            let mut reader = RowReader::open(file)?;
            if let Some(head) = reader.next()? {
                sources.push(Source { head, reader });
            }
        }
        Ok(Self {
            sources,
            failed: None,
            _rounds: rounds,
        })
    }
}

impl<R: Row> Iterator for Rows<R> {
    type Item = Result<R, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.sources.clear();
            return Some(Err(error));
        }
        let heads = self.sources.iter().enumerate();
        // Of equal heads, `min_by` returns the first.
        let (least, _) = heads.min_by(|(_, one), (_, other)| one.head.order(&other.head))?;
        let source = self.sources.get_mut(least)?;
        let row = match source.reader.next() {
            Ok(Some(next)) => std::mem::replace(&mut source.head, next),
            Ok(None) => self.sources.remove(least).head,
            Err(error) => {
                self.failed = Some(error);
                self.sources.remove(least).head
            }
        };
        Some(Ok(row))
    }
}

/// Merges groups of adjacent files until at most [`FAN_IN`] files are left. Returns these files, and the temporary
/// directory if some of them are in it.
fn merge_in_rounds<R: Row>(
    mut files: Vec<PathBuf>,
    run_id: &str,
    scratch: &Path,
) -> Result<(Vec<PathBuf>, Option<TempDir>), RunError> {
    if files.len() <= FAN_IN {
        return Ok((files, None));
    }
    let folder = tempfile::tempdir_in(scratch).map_err(|error| RunError::write(scratch, error))?;
    let mut round = 0;
    while files.len() > FAN_IN {
        let mut merged = Vec::new();
        for (group, sources) in files.chunks(FAN_IN).enumerate() {
            let file = folder.path().join(format!("{round}-{group}.parquet"));
            merge::<R>(sources.to_vec(), run_id, folder.path(), &file)?;
            merged.push(file);
        }
        files = merged;
        round += 1;
    }
    Ok((files, Some(folder)))
}

/// An iterator over the record batches of a table: the requested columns, about four thousand rows at a time.
pub struct Batches {
    files: vec::IntoIter<PathBuf>,
    /// The requested columns.
    wanted: SchemaRef,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl Batches {
    pub(crate) fn of(files: Vec<PathBuf>, wanted: SchemaRef) -> Self {
        Self {
            files: files.into_iter(),
            wanted,
            current: None,
        }
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, RunError> {
        loop {
            if let Some((path, batches)) = &mut self.current {
                match batches.next() {
                    Some(batch) => {
                        return batch
                            .and_then(|batch| complete(&with_names_of_today(&batch), &self.wanted))
                            .map(Some)
                            .map_err(|error| RunError::parquet(path, error.into()));
                    }
                    None => self.current = None,
                }
            }
            let Some(path) = self.files.next() else {
                return Ok(None);
            };
            let builder = open_parquet(&path)?;
            let columns = self.wanted.fields().iter().map(|field| field.name().as_str());
            let columns = columns.flat_map(|column| std::iter::once(column).chain(former_name(column)));
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
            let batches = builder
                .with_projection(mask)
                .with_batch_size(READ_ROWS)
                .build()
                .map_err(|error| RunError::parquet(&path, error))?;
            self.current = Some((path, batches));
        }
    }
}

/// Adds the columns of `schema` that may be empty and that an earlier version did not write.
fn with_absent_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let absent = |field: &&FieldRef| field.is_nullable() && batch.column_by_name(field.name()).is_none();
    let absent: Vec<&FieldRef> = schema.fields().iter().filter(absent).collect();
    if absent.is_empty() {
        return Ok(batch.clone());
    }
    let (old, rows) = (batch.schema(), batch.num_rows());
    let fields = old.fields().iter().chain(absent.iter().copied()).cloned();
    let empty = absent.iter().map(|field| new_null_array(field.data_type(), rows));
    let columns = batch.columns().iter().cloned().chain(empty).collect();
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// Returns the columns of `wanted` in its order. Columns that the batch lacks are null in every row.
fn complete(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = wanted.fields().iter().map(|field| {
        let present = batch.column_by_name(field.name());
        present.map_or_else(|| new_null_array(field.data_type(), batch.num_rows()), Arc::clone)
    });
    let columns: Vec<ArrayRef> = columns.collect();
    let fields = wanted.fields().iter().zip(&columns);
    let fields = fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &rows)
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if let Some(Err(_)) = item {
            self.current = None;
            self.files = Vec::new().into_iter();
        }
        item
    }
}
