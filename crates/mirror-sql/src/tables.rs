//! The tables that a query can name: those of the runs, and `runs` and `uids`, which are created here.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use arrow_schema::DataType;
use mirror_runs::tables::{FORMER_MANUAL, MANUAL, TABLES, Table, former_name};
use mirror_runs::{Run, neurons};
use serde_json::json;

use crate::error::SqlError;
use crate::statement::Reads;

/// Table with one row per run.
const RUNS: &str = "runs";

/// Table with one row per uid of a run.
const UIDS: &str = "uids";

/// Returns the names of all tables, in the order in which they are listed.
pub(crate) fn table_names() -> impl Iterator<Item = &'static str> {
    [RUNS, UIDS]
        .into_iter()
        .chain(TABLES.iter().map(|table| table.name))
}

/// The runs that a query can read.
#[derive(Default)]
pub(crate) struct Scope {
    /// The runs. A run that is still recording keeps its rows in a temporary directory, which exists as long as its
    /// `Run`.
    runs: Vec<Run>,
    /// Paths that DuckDB reads, each with the file of a run that it links to.
    links: Vec<(String, PathBuf)>,
}

impl Scope {
    /// Opens the runs in the given directories, each run once.
    pub(crate) fn open(folders: &[PathBuf]) -> Result<Self, SqlError> {
        let mut runs: Vec<Run> = Vec::new();
        for folder in folders {
            let run = Run::open(folder)?;
            if !runs.iter().any(|other| other.manifest().id == run.manifest().id) {
                runs.push(run);
            }
        }
        Ok(Self {
            runs,
            links: Vec::new(),
        })
    }

