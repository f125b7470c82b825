//! Tests of answers and their formats.

use std::fs;

use mirror_sql::Format;

use crate::runs::{answer, engine, run, text};

#[test]
fn several_runs_form_one_table_and_a_repeated_run_counts_once() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Characters of file patterns, and a quote, are read literally.
    let folder = folder.path().join("runs [*] of ü'?");
    let (one, other) = (run(&folder, 7, [1.0, 2.0]), run(&folder, 8, [3.0, 4.0]));
    let sql = "SELECT seed, role, avg(reward) AS reward, count(*) AS calls \
               FROM responses JOIN uids USING (run_id, uid) JOIN runs USING (run_id) GROUP BY 1, 2 ORDER BY 1, 2";
    let csv = text(&engine, &[&one, &other, &one], sql, Format::Csv);
    assert_eq!(
        csv,
        "seed,role,reward,calls\n7,honest,1.5,2\n7,silent,,2\n8,honest,3.5,2\n8,silent,,2\n"
    );
}

#[test]
fn an_answer_is_a_table_csv_json_or_parquet() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let runs = [run.as_path()];
    let sql = "SELECT step, reward, completion FROM responses WHERE step = 0 ORDER BY uid";

    let table = text(&engine, &runs, sql, Format::Table);
    assert!(table.contains("| step | reward | completion |"), "{table}");
    assert!(table.ends_with("\n2 rows\n"), "{table}");

    let json = text(&engine, &runs, sql, Format::Json);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!([
        {"step": 0, "reward": 1.0, "completion": "a, \"b\""},
        {"step": 0, "reward": null, "completion": ""},
    ]);
    assert_eq!(rows[0], expected[0]);
    assert_eq!(rows[1]["reward"], serde_json::Value::Null);

    let parquet = answer(&engine, &runs, sql, Format::Parquet).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    let nested = text(&engine, &runs, "SELECT scores FROM events LIMIT 1", Format::Csv);
    assert_eq!(nested, "scores\n\"[0.5, 0.25]\"\n");
    let none = text(&engine, &runs, "SELECT loss FROM losses", Format::Csv);
    assert_eq!(none, "loss\n");
    let none = text(&engine, &runs, "SELECT loss FROM losses", Format::Json);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&none).unwrap(),
        serde_json::json!([])
    );
}

/// In DuckDB, division by zero yields infinity, which JSON does not support. A missing value is not an empty text.
#[test]
fn missing_and_infinite_values_are_distinguished_from_others() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let odd = "SELECT 1 / 0 AS a, 'nan'::DOUBLE AS b, -1 / 0 AS c, 'NaN' AS d, NULL AS e, '' AS f, 170141183460469231731::HUGEINT AS g";
    let json = text(&engine, &[&run], odd, Format::Json);
    let rows: serde_json::Value =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(rows[0]["a"], serde_json::Value::Null, "{json}");
    assert_eq!(rows[0]["d"], "NaN", "{json}");
    let csv = text(&engine, &[&run], odd, Format::Csv);
    assert_eq!(
        csv,
        "a,b,c,d,e,f,g\ninf,nan,-inf,NaN,,\"\",170141183460469231731\n"
    );

    let nulls = "SELECT reward FROM responses WHERE uid = 1";
    let table = text(&engine, &[&run], nulls, Format::Table);
    assert!(
        table.ends_with("\n2 rows\n") && table.matches("null").count() == 2,
        "{table}"
    );
}

#[test]
fn a_table_shows_a_thousand_rows_and_states_that_there_are_more() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let sql = |rows| format!("SELECT range AS n FROM range({rows})");
    let all = text(&engine, &[&run], &sql(1_000), Format::Table);
    assert!(all.contains("| 999 |") && all.ends_with("\n1000 rows\n"), "{all}");
    let first = text(&engine, &[&run], &sql(1_001), Format::Table);
    assert!(first.contains("| 999 |") && !first.contains("| 1000 |"));
    assert!(first.ends_with("\nthe first 1000 rows; use --format csv, json or parquet for all rows\n"));
    let all = text(&engine, &[&run], &sql(1_001), Format::Csv);
    assert_eq!(all.lines().count(), 1_002);
}

#[test]
fn tables_columns_and_plans_can_be_listed() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let runs = [run.as_path()];
    let tables = text(&engine, &runs, "SHOW TABLES", Format::Csv);
    let mut listed: Vec<&str> = tables.lines().skip(1).collect();
    listed.sort_unstable();
    let mut known: Vec<&str> = mirror_runs::tables::TABLES
        .iter()
        .map(|table| table.name)
        .collect();
    known.extend(["runs", "uids"]);
    known.sort_unstable();
    assert_eq!(listed, known);

    let columns = text(&engine, &runs, "DESCRIBE responses", Format::Csv);
    assert!(columns.contains("\nreward,FLOAT,"), "{columns}");
    for plan in [
        "EXPLAIN SELECT count(*) FROM responses",
        "-- a comment\nexplain analyze SELECT count(*) FROM responses;",
    ] {
        let drawn = text(&engine, &runs, plan, Format::Table);
        assert!(drawn.contains("AGGREGATE"), "{plan}: {drawn}");
        assert!(!drawn.contains("getvariable('question'));"), "{plan}: {drawn}");
        let error = answer(&engine, &runs, plan, Format::Csv).expect_err("a plan has no CSV format");
        assert!(error.is_question(), "{error}");
    }
}

