//! Tests of SQL over runs, expectations and groups, from the point of view of a user.

use std::fs;

use mirror_tests::{TestEnv, duckdb};
use rustix::process::Signal;
use serde_json::Value;

use crate::experiment::TRAINING;

const EXPECT: &str = "
expect:
  - {name: most calls succeed, sql: \"SELECT avg(CASE WHEN outcome = 'success' THEN 1.0 ELSE 0.0 END) > 0.5 FROM responses\"}
  - {name: there are two seeds, over: group, sql: SELECT count(DISTINCT seed) = 2 FROM runs}
";

#[test]
fn a_failed_expectation_gives_status_3_and_reports_the_values() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let file = env.file("expect.yml", format!("{TRAINING}{EXPECT}"));
    let ended = env.mirror(&["run", file, "--set", "query.method.args.max_iter=10"]);
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!(ended.out.contains("\nheld   most calls succeed: "), "{ended:?}");
    // A single run is a group of one.
    assert!(
        ended
            .out
            .contains("\nfailed there are two seeds: count(DISTINCT seed) = 1\n"),
        "{ended:?}"
    );
    let run = fs::read_dir(env.runs_dir())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let junit = fs::read_to_string(run.join("junit.xml")).unwrap();
    for count in ["tests=\"2\"", "failures=\"1\"", "errors=\"0\""] {
        assert!(junit.contains(count), "{junit}");
    }
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("Of 2 expectations, 1 did not hold: there are two seeds."));
}

#[test]
fn an_expectation_with_invalid_sql_is_rejected_before_any_process_starts() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let wrong = "expect: [{name: odd, sql: SELECT avg(rewrd) > 1 FROM responses}]\n";
    let file = env.file("wrong.yml", format!("{TRAINING}{wrong}"));
    let ended = env.mirror(&["run", file]);
    assert_eq!(ended.status, Some(2), "{ended:?}");
    for word in ["the expectation `odd` cannot be decided", "nearest is reward"] {
        assert!(ended.err.contains(word), "{ended:?}");
    }
    assert!(!env.runs_dir().exists());
}

#[test]
fn replicates_are_a_group_with_different_seeds_and_can_be_queried_together() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let file = env.file("group.yml", format!("replicates: 2\n{TRAINING}{EXPECT}"));
    let ended = env.mirror(&["run", file, "--json", "--set", "query.method.args.max_iter=10"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let result: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(result["expectations"][0]["outcome"], "held", "{result}");
    assert_eq!(result["expectations"][0]["values"][0][1], "2", "{result}");
    assert_eq!(result["runs"].as_array().map(Vec::len), Some(2), "{result}");
    let of_result = |path: &Value| fs::read_to_string(env.path().join(path.as_str().unwrap())).unwrap();
    let report = of_result(&result["report"]);
    assert!(report.contains("2 runs of one experiment, with random seeds from 7."));
    let group = result["group"].as_str().unwrap();
    let asked = env.mirror(&[
        "sql",
        group,
        "SELECT seed FROM runs ORDER BY seed",
        "--format",
        "csv",
    ]);
    assert_eq!(
        (asked.status, asked.out.as_str()),
        (Some(0), "seed\n7\n8\n"),
        "{asked:?}"
    );
    // The file of a replicate repeats only that replicate.
    let folder = result["runs"][1]["folder"].as_str().unwrap();
    let resolved = of_result(&Value::from(format!("{folder}/resolved.yml")));
    assert!(resolved.starts_with("seed: 8\nreplicates: 1\n"), "{resolved}");
}

#[test]
fn sql_that_is_invalid_or_writes_is_a_user_error() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let file = env.file("small.yml", TRAINING);
    let run = env.done(file, &["query.method.args.max_iter=5"]);
    let id = &run.manifest().id;
    let asked = env.mirror(&[
        "sql",
        "last",
        "SELECT run_id FROM events LIMIT 1",
        "--format",
        "csv",
    ]);
    assert_eq!(
        (asked.status, &asked.out),
        (Some(0), &format!("run_id\n{id}\n")),
        "{asked:?}"
    );
    for (sql, reported) in [
        ("SELECT * FROM evnts", "nearest is events"),
        ("DROP TABLE events", "this statement is refused"),
    ] {
        let asked = env.mirror(&["sql", "last", sql]);
        assert_eq!(asked.status, Some(2), "{asked:?}");
        assert!(asked.err.contains(reported), "{asked:?}");
    }
    let asked = env.mirror(&["sql", "nothing", "SELECT 1"]);
    assert_eq!(asked.status, Some(2), "{asked:?}");
}