    /// Returns the tables that a statement names and that have no rows in any run.
    pub(crate) fn without_rows(&self, reads: &Reads) -> Result<Vec<&'static str>, SqlError> {
        let mut without = Vec::new();
        for table in TABLES.iter().filter(|table| reads.visible.contains(table.name)) {
            let mut rows = 0;
            for run in &self.runs {
                rows += rows_of(run, table)?;
            }
            if rows == 0 {
                without.push(table.name);
            }
        }
        Ok(without)
    }

    /// Creates the files that a statement reads in the directory `work`, an absolute path. Returns the part of a script
    /// that creates the tables and then drops the permission to open any file other than those and `written`.
    ///
    /// DuckDB treats the paths that it reads as patterns, so each file is read through a symbolic link with a plain
    /// name.
    pub(crate) fn prepare(
        &mut self,
        reads: &Reads,
        work: &Path,
        written: &[&str],
    ) -> Result<String, SqlError> {
        let read = |name: &str| reads.all || reads.tables.contains(name);
        let folder = quoted(&format!("{}/", utf8(work)?));
        let mut script = String::new();
        if read(RUNS) {
            write_rows(&work.join("runs.json"), self.runs_rows()?)?;
            create_from_json(&mut script, RUNS, &runs_columns());
        }
        if read(UIDS) {
            write_rows(&work.join("uids.json"), self.uids_rows()?)?;
            create_from_json(&mut script, UIDS, &UIDS_COLUMNS);
        }
        let mut allowed = written
            .iter()
            .map(|file| format!("{folder} || '{file}'"))
            .collect::<Vec<_>>()
            .join(", ");
        allowed = format!("[{allowed}]");
        for table in TABLES.iter().filter(|table| read(table.name)) {
            let files = self.link_files(table, work)?;
            let name = table.name;
            let columns = columns_of(table);
            let (mut names, mut none) = (Vec::new(), Vec::new());
            for (column, kind) in &columns {
                names.push(column_of_today(column));
                for name in std::iter::once(column.as_str()).chain(former_name(column)) {
                    none.push(format!("NULL::{kind} AS \"{name}\""));
                }
            }
            let (names, none) = (names.join(", "), none.join(", "));
            let rows = if files == 0 {
                String::new()
            } else {
                writeln!(
                    script,
                    "SET VARIABLE {name} = [{folder} || '{name}-' || file || '.parquet' FOR file IN range({files})];"
                )
                .expect("writing to a string does not fail");
                allowed = format!("list_concat({allowed}, getvariable('{name}'))");
                format!(" UNION ALL BY NAME FROM read_parquet(getvariable('{name}'), union_by_name = true)")
            };
            // A column that no file contains, because an earlier version wrote all of them, is null in every row.
            writeln!(
                script,
                "CREATE VIEW {name} AS SELECT {names} FROM (SELECT {none} WHERE false{rows});"
            )
            .expect("writing to a string does not fail");
        }
        write!(
            script,
            "SET allowed_paths = {allowed};\nSET enable_external_access = false;\nSET lock_configuration = true;\n"
        )
        .expect("writing to a string does not fail");
        Ok(script)
    }

    /// Replaces the links in a message of DuckDB with the real paths of the files. Returns `None` if the message
    /// contains no link.
    pub(crate) fn with_real_paths(&self, said: &str) -> Option<String> {
        let mut mentioned = self
            .links
            .iter()
            .filter(|(link, _)| said.contains(link.as_str()))
            .peekable();
        mentioned.peek()?;
        Some(mentioned.fold(said.to_owned(), |said, (link, file)| {
            said.replace(link.as_str(), &file.display().to_string())
        }))
    }

    /// Links the files of a table of all runs as `<table>-0.parquet` and so on. Returns the number of files.
    fn link_files(&mut self, table: &Table, work: &Path) -> Result<usize, SqlError> {
        let mut files = Vec::new();
        for run in &self.runs {
            files.extend(files_of(run, table)?);
        }
        for (number, file) in files.iter().enumerate() {
            let link = work.join(format!("{}-{number}.parquet", table.name));
            let target =
                fs::canonicalize(file).map_err(SqlError::io("cannot resolve the path of a run's table"))?;
            symlink(&target, &link).map_err(SqlError::io("cannot link a run's table for DuckDB"))?;
            self.links.push((utf8(&link)?.to_owned(), target));
        }
        Ok(files.len())
    }

    /// Returns the rows of `runs`: the manifest of each run, its state, and the number of rows of each of its tables.
    fn runs_rows(&self) -> Result<Vec<serde_json::Value>, SqlError> {
        let row = |run: &Run| {
            let manifest = run.manifest();
            let mut row = json!({
                "run_id": manifest.id,
                "experiment": manifest.experiment,
                "state": run.state(),
                "seed": manifest.seed,
                "created": manifest.created,
                "finished": manifest.finished,
                "job_type": manifest.job_type,
                "run_group": manifest.group,
                "tags": manifest.tags,
                "notes": manifest.notes,
            });
            for table in &TABLES {
                row[table.name] = rows_of(run, table)?.into();
            }
            Ok(row)
        };
        self.runs.iter().map(row).collect()
    }

    /// Returns the rows of `uids`: the configured neuron of each uid.
    fn uids_rows(&self) -> Result<Vec<serde_json::Value>, SqlError> {
        let mut rows = Vec::new();
        for run in &self.runs {
            let id = &run.manifest().id;
            for neuron in neurons::load(run.layout())? {
                rows.push(json!({
                    "run_id": id,
                    "uid": neuron.uid,
                    "kind": neuron.kind.name(),
                    "role": neuron.role,
                    "label": neuron.label,
                    "control": neuron.control,
                }));
            }
        }
        Ok(rows)
    }
}

fn create_from_json(script: &mut String, table: &str, columns: &[(&str, &str)]) {
    let columns = columns.iter().map(|(column, kind)| format!("{column}: '{kind}'"));
    let columns = columns.collect::<Vec<_>>().join(", ");
    writeln!(
        script,
        "CREATE TABLE {table} AS FROM read_json('{table}.json', format = 'newline_delimited', columns = {{{columns}}});"
    )
    .expect("writing to a string does not fail");
}

fn write_rows(file: &Path, rows: Vec<serde_json::Value>) -> Result<(), SqlError> {
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(file)?);
        for row in rows {
            writeln!(out, "{row}")?;
        }
        out.flush()
    };
    write().map_err(SqlError::io("cannot write the table of runs or uids for DuckDB"))
}

