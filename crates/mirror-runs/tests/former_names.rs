//! Tests that runs of earlier versions, whose tables have other names of columns and values, are read and compared.

mod sample;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::Schema;
use mirror_proto::mirror::v1::{IncidentKind, Purpose, Record};
use mirror_runs::tables::{EventRow, IncidentRow, ResponseRow, Row, Table};
use mirror_runs::{Run, Verdict, diff};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sample::{event, forward, incident, run_of};

/// Rewrites a table with `by hand` for `manual`, as version 0.1 before the renaming wrote it, and with `former` as the
/// name of the column `name`.
fn rewrite(path: &Path, name: &str, former: &str) {
    let file = File::open(path).expect("the table is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader
        .build()
        .expect("it has batches")
        .map(|batch| batch.expect("it can be read"))
        .collect();
    let fields = schema.fields().iter().map(|field| {
        if field.name() == name {
            Arc::new(field.as_ref().clone().with_name(former))
        } else {
            Arc::clone(field)
        }
    });
    let former = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let out = File::create(path).expect("it can be written");
    let mut writer = ArrowWriter::try_new(out, Arc::clone(&former), None).expect("a writer");
    for batch in batches {
        let columns = former.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, values)| match field.name().as_str() {
            "purpose" => former_purposes(values),
            _ => Arc::clone(values),
        });
        let batch = RecordBatch::try_new(Arc::clone(&former), columns.collect()).expect("the same rows");
        writer.write(&batch).expect("it is written");
    }
    writer.close().expect("it is written");
}

fn former_purposes(values: &ArrayRef) -> ArrayRef {
    let texts = values.as_any().downcast_ref::<StringArray>().expect("texts");
    let former = texts
        .iter()
        .map(|text| text.map(|text| text.replace("manual", "by hand")));
    Arc::new(former.collect::<StringArray>())
}

fn records() -> Vec<Record> {
    let mut manual = forward("validator-0", 1, 0);
    manual.purpose = Purpose::Manual.into();
    [forward("validator-0", 0, 0), forward("validator-0", 0, 1), manual]
        .map(event)
        .into()
}

#[test]
fn tables_with_former_names_are_read_and_compared() {
    are_read_and_compared("step_sub");
}

#[test]
fn tables_with_only_former_values_are_read_and_compared() {
    are_read_and_compared("forward_index");
}

fn are_read_and_compared(forward_index: &str) {
    let runs = tempfile::tempdir().unwrap();
    let now = run_of(runs.path(), &records());
    let former = run_of(runs.path(), &records());
    for table in ["events", "responses", "losses", "parameters"] {
        rewrite(
            &former.layout().root().join(format!("{table}.parquet")),
            "forward_index",
            forward_index,
        );
    }
    let former = Run::open(former.layout().root()).unwrap();

    let places = |run: &Run| -> Vec<(u64, u32, String)> {
        let rows = run.rows::<EventRow>().unwrap().map(Result::unwrap);
        rows.map(|row| (row.step, row.forward_index, row.purpose))
            .collect()
    };
    assert_eq!(places(&former), places(&now));
    assert!(places(&former).contains(&(1, 0, "manual".to_owned())));

    let difference = diff(&now, &former, 10).unwrap();
    assert_eq!(difference.verdict(), Verdict::Same, "{difference:?}");
    assert_eq!(difference.manual, (1, 1));

    let events = Table::named(EventRow::TABLE).unwrap();
    for batch in former.batches(&events, &["forward_index", "purpose"]).unwrap() {
        let schema = batch.unwrap().schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        assert_eq!(names, ["forward_index", "purpose"]);
    }
}

/// The time of an incident had the name `at`.
#[test]
fn incidents_with_the_former_name_of_their_time_are_read() {
    let runs = tempfile::tempdir().unwrap();
    let exited = incident("miner-3", IncidentKind::Exited);
    let former = run_of(runs.path(), &[records(), vec![exited]].concat());
    rewrite(
        &former.layout().root().join("incidents.parquet"),
        "occurred_at",
        "at",
    );
    let former = Run::open(former.layout().root()).unwrap();
    let rows = former.rows::<IncidentRow>().unwrap().map(Result::unwrap);
    assert_eq!(
        rows.map(|row| row.occurred_at).collect::<Vec<_>>(),
        [Some(1_795_000_001.0)]
    );
}

/// A run of a version without faults has neither their table nor the column `faults`.
#[test]
fn a_run_without_the_columns_of_faults_is_read_and_compared() {
    let runs = tempfile::tempdir().unwrap();
    let now = run_of(runs.path(), &records());
    let former = run_of(runs.path(), &records());
    std::fs::remove_file(former.layout().root().join("faults.parquet")).unwrap();
    without_column(&former.layout().root().join("responses.parquet"), "faults");
    let former = Run::open(former.layout().root()).unwrap();
    let rows = former.rows::<ResponseRow>().unwrap().map(Result::unwrap);
    assert!(rows.map(|row| row.faults).all(|faults| faults.is_none()));
    let difference = diff(&now, &former, 10).unwrap();
    assert_eq!(difference.verdict(), Verdict::Same, "{difference:?}");
}

/// Rewrites a table without a column.
fn without_column(path: &Path, column: &str) {
    let file = File::open(path).expect("the table is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
    let kept: Vec<usize> = (0..reader.schema().fields().len())
        .filter(|index| reader.schema().field(*index).name() != column)
        .collect();
    let schema = Arc::new(reader.schema().project(&kept).expect("the columns exist"));
    let batches: Vec<RecordBatch> = reader
        .build()
        .expect("it has batches")
        .map(|batch| {
            batch
                .expect("it can be read")
                .project(&kept)
                .expect("the columns exist")
        })
        .collect();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, None).expect("a writer");
    for batch in batches {
        writer.write(&batch).expect("it is written");
    }
    writer.close().expect("it is written");
}
