//! Tests of the limits of a query: time, memory, disk space, size of the answer, length and depth of the text.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mirror_sql::{Format, SqlError};

use crate::runs::{answer, engine, run, text};

/// Returns the total size of all files in a directory, in bytes.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            // The file was removed in the meantime.
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn an_endless_query_stops_at_the_time_limit() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let endless =
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n % 1000 + 1 FROM t) SELECT max(n) FROM t";
    let engine = engine.with_time(Duration::from_secs(1));
    let error = answer(&engine, &[&run], endless, Format::Table).expect_err("the query is endless");
    assert!(matches!(error, SqlError::Time(_)), "{error:?}");
    assert!(error.to_string().contains("took more than 1 second"), "{error}");
}

#[test]
fn a_query_that_needs_too_much_memory_is_an_error() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for large in [
        "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t WHERE length(s) < 2000000000) \
         SELECT length(max(s)) FROM t",
        "SELECT repeat('x', 3000000000)",
        "SELECT list(range || repeat('x', 1000)) FROM range(100000000)",
    ] {
        let error = answer(&engine, &[&run], large, Format::Csv).expect_err(large);
        assert!(matches!(error, SqlError::Memory), "{large}: {error:?}");
        assert_eq!(
            error.to_string(),
            "the query needs more than 1 GiB of memory: ask for fewer columns, rows or runs"
        );
    }
}

/// Ten million sorted rows of a thousand letters do not fit in memory, and are written to disk up to the limit.
#[test]
fn data_that_does_not_fit_in_memory_uses_bounded_disk_space() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let sorted = "SELECT s, row_number() OVER (ORDER BY s) AS n \
                  FROM (SELECT hash(range) || repeat('x', 1000) AS s FROM range(10000000)) LIMIT 5";
    let temporary = tempfile::tempdir().unwrap();
    let engine = engine.working_in(temporary.path());
    let (most, error) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| answer(&engine, &[&run], sorted, Format::Csv).map(drop));
        let mut most = 0;
        while !asking.is_finished() {
            most = most.max(bytes_below(temporary.path()));
            std::thread::sleep(Duration::from_millis(50));
        }
        (most, asking.join().unwrap().expect_err("the data is too large"))
    });
    assert!(matches!(error, SqlError::Spill), "{error:?}");
    assert!(most > 100 << 20, "nothing was written to disk: {most} bytes");
    assert!(most < 3 << 30, "{most} bytes");
    assert_eq!(bytes_below(temporary.path()), 0, "the directory was not removed");
}

/// Rows that need no memory could fill a disk.
#[test]
fn an_answer_has_a_maximum_size() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let wide = "SELECT repeat('abcdefghij', 1000) AS s, range FROM range(100000000)";
    let error = answer(&engine, &[&run], wide, Format::Csv).expect_err("the answer is too large");
    assert!(matches!(error, SqlError::Answer), "{error:?}");
    let shown = text(
        &engine,
        &[&run],
        "SELECT range FROM range(100000000)",
        Format::Table,
    );
    assert!(shown.contains("the first 1000 rows"));
}

#[test]
fn a_query_has_a_maximum_length_and_depth() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let as_long_as_allowed = format!("SELECT length('{}') AS n", "x".repeat((64 << 10) - 22));
    assert_eq!(as_long_as_allowed.len(), 64 << 10);
    assert_eq!(
        text(&engine, &[&run], &as_long_as_allowed, Format::Csv),
        format!("n\n{}\n", (64 << 10) - 22)
    );
    // Escaped quotes double the length of the text.
    let quotes = format!("SELECT length('{}') AS n", "''".repeat(30_000));
    assert_eq!(text(&engine, &[&run], &quotes, Format::Csv), "n\n30000\n");
    let deep = format!("SELECT 1{} AS sum", "+1".repeat(400));
    assert_eq!(text(&engine, &[&run], &deep, Format::Csv), "sum\n401\n");

    for (sql, expected) in [
        (format!("{as_long_as_allowed} "), "at most 65536 are allowed"),
        (format!("SELECT 1{}", "+1".repeat(20_000)), "depth limit"),
        (
            format!("SELECT {}1{}", "(".repeat(30_000), ")".repeat(30_000)),
            "memory exhausted",
        ),
        (
            format!("{}SELECT 1{}", "SELECT * FROM (".repeat(4_000), ")".repeat(4_000)),
            "memory exhausted",
        ),
        (
            format!("SELECT {}1{}", "[".repeat(30_000), "]".repeat(30_000)),
            "memory exhausted",
        ),
        (
            format!("SELECT {}true", "NOT ".repeat(15_000)),
            "memory exhausted",
        ),
    ] {
        let error =
            answer(&engine, &[&run], &sql, Format::Table).expect_err("the query is too long or too deep");
        let said = error.to_string();
        assert!(
            error.is_question() && said.contains(expected),
            "{sql:.40}: {said}"
        );
    }
}