/// Returns the names of the columns of a table, as created by [`Scope::prepare`].
pub(crate) fn columns_of_table(name: &str) -> Vec<String> {
    match name {
        RUNS => runs_columns()
            .into_iter()
            .map(|(column, _)| column.to_owned())
            .collect(),
        UIDS => UIDS_COLUMNS
            .iter()
            .map(|(column, _)| (*column).to_owned())
            .collect(),
        _ => Table::named(name).map_or_else(Vec::new, |table| {
            columns_of(&table).into_iter().map(|(column, _)| column).collect()
        }),
    }
}

/// Returns the columns of `runs` with their types in DuckDB. The last ones are the row counts of the tables.
fn runs_columns() -> Vec<(&'static str, &'static str)> {
    let mut columns = vec![
        ("run_id", "VARCHAR"),
        ("experiment", "VARCHAR"),
        ("state", "VARCHAR"),
        ("seed", "UBIGINT"),
        ("created", "VARCHAR"),
        ("finished", "VARCHAR"),
        ("job_type", "VARCHAR"),
        ("run_group", "VARCHAR"),
        ("tags", "VARCHAR[]"),
        ("notes", "VARCHAR"),
    ];
    columns.extend(TABLES.iter().map(|table| (table.name, "UBIGINT")));
    columns
}

/// Columns of `uids`, each with its type in DuckDB.
const UIDS_COLUMNS: [(&str, &str); 6] = [
    ("run_id", "VARCHAR"),
    ("uid", "UINTEGER"),
    ("kind", "VARCHAR"),
    ("role", "VARCHAR"),
    ("label", "VARCHAR"),
    ("control", "VARCHAR"),
];

/// Returns the SELECT expression for `column` in the view of a table. It reads files of this version and of earlier
/// ones.
fn column_of_today(column: &str) -> String {
    if let Some(former) = former_name(column) {
        return format!("coalesce(\"{column}\", \"{former}\") AS \"{column}\"");
    }
    if column == "purpose" {
        return format!("CASE purpose WHEN '{FORMER_MANUAL}' THEN '{MANUAL}' ELSE purpose END AS purpose");
    }
    format!("\"{column}\"")
}

/// Returns the names of a table's columns, each with its type in DuckDB.
fn columns_of(table: &Table) -> Vec<(String, String)> {
    let schema = table.schema();
    let fields = schema.fields().iter();
    fields
        .map(|field| (field.name().clone(), type_of(field.data_type())))
        .collect()
}

fn type_of(kind: &DataType) -> String {
    let plain = match kind {
        DataType::Boolean => "BOOLEAN",
        DataType::UInt8 => "UTINYINT",
        DataType::UInt16 => "USMALLINT",
        DataType::UInt32 => "UINTEGER",
        DataType::UInt64 => "UBIGINT",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 => "VARCHAR",
        DataType::Binary => "BLOB",
        DataType::List(item) => return format!("{}[]", type_of(item.data_type())),
        other => unreachable!("no table of a run has a column of type {other}"),
    };
    plain.to_owned()
}

/// Returns the files of a table of a run. A run of an earlier version may lack a table.
fn files_of(run: &Run, table: &Table) -> Result<Vec<PathBuf>, SqlError> {
    let mut files = run.table_files(table)?;
    files.retain(|file| file.exists());
    Ok(files)
}

fn rows_of(run: &Run, table: &Table) -> Result<u64, SqlError> {
    if files_of(run, table)?.is_empty() {
        return Ok(0);
    }
    Ok(run.row_count(table)?)
}

/// Returns a text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn utf8(path: &Path) -> Result<&str, SqlError> {
    path.to_str().ok_or_else(|| {
        SqlError::Failed(format!(
            "DuckDB cannot work in {}, because the path is not UTF-8: set TMPDIR to another directory",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_every_table_has_a_type_in_duckdb() {
        for table in &TABLES {
            let columns = columns_of(table);
            assert_eq!(
                columns[0],
                ("run_id".to_owned(), "VARCHAR".to_owned()),
                "{}",
                table.name
            );
            assert!(columns.len() > 1, "{}", table.name);
        }
    }
}
