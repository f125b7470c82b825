//! Tests of statements that try to do more than read tables. Each is refused as a wrong query, and nothing outside the
//! run is read or written.

use std::fs;
use std::path::Path;

use mirror_sql::Format;

use crate::runs::{answer, engine, run, text};

/// Returns every file in a directory with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn statements_that_write_or_read_other_files_are_refused() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let outside = folder.path().join("outside.csv");
    fs::write(&outside, "a,b\n1,secret-of-this-test\n").unwrap();
    let written = folder.path().join("written");
    let (outside, written) = (outside.display(), written.display());
    let before = files(folder.path());
    let hostile = [
        // Statements that write.
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW t AS SELECT 1".to_owned(),
        "CREATE MACRO m() AS 1".to_owned(),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "DELETE FROM events".to_owned(),
        "UPDATE runs SET seed = 1".to_owned(),
        "DROP TABLE runs".to_owned(),
        "ALTER TABLE runs ADD COLUMN x INT".to_owned(),
        format!("COPY (SELECT 1) TO '{written}'"),
        format!("COPY runs FROM '{outside}'"),
        format!("EXPORT DATABASE '{written}'"),
        format!("EXPLAIN COPY (SELECT 1) TO '{written}'"),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{written}'"),
        "WITH gone AS (DELETE FROM runs RETURNING *) SELECT * FROM gone".to_owned(),
        // Reads of other files, by name and by function.
        format!("SELECT * FROM '{outside}'"),
        format!("SELECT * FROM read_csv('{outside}')"),
        format!("SELECT * FROM read_csv_auto('{outside}')"),
        format!("SELECT * FROM read_text('{outside}')"),
        format!("SELECT * FROM read_blob('{outside}')"),
        format!("SELECT * FROM read_json('{outside}')"),
        format!("SELECT * FROM read_parquet('{outside}')"),
        format!("SELECT * FROM parquet_metadata('{outside}')"),
        format!("SELECT * FROM sniff_csv('{outside}')"),
        format!("SELECT * FROM query('FROM read_csv(''{outside}'')')"),
        "SELECT * FROM glob('/etc/*')".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM read_text('question.sql')".to_owned(),
        "SELECT * FROM read_text('../../etc/passwd')".to_owned(),
        "SELECT * FROM read_text('/proc/self/environ')".to_owned(),
        // The network, extensions, secrets and other databases.
        "SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')".to_owned(),
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')".to_owned(),
        "INSTALL httpfs".to_owned(),
        "LOAD httpfs".to_owned(),
        format!("LOAD '{outside}'"),
        format!("ATTACH '{written}' AS other"),
        "CREATE SECRET s (TYPE s3)".to_owned(),
        "SELECT * FROM duckdb_secrets()".to_owned(),
        format!("SELECT * FROM sqlite_scan('{outside}', 't')"),
        // Settings, the environment and logs.
        "SET memory_limit = '64GB'".to_owned(),
        "RESET memory_limit".to_owned(),
        "SET enable_external_access = true".to_owned(),
        "PRAGMA threads = 64".to_owned(),
        "CALL pragma_version()".to_owned(),
        "SELECT getenv('HOME')".to_owned(),
        format!("SELECT * FROM enable_logging(storage = 'file', storage_path = '{written}')"),
        "FROM enable_logging('QueryLog')".to_owned(),
        "FROM enable_logging(storage = 'stdout', level = 'trace')".to_owned(),
        format!("FROM enable_profiling(format = 'json', save_location = '{written}')"),
        "FROM disable_logging()".to_owned(),
        "FROM checkpoint()".to_owned(),
        "FROM check_peg_parser(repeat('(', 10000))".to_owned(),
        "FROM duckdb_settings()".to_owned(),
        "FROM query('SELECT 1')".to_owned(),
        "FROM query_table('runs')".to_owned(),
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))".to_owned(),
        format!("SELECT (SELECT count(*) FROM read_text('{outside}'))"),
        format!("WITH t AS (FROM read_text('{outside}')) FROM t"),
        format!("SELECT 1{} FROM read_text('{outside}')", "+1".repeat(400)),
        "PREPARE p AS SELECT 1".to_owned(),
        "SET VARIABLE question = 'SELECT 1'".to_owned(),
        // Two statements, and texts that try to close the statement that might contain them.
        "SELECT 1; DROP TABLE runs".to_owned(),
        format!("SELECT 1) TO '{written}'; --"),
        format!("SELECT 1) TO '{written}' (FORMAT csv); SELECT (1"),
        format!("'; COPY (SELECT 1) TO '{written}'; --"),
        "SELECT 1 /* never ended".to_owned(),
        "SELECT 'never ended".to_owned(),
        "SELECT $$never ended".to_owned(),
        "SELECT 1\0; DROP TABLE runs".to_owned(),
        // Commands of DuckDB's shell.
        format!(".shell touch {written}"),
        format!(".output {written}"),
        format!(".read {outside}"),
        format!("SELECT 1;\n.shell touch {written}\n"),
        format!("\n.shell touch {written}"),
        format!("SELECT 1\n.shell touch {written}"),
        format!(".system touch {written}"),
    ];
    for sql in &hostile {
        for format in [Format::Table, Format::Parquet] {
            match answer(&engine, &[&run], sql, format) {
                Ok(printed) => panic!("{sql} was answered: {}", String::from_utf8_lossy(&printed)),
                Err(error) => {
                    assert!(error.is_question(), "{sql}: {error:?}");
                    let said = error.to_string();
                    assert!(!said.contains("secret-of-this-test"), "{sql}: {said}");
                    assert!(!said.contains("Stack Trace"), "{sql}: {said}");
                }
            }
        }
    }
    assert_eq!(files(folder.path()), before);
}

/// Comments, quotes and a final semicolon are part of many queries and are harmless.
#[test]
fn harmless_queries_that_look_hostile_are_answered() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for (sql, answer) in [
        ("SELECT 1 AS n;", "n\n1\n"),
        ("SELECT 1 AS n -- to the end", "n\n1\n"),
        ("SELECT 1 AS n; -- to the end", "n\n1\n"),
        ("/* first */ SELECT /* ; */ 1 AS n", "n\n1\n"),
        ("SELECT ''';--' AS n", "n\n';--\n"),
        ("SELECT $$'); DROP TABLE runs$$ AS n", "n\n'); DROP TABLE runs\n"),
        ("SELECT '.shell true' AS n", "n\n.shell true\n"),
        ("FROM runs SELECT seed", "seed\n7\n"),
        ("VALUES (1)", "col0\n1\n"),
        ("SELECT seed FROM RUNS", "seed\n7\n"),
        ("SELECT count(*) AS n FROM main.responses", "n\n4\n"),
        ("SELECT count(*) AS n FROM memory.main.responses", "n\n4\n"),
        (
            "SELECT count(*) AS n FROM information_schema.tables WHERE table_name = 'weights'",
            "n\n1\n",
        ),
        ("SELECT sum(n) AS n FROM range(5) t(n), unnest([1, 2])", "n\n20\n"),
        ("WITH events AS (SELECT 3 AS n) SELECT n FROM events", "n\n3\n"),
        (
            "FROM (PIVOT responses ON uid IN (0, 1) USING count(*) GROUP BY step) SELECT count(*) AS n",
            "n\n2\n",
        ),
    ] {
        assert_eq!(text(&engine, &[&run], sql, Format::Csv), answer, "{sql}");
    }
}