/// Without DuckDB, commands that need no SQL work, and the others report how to get it.
#[test]
fn without_duckdb_only_sql_fails_and_reports_the_three_ways_to_get_it() {
    let mut env = TestEnv::new();
    env.set("MIRROR_DUCKDB", "");
    env.set("MIRROR_CACHE", env.path().join("cache"));
    env.set("PATH", env.path().join("nothing"));
    let ways = ["cargo xtask setup", "on the PATH", "MIRROR_DUCKDB"];

    let plain = env.file("plain.yml", TRAINING);
    env.done(plain, &["query.method.args.max_iter=5"]);
    let asked = env.mirror(&["sql", "last", "SELECT 1"]);
    assert_eq!((asked.status, asked.out.as_str()), (Some(1), ""), "{asked:?}");
    let runs = fs::read_dir(env.runs_dir()).unwrap().count();

    let expecting = env.file("expect.yml", format!("{TRAINING}{EXPECT}"));
    let ran = env.mirror(&["run", expecting]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let started = fs::read_dir(env.runs_dir()).unwrap().count();
    assert_eq!(
        started, runs,
        "a run was started although its expectations cannot be evaluated"
    );

    let checked = env.mirror(&["check", expecting]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    assert!(
        checked.err.contains("not checked: the SQL of `expect`"),
        "{checked:?}"
    );
    for said in [&asked.err, &ran.err, &checked.err] {
        assert!(ways.iter().all(|way| said.contains(way)), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    // The error names a file that is not an executable.
    let not_a_program = env.file("text", "not a program");
    env.set("MIRROR_DUCKDB", env.path().join(not_a_program));
    let asked = env.mirror(&["sql", "last", "SELECT 1"]);
    assert_eq!(asked.status, Some(1), "{asked:?}");
    assert!(
        asked.err.contains("text cannot be started as DuckDB"),
        "{asked:?}"
    );
}

#[test]
fn check_parses_the_sql_of_expectations() {
    if duckdb().is_none() {
        return;
    }
    let env = TestEnv::new();
    let sound = env.file("expect.yml", format!("{TRAINING}{EXPECT}"));
    let checked = env.mirror(&["check", sound]);
    assert_eq!(
        (checked.status, checked.err.as_str()),
        (Some(0), ""),
        "{checked:?}"
    );
    let wrong = "expect: [{name: odd, sql: SELECT avg(rewrd) > 1 FROM responses}]\n";
    let wrong = env.file("wrong.yml", format!("{TRAINING}{wrong}"));
    let checked = env.mirror(&["check", wrong]);
    assert_eq!(checked.status, Some(2), "{checked:?}");
    assert!(checked.err.contains("the nearest is reward"), "{checked:?}");
    let checked = env.mirror(&["check", "--json", wrong]);
    let problems: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(problems["problems"][0]["severity"], "error", "{problems}");
}

/// Ctrl-C during a query ends it, and leaves no file on the disk.
#[test]
fn an_interrupted_query_leaves_no_files() {
    if duckdb().is_none() {
        return;
    }
    let mut env = TestEnv::new();
    let temporary = env.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    env.set("TMPDIR", &temporary);
    let file = env.file("small.yml", TRAINING);
    env.done(file, &["query.method.args.max_iter=5"]);
    let endless =
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n % 1000 + 1 FROM t) SELECT max(n) FROM t";
    let asking = env.start(&["sql", "last", endless]);
    // DuckDB has started when the file `parsed.json` exists.
    mirror_tests::eventually("DuckDB executes the query", || {
        let folders = fs::read_dir(&temporary).unwrap().flatten();
        let mut questions = folders.map(|folder| folder.path().join("parsed.json"));
        questions.any(|parsed| parsed.exists()).then_some(())
    });
    asking.send(Signal::INT);
    let ended = asking.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains("the query was interrupted"), "{ended:?}");
    assert_eq!(
        fs::read_dir(&temporary).unwrap().count(),
        0,
        "no temporary folder is left"
    );
}
