//! SQL over runs, expectations and groups, as a user meets them.

use std::fs;

use mirror_tests::{Laboratory, duckdb};
use rustix::process::Signal;
use serde_json::Value;

use crate::experiment::TRAINING;

const EXPECT: &str = "
expect:
  - {name: most calls succeed, sql: \"SELECT avg(CASE WHEN outcome = 'success' THEN 1.0 ELSE 0.0 END) > 0.5 FROM responses\"}
  - {name: there are two seeds, over: group, sql: SELECT count(DISTINCT seed) = 2 FROM runs}
";

#[test]
fn an_expectation_that_fails_makes_the_status_1_and_tells_what_decided() {
    if duckdb().is_none() {
        return;
    }
    let laboratory = Laboratory::new();
    let file = laboratory.file("expect.yml", format!("{TRAINING}{EXPECT}"));
    let ended = laboratory.mirror(&["run", file, "--set", "query.method.args.max_iter=10"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.out.contains("\nheld   most calls succeed: "), "{ended:?}");
    // Alone, a run is a group of one.
    assert!(
        ended
            .out
            .contains("\nfailed there are two seeds: count(DISTINCT seed) = 1\n"),
        "{ended:?}"
    );
    let run = fs::read_dir(laboratory.runs_dir())
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
fn an_expectation_that_cannot_be_asked_stops_the_file_before_anything_runs() {
    if duckdb().is_none() {
        return;
    }
    let laboratory = Laboratory::new();
    let wrong = "expect: [{name: odd, sql: SELECT avg(rewrd) > 1 FROM responses}]\n";
    let file = laboratory.file("wrong.yml", format!("{TRAINING}{wrong}"));
    let ended = laboratory.mirror(&["run", file]);
    assert_eq!(ended.status, Some(2), "{ended:?}");
    for word in ["the expectation `odd` cannot be decided", "nearest is reward"] {
        assert!(ended.err.contains(word), "{ended:?}");
    }
    assert!(!laboratory.runs_dir().exists());
}

#[test]
fn replicates_are_a_group_with_seeds_of_their_own_and_can_be_asked_together() {
    if duckdb().is_none() {
        return;
    }
    let laboratory = Laboratory::new();
    let file = laboratory.file("group.yml", format!("replicates: 2\n{TRAINING}{EXPECT}"));
    let ended = laboratory.mirror(&["run", file, "--json", "--set", "query.method.args.max_iter=10"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let result: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(result["expectations"][0]["outcome"], "held", "{result}");
    assert_eq!(result["expectations"][0]["values"][0][1], "2", "{result}");
    assert_eq!(result["runs"].as_array().map(Vec::len), Some(2), "{result}");
    let of_result =
        |path: &Value| fs::read_to_string(laboratory.path().join(path.as_str().unwrap())).unwrap();
    let report = of_result(&result["report"]);
    assert!(report.contains("2 runs of one experiment, with the seeds from 7."));
    let group = result["group"].as_str().unwrap();
    let asked = laboratory.mirror(&[
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
    // A replicate's own file repeats it alone.
    let folder = result["runs"][1]["folder"].as_str().unwrap();
    let resolved = of_result(&Value::from(format!("{folder}/resolved.yml")));
    assert!(resolved.starts_with("seed: 8\nreplicates: 1\n"), "{resolved}");
}

#[test]
fn a_question_that_is_wrong_or_writes_is_the_users_mistake() {
    if duckdb().is_none() {
        return;
    }
    let laboratory = Laboratory::new();
    let file = laboratory.file("small.yml", TRAINING);
    let run = laboratory.done(file, &["query.method.args.max_iter=5"]);
    let id = &run.manifest().id;
    let asked = laboratory.mirror(&[
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
    for (sql, told) in [
        ("SELECT * FROM evnts", "nearest is events"),
        ("DROP TABLE events", "this statement is refused"),
    ] {
        let asked = laboratory.mirror(&["sql", "last", sql]);
        assert_eq!(asked.status, Some(2), "{asked:?}");
        assert!(asked.err.contains(told), "{asked:?}");
    }
    let asked = laboratory.mirror(&["sql", "nothing", "SELECT 1"]);
    assert_eq!(asked.status, Some(2), "{asked:?}");
}

/// Without DuckDB, whatever does not ask in SQL works, and what does says how to get it.
#[test]
fn without_duckdb_only_questions_fail_and_tell_the_three_ways_to_get_it() {
    let mut laboratory = Laboratory::new();
    laboratory.set("MIRROR_DUCKDB", "");
    laboratory.set("MIRROR_CACHE", laboratory.path().join("cache"));
    laboratory.set("PATH", laboratory.path().join("nothing"));
    let ways = ["cargo xtask setup", "on the PATH", "MIRROR_DUCKDB"];

    let plain = laboratory.file("plain.yml", TRAINING);
    laboratory.done(plain, &["query.method.args.max_iter=5"]);
    let asked = laboratory.mirror(&["sql", "last", "SELECT 1"]);
    assert_eq!((asked.status, asked.out.as_str()), (Some(1), ""), "{asked:?}");
    let runs = fs::read_dir(laboratory.runs_dir()).unwrap().count();

    let expecting = laboratory.file("expect.yml", format!("{TRAINING}{EXPECT}"));
    let ran = laboratory.mirror(&["run", expecting]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let started = fs::read_dir(laboratory.runs_dir()).unwrap().count();
    assert_eq!(
        started, runs,
        "a run was started whose expectations cannot be decided"
    );

    let checked = laboratory.mirror(&["check", expecting]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    assert!(
        checked.err.contains("not checked: the SQL of `expect`"),
        "{checked:?}"
    );
    for said in [&asked.err, &ran.err, &checked.err] {
        assert!(ways.iter().all(|way| said.contains(way)), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    // An executable that does not serve is named.
    let not_a_program = laboratory.file("text", "not a program");
    laboratory.set("MIRROR_DUCKDB", laboratory.path().join(not_a_program));
    let asked = laboratory.mirror(&["sql", "last", "SELECT 1"]);
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
    let laboratory = Laboratory::new();
    let sound = laboratory.file("expect.yml", format!("{TRAINING}{EXPECT}"));
    let checked = laboratory.mirror(&["check", sound]);
    assert_eq!(
        (checked.status, checked.err.as_str()),
        (Some(0), ""),
        "{checked:?}"
    );
    let wrong = "expect: [{name: odd, sql: SELECT avg(rewrd) > 1 FROM responses}]\n";
    let wrong = laboratory.file("wrong.yml", format!("{TRAINING}{wrong}"));
    let checked = laboratory.mirror(&["check", wrong]);
    assert_eq!(checked.status, Some(2), "{checked:?}");
    assert!(checked.err.contains("the nearest is reward"), "{checked:?}");
    let checked = laboratory.mirror(&["check", "--json", wrong]);
    let problems: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(problems["problems"][0]["severity"], "error", "{problems}");
}

/// Ctrl-C in the middle of a question ends it, and nothing of it is left on the disk.
#[test]
fn an_interrupted_question_leaves_nothing_behind() {
    if duckdb().is_none() {
        return;
    }
    let mut laboratory = Laboratory::new();
    let temporary = laboratory.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    laboratory.set("TMPDIR", &temporary);
    let file = laboratory.file("small.yml", TRAINING);
    laboratory.done(file, &["query.method.args.max_iter=5"]);
    let endless =
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n % 1000 + 1 FROM t) SELECT max(n) FROM t";
    let asking = laboratory.start(&["sql", "last", endless]);
    // DuckDB has started when the file `parsed.json` exists.
    mirror_tests::eventually("DuckDB works at the question", || {
        let folders = fs::read_dir(&temporary).unwrap().flatten();
        let mut questions = folders.map(|folder| folder.path().join("parsed.json"));
        questions.any(|parsed| parsed.exists()).then_some(())
    });
    asking.send(Signal::INT);
    let ended = asking.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains("the query was interrupted"), "{ended:?}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "a folder is left");
}