/// A run without faults, incidents or losses has their tables without rows, and with their columns.
#[test]
fn a_table_without_rows_can_be_read() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for table in mirror_runs::tables::TABLES {
        let sql = format!("SELECT * FROM {}", table.name);
        let csv = text(&engine, &[&run], &sql, Format::Csv);
        assert!(csv.starts_with("run_id,"), "{sql}: {csv}");
    }
    let sql = "SELECT fault, manual, step FROM faults WHERE kind = 'kill' AND occurred_at > 0";
    assert_eq!(text(&engine, &[&run], sql, Format::Csv), "fault,manual,step\n");
}

/// A run of an earlier version may lack a column or a table. The column is null and the table is empty.
#[test]
fn a_column_or_a_table_that_a_run_lacks_is_null_or_empty() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (whole, old) = (
        run(folder.path(), 7, [1.0, 2.0]),
        run(folder.path(), 8, [3.0, 4.0]),
    );
    let without = answer(
        &engine,
        &[&old],
        "SELECT * EXCLUDE (latency) FROM responses",
        Format::Parquet,
    )
    .unwrap();
    fs::write(old.join("responses.parquet"), without).unwrap();
    fs::remove_file(old.join("weights.parquet")).ok();
    let sql = "SELECT seed, count(*) AS calls, count(latency) AS timed FROM responses JOIN runs USING (run_id) \
               GROUP BY 1 ORDER BY 1";
    assert_eq!(
        text(&engine, &[&whole, &old], sql, Format::Csv),
        "seed,calls,timed\n7,4,4\n8,4,0\n"
    );
    assert_eq!(
        text(&engine, &[&old], sql, Format::Csv),
        "seed,calls,timed\n8,4,0\n"
    );
    assert_eq!(
        text(&engine, &[&old], "SELECT count(*) AS n FROM weights", Format::Csv),
        "n\n0\n"
    );
}

#[test]
fn the_error_of_a_wrong_query_lists_the_existing_names() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for (sql, expected) in [
        (
            "SELECT * FROM respones",
            "no table is called respones, the nearest is responses; the tables are runs, uids, events",
        ),
        (
            "SELECT latncy FROM responses",
            "no column is called latncy, the nearest is latency; responses has run_id, validator",
        ),
        (
            "SELECT r.latncy FROM responses r JOIN uids USING (uid)",
            "no column is called latncy, the nearest is latency; responses has run_id, validator",
        ),
        (
            "SELECT uid FROM losses",
            "no column is called uid; losses has run_id",
        ),
        (
            "SELECT sed FROM runs",
            "no column is called sed, the nearest is seed; runs has run_id",
        ),
        ("SELEC 1", "this is not SQL: syntax error at or near \"SELEC\""),
        (
            "WITH t AS (SELECT 1 AS aa FROM responses) SELECT ab FROM t",
            "Candidate bindings: \"aa\"",
        ),
        ("", "the SQL is empty"),
        (" -- nothing\n", "the SQL is empty"),
        (
            "SELECT 1; SELECT 2",
            "only one statement is allowed, but there are 2",
        ),
        ("SELECT nope(uid) FROM responses", "nope"),
        ("SELECT avg(completion) FROM responses", "avg"),
        ("SELECT 'a'::INT", "Could not convert string 'a'"),
        ("SELECT ?", "parameters"),
    ] {
        let error = answer(&engine, &[&run], sql, Format::Table).expect_err(sql);
        assert!(error.is_question(), "{sql}: {error:?}");
        let said = error.to_string();
        assert!(said.contains(expected), "{sql}: {said}");
        assert!(!said.contains('\n'), "{sql}: {said}");
    }
}

/// The error for a damaged table file contains its path in the run.
#[test]
fn a_damaged_table_is_named() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let file = run.join("events.parquet");
    fs::write(&file, "not Parquet at all").unwrap();
    let error =
        answer(&engine, &[&run], "SELECT step FROM events", Format::Table).expect_err("the table is damaged");
    assert!(!error.is_question(), "{error:?}");
    let name = fs::canonicalize(&file).unwrap().display().to_string();
    assert!(error.to_string().contains(&name), "{error}");
    // Other tables can still be read.
    assert_eq!(
        text(
            &engine,
            &[&run],
            "SELECT count(*) AS n FROM responses",
            Format::Csv
        ),
        "n\n4\n"
    );
}
