//! The tables that a question can name: those of the runs, and two more that are made here. Nothing else is in reach.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ListArray, RecordBatch, StringArray, UInt32Array, UInt64Array, builder::ListBuilder,
    builder::StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::{SessionConfig, SessionContext};
use mirror_runs::tables::{TABLES, Table};
use mirror_runs::{Run, roles};
use url::Url;

use crate::bounds;
use crate::error::QueryError;

/// One row a run.
const RUNS: &str = "runs";

/// One row a uid of a run.
const UIDS: &str = "uids";

/// Every table, in the order in which they are told of.
pub(crate) const NAMES: [&str; TABLES.len() + 2] = {
    let mut names = [RUNS; TABLES.len() + 2];
    names[1] = UIDS;
    let mut table = 0;
    while table < TABLES.len() {
        names[table + 2] = TABLES[table].name;
        table += 1;
    }
    names
};

/// Runs that can be asked.
pub(crate) struct Session {
    pub(crate) context: SessionContext,
    /// Rows of those that go on lie in folders that are there as long as these.
    runs: Vec<Run>,
}

impl Session {
    /// Opens runs by their folders, each once.
    pub(crate) fn open(folders: &[PathBuf]) -> Result<Self, QueryError> {
        let mut runs: Vec<Run> = Vec::new();
        for folder in folders {
            let run = Run::open(folder)?;
            if !runs.iter().any(|other| other.manifest().id == run.manifest().id) {
                runs.push(run);
            }
        }
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(bounds::threads());
        let context = SessionContext::new_with_config_rt(config, bounds::environment()?);
        let session = Self { context, runs };
        for table in TABLES {
            session.register(table.name, session.stored(&table)?)?;
        }
        session.register(RUNS, in_memory(session.runs_table()?)?)?;
        session.register(UIDS, in_memory(session.uids_table()?)?)?;
        Ok(session)
    }

    /// Number of a table's rows over all runs; none of one that is not a run's.
    pub(crate) fn row_count(&self, table: &str) -> Result<Option<u64>, QueryError> {
        let Some(table) = Table::named(table) else {
            return Ok(None);
        };
        let mut rows = 0;
        for run in &self.runs {
            rows += rows_of(run, &table)?;
        }
        Ok(Some(rows))
    }

    fn register(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<(), QueryError> {
        self.context
            .register_table(name, table)
            .map_err(|error| QueryError::of(&error))?;
        Ok(())
    }

    fn stored(&self, table: &Table) -> Result<Arc<dyn TableProvider>, QueryError> {
        let schema = lenient(&table.schema());
        let mut files = Vec::new();
        for run in &self.runs {
            for file in files_of(run, table)? {
                files.push(location(&file)?);
            }
        }
        if files.is_empty() {
            return Ok(Arc::new(EmptyTable::new(schema)));
        }
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let config = ListingTableConfig::new_with_multi_paths(files)
            .with_listing_options(options)
            .with_schema(schema);
        Ok(Arc::new(
            ListingTable::try_new(config).map_err(|error| QueryError::of(&error))?,
        ))
    }

    /// What each run is, how it stands, and how many rows each of its tables has.
    fn runs_table(&self) -> Result<RecordBatch, QueryError> {
        let manifests = || self.runs.iter().map(Run::manifest);
        let state = |run: &Run| {
            serde_json::to_value(run.state())
                .ok()
                .and_then(|state| state.as_str().map(str::to_owned))
                .expect("a state is written as a word")
        };
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
        let optional = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let seeds = UInt64Array::from_iter_values(manifests().map(|manifest| manifest.seed));
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            (
                "run_id",
                text(manifests().map(|manifest| manifest.id.as_str()).collect()),
            ),
            (
                "experiment",
                text(manifests().map(|manifest| manifest.experiment.as_str()).collect()),
            ),
            (
                "state",
                Arc::new(StringArray::from_iter_values(self.runs.iter().map(state))),
            ),
            ("seed", Arc::new(seeds)),
            (
                "created",
                text(manifests().map(|manifest| manifest.created.as_str()).collect()),
            ),
            (
                "finished",
                optional(manifests().map(|manifest| manifest.finished.as_deref()).collect()),
            ),
            (
                "job_type",
                text(manifests().map(|manifest| manifest.job_type.as_str()).collect()),
            ),
            (
                "run_group",
                optional(manifests().map(|manifest| manifest.group.as_deref()).collect()),
            ),
            (
                "tags",
                Arc::new(tags(manifests().map(|manifest| manifest.tags.as_slice()))),
            ),
            (
                "notes",
                optional(manifests().map(|manifest| manifest.notes.as_deref()).collect()),
            ),
        ];
        for table in TABLES {
            let rows: Result<Vec<u64>, QueryError> =
                self.runs.iter().map(|run| rows_of(run, &table)).collect();
            columns.push((table.name, Arc::new(UInt64Array::from(rows?))));
        }
        batch(columns)
    }

    /// What each uid was told to be.
    fn uids_table(&self) -> Result<RecordBatch, QueryError> {
        let (mut ids, mut uids, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for run in &self.runs {
            for role in roles::load(run.layout())? {
                ids.push(run.manifest().id.clone());
                uids.push(role.uid);
                names.push(role.role);
            }
        }
        batch(vec![
            ("run_id", Arc::new(StringArray::from(ids))),
            ("uid", Arc::new(UInt32Array::from(uids))),
            ("role", Arc::new(StringArray::from(names))),
        ])
    }
}

/// Names of a run's table's columns; of other tables none.
pub(crate) fn columns_of(table: &str) -> Vec<String> {
    Table::named(table).map_or_else(Vec::new, |table| {
        let schema = table.schema();
        schema.fields().iter().map(|field| field.name().clone()).collect()
    })
}

fn tags<'a>(of_runs: impl Iterator<Item = &'a [String]>) -> ListArray {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for tags in of_runs {
        lists.append_value(tags.iter().map(Some));
    }
    lists.finish()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, QueryError> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(|error| QueryError::of(&error.into()))
}

fn in_memory(batch: RecordBatch) -> Result<Arc<dyn TableProvider>, QueryError> {
    let table =
        MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(|error| QueryError::of(&error))?;
    Ok(Arc::new(table))
}

/// The files of a table of a run. One of an earlier version may lack a table.
fn files_of(run: &Run, table: &Table) -> Result<Vec<PathBuf>, QueryError> {
    let mut files = run.table_files(table)?;
    files.retain(|file| file.exists());
    Ok(files)
}

fn rows_of(run: &Run, table: &Table) -> Result<u64, QueryError> {
    if files_of(run, table)?.is_empty() {
        return Ok(0);
    }
    Ok(run.row_count(table)?)
}

/// A file by its address, in which no letter stands for others.
fn location(file: &Path) -> Result<ListingTableUrl, QueryError> {
    let absolute = std::path::absolute(file).map_err(QueryError::Input)?;
    let url = Url::from_file_path(&absolute)
        .map_err(|()| QueryError::Failed(format!("{} has no address", absolute.display())))?;
    ListingTableUrl::try_new(url, None).map_err(|error| QueryError::of(&error))
}

/// The columns, any of which a run of an earlier version may lack.
fn lenient(schema: &SchemaRef) -> SchemaRef {
    let nullable = |field: &Arc<Field>| -> Field {
        let kind: DataType = field.data_type().clone();
        Field::new(field.name(), kind, true)
    };
    Arc::new(Schema::new(
        schema.fields().iter().map(nullable).collect::<Vec<_>>(),
    ))
}
