//! The tables that a question can name: those of the runs, and two more that are made here, `runs` and `uids`.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use arrow_schema::DataType;
use mirror_runs::tables::{FORMER_MANUAL, MANUAL, TABLES, Table, former_name};
use mirror_runs::{Run, roles};
use serde_json::json;

use crate::error::SqlError;
use crate::statement::Reads;

/// One row a run.
const RUNS: &str = "runs";

/// One row a uid of a run.
const UIDS: &str = "uids";

/// Every table, in the order in which they are listed.
pub(crate) fn table_names() -> impl Iterator<Item = &'static str> {
    [RUNS, UIDS]
        .into_iter()
        .chain(TABLES.iter().map(|table| table.name))
}

/// Runs that can be asked.
#[derive(Default)]
pub(crate) struct Scope {
    /// A run that is still recording keeps its rows in a temporary folder, which exists as long as its `Run`.
    runs: Vec<Run>,
    /// Files of the runs by the paths that DuckDB reads them by.
    links: Vec<(String, PathBuf)>,
}

impl Scope {
    /// Opens runs by their folders, each once.
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

    /// Those of the tables that a statement names which have no rows, of all runs.
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

    /// Makes what a statement reads ready in the folder `work`, an absolute path, and gives the part of a script that
    /// creates the tables and then takes away the right to open any other file than those and `written`.
    ///
    /// DuckDB takes the paths that it is to read for patterns, so the files get plain names there, by links.
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
                .expect("a string takes any text");
                allowed = format!("list_concat({allowed}, getvariable('{name}'))");
                format!(" UNION ALL BY NAME FROM read_parquet(getvariable('{name}'), union_by_name = true)")
            };
            // A column that no file has, because an earlier version wrote all, is null in every row.
            writeln!(
                script,
                "CREATE VIEW {name} AS SELECT {names} FROM (SELECT {none} WHERE false{rows});"
            )
            .expect("a string takes any text");
        }
        write!(
            script,
            "SET allowed_paths = {allowed};\nSET enable_external_access = false;\nSET lock_configuration = true;\n"
        )
        .expect("a string takes any text");
        Ok(script)
    }

    /// A message of DuckDB that names files of the runs, with their real paths; `None` where it names none.
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

    /// Links a table's files of all runs as `<table>-0.parquet` and so on, and tells how many there are.
    fn link_files(&mut self, table: &Table, work: &Path) -> Result<usize, SqlError> {
        let mut files = Vec::new();
        for run in &self.runs {
            files.extend(files_of(run, table)?);
        }
        for (number, file) in files.iter().enumerate() {
            let link = work.join(format!("{}-{number}.parquet", table.name));
            let target =
                fs::canonicalize(file).map_err(SqlError::io("cannot tell where a run's table lies"))?;
            symlink(&target, &link).map_err(SqlError::io("cannot link a run's table for DuckDB"))?;
            self.links.push((utf8(&link)?.to_owned(), target));
        }
        Ok(files.len())
    }

    /// What each run is, how it stands, and how many rows each of its tables has.
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

    /// What each uid was told to be.
    fn uids_rows(&self) -> Result<Vec<serde_json::Value>, SqlError> {
        let mut rows = Vec::new();
        for run in &self.runs {
            let id = &run.manifest().id;
            for role in roles::load(run.layout())? {
                rows.push(json!({"run_id": id, "uid": role.uid, "role": role.role}));
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
    .expect("a string takes any text");
}

fn write_rows(file: &Path, rows: Vec<serde_json::Value>) -> Result<(), SqlError> {
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(file)?);
        for row in rows {
            writeln!(out, "{row}")?;
        }
        out.flush()
    };
    write().map_err(SqlError::io("cannot write what the runs are for DuckDB"))
}

/// Names of the columns of a table of runs; of `runs` and `uids`, the ones that [`Scope::prepare`] gives them.
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

/// Columns of `runs`, each with its type in DuckDB; the last ones are the numbers of rows of the tables.
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
const UIDS_COLUMNS: [(&str, &str); 3] = [("run_id", "VARCHAR"), ("uid", "UINTEGER"), ("role", "VARCHAR")];

/// What the view of a table selects for `column`, from files of this version and of earlier ones.
fn column_of_today(column: &str) -> String {
    if let Some(former) = former_name(column) {
        return format!("coalesce(\"{column}\", \"{former}\") AS \"{column}\"");
    }
    if column == "purpose" {
        return format!("CASE purpose WHEN '{FORMER_MANUAL}' THEN '{MANUAL}' ELSE purpose END AS purpose");
    }
    format!("\"{column}\"")
}

/// Names of a table's columns, each with its type in DuckDB.
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
        other => unreachable!("no table of a run has a column of the type {other}"),
    };
    plain.to_owned()
}

/// The files of a table of a run. One of an earlier version may lack a table.
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

/// A text as a literal of SQL.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn utf8(path: &Path) -> Result<&str, SqlError> {
    path.to_str().ok_or_else(|| {
        SqlError::Failed(format!(
            "DuckDB cannot work in {}, whose name is not UTF-8: set TMPDIR to another folder",
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
