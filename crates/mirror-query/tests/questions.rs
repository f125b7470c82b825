//! The program against runs on disk: what it answers, what it refuses, and how it decides.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{AxonCall, ForwardEvent, Outcome, Purpose, Record};
use mirror_runs::expectations::{self, Decision};
use mirror_runs::{Ended, NewRun, Recorder, Role, RunDirectory, roles};

struct Answer {
    status: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Answer {
    #[track_caller]
    fn text(self) -> String {
        assert_eq!(self.status, Some(0), "{}", self.err);
        String::from_utf8(self.out).unwrap()
    }
}

fn ask(words: &[&str], runs: &[&Path], sql: &str) -> Answer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mirror-query"))
        .args(words)
        .args(runs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Answer {
        status: output.status.code(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A run of two steps in which uid 0 answered for these rewards and uid 1 never did.
fn run(folder: &Path, seed: u64, rewards: [f32; 2]) -> PathBuf {
    let new = NewRun {
        experiment: "asked".to_owned(),
        seed,
        tags: vec!["a".to_owned()],
        ..NewRun::default()
    };
    let directory = RunDirectory::create(folder, &new).unwrap();
    let layout = directory.layout().clone();
    let mut recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).unwrap();
    let records: Vec<Record> = (0..)
        .zip(rewards)
        .map(|(step, reward)| event(step, reward))
        .collect();
    recorder.append(&records).unwrap();
    recorder.finish(Ended::Done).unwrap();
    let role = |uid, role: &str| Role {
        uid,
        role: role.to_owned(),
    };
    roles::save(&[role(0, "honest"), role(1, "silent")], &layout).unwrap();
    layout.root().to_owned()
}

fn event(step: u64, reward: f32) -> Record {
    let call = |uid, outcome: Outcome, reward| AxonCall {
        uid,
        outcome: outcome.into(),
        reward,
        completion: "a, \"b\"".to_owned(),
        latency: 0.25,
        ..AxonCall::default()
    };
    Record {
        kind: Some(Kind::Event(ForwardEvent {
            validator: "validator-0".to_owned(),
            purpose: Purpose::Query.into(),
            step,
            scores: vec![0.5, 0.25],
            message: "what?".to_owned(),
            calls: vec![
                call(0, Outcome::Success, Some(reward)),
                call(1, Outcome::Timeout, None),
            ],
            best: Some(0),
            ..ForwardEvent::default()
        })),
    }
}

#[test]
fn many_runs_are_one_table_and_one_run_twice_is_one() {
    let folder = tempfile::tempdir().unwrap();
    // Letters that stand for others in patterns of files stand for themselves.
    let folder = folder.path().join("runs [*] of ü?");
    let (one, other) = (run(&folder, 7, [1.0, 2.0]), run(&folder, 8, [3.0, 4.0]));
    let sql = "SELECT seed, role, avg(reward) AS reward, count(*) AS calls \
               FROM responses JOIN uids USING (run_id, uid) JOIN runs USING (run_id) GROUP BY 1, 2 ORDER BY 1, 2";
    let csv = ask(&["print", "--format", "csv"], &[&one, &other, &one], sql).text();
    assert_eq!(
        csv,
        "seed,role,reward,calls\n7,honest,1.5,2\n7,silent,,2\n8,honest,3.5,2\n8,silent,,2\n"
    );
}

#[test]
fn an_answer_is_a_table_csv_json_or_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let sql = "SELECT step, reward, completion FROM responses WHERE step = 0 ORDER BY uid";
    let table = ask(&["print"], &[&run], sql).text();
    assert!(table.contains("| step | reward | completion |"), "{table}");
    assert!(table.ends_with("\n2 rows\n"), "{table}");
    let json = ask(&["print", "--format", "json"], &[&run], sql).text();
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!([
        {"step": 0, "reward": 1.0, "completion": "a, \"b\""},
        {"step": 0, "reward": null, "completion": ""},
    ]);
    assert_eq!(rows[0], expected[0]);
    assert_eq!(rows[1]["reward"], serde_json::Value::Null);
    let nested = ask(
        &["print", "--format", "csv"],
        &[&run],
        "SELECT scores FROM events LIMIT 1",
    )
    .text();
    assert_eq!(nested, "scores\n\"[0.5, 0.25]\"\n");
    let parquet = ask(&["print", "--format", "parquet"], &[&run], sql);
    assert!(parquet.out.starts_with(b"PAR1") && parquet.out.ends_with(b"PAR1"));
    let nothing = ask(
        &["print", "--format", "csv"],
        &[&run],
        "SELECT uid FROM losses WHERE 1 = 0",
    );
    assert_eq!(nothing.status, Some(2), "losses has no uid: {}", nothing.err);
    let nothing = ask(&["print", "--format", "csv"], &[&run], "SELECT loss FROM losses").text();
    assert_eq!(nothing, "loss\n");
}

#[test]
fn a_wrong_question_is_told_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for (sql, told) in [
        (
            "SELECT * FROM respones",
            "no table is called respones, nearest is responses; there are runs, uids, events",
        ),
        (
            "SELECT latncy FROM responses",
            "no column is called latncy, nearest is latency; there are run_id, validator",
        ),
        ("SELEC 1", "this is not SQL"),
        ("", "there is no question"),
        ("SELECT 1; SELECT 2", "one question at a time"),
        ("SELECT nope(uid) FROM responses", "nope"),
    ] {
        let answer = ask(&["print"], &[&run], sql);
        assert_eq!(
            (answer.status, answer.out.len()),
            (Some(2), 0),
            "{sql}: {}",
            answer.err
        );
        assert!(answer.err.contains(told), "{sql}: {}", answer.err);
    }
}

/// Whatever writes, or reads what is not a run's, is refused by name, also inside another statement.
#[test]
fn what_is_no_question_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let outside = folder.path().join("outside.csv");
    std::fs::write(&outside, "secret\n1\n").unwrap();
    let outside = outside.display();
    let target = folder.path().join("written.csv");
    for sql in [
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW t AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{outside}'"),
        format!("COPY (SELECT 1) TO '{}'", target.display()),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{}'", target.display()),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "DELETE FROM events".to_owned(),
        "UPDATE events SET step = 1".to_owned(),
        "DROP TABLE events".to_owned(),
        "SET datafusion.execution.target_partitions = 64".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        format!("SELECT * FROM '{outside}'"),
        format!("SELECT * FROM read_csv('{outside}')"),
    ] {
        let answer = ask(&["print"], &[&run], &sql);
        assert_eq!(
            (answer.status, answer.out.len()),
            (Some(2), 0),
            "{sql}: {}",
            answer.err
        );
    }
    assert!(!target.exists());
}

/// Counting without end ends when the time is over, gathering without end when the memory is.
#[test]
fn a_question_that_takes_too_much_is_stopped_and_prints_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let endless =
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n % 1000 + 1 FROM t) SELECT max(n) FROM t";
    let answer = ask(&["--seconds", "1", "print"], &[&run], endless);
    assert_eq!((answer.status, answer.out.len()), (Some(1), 0));
    assert!(answer.err.contains("took more than 1 seconds"), "{}", answer.err);
    let large = "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t WHERE length(s) < 2000000000) \
                 SELECT length(max(s)) FROM t";
    let answer = ask(&["print"], &[&run], large);
    assert_ne!(answer.status, Some(0));
    assert_eq!(answer.out.len(), 0);
    let deep = format!("SELECT 1{} AS sum", "+1".repeat(2_000));
    let answer = ask(&["print", "--format", "csv"], &[&run], &deep);
    assert_eq!(answer.text(), "sum\n2001\n");
}

#[test]
fn an_expectation_is_decided_by_values_that_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let decide = |sql: &str| -> Decision {
        let text = ask(&["judge"], &[&run], sql).text();
        serde_json::from_str(&text).unwrap()
    };
    let held = decide("SELECT avg(reward) < 2 AND count(*) = 4 FROM responses");
    assert_eq!(held.outcome, expectations::Outcome::Held);
    assert_eq!(held.in_words(), "avg(reward) = 1.5, count(*) = 4");
    let failed = decide("SELECT max(reward) > 2 AS enough, min(uid) AS least FROM responses");
    assert_eq!(failed.outcome, expectations::Outcome::Failed);
    assert_eq!(failed.in_words(), "least = 0");
    let null = decide("SELECT max(reward) > 2 FROM responses WHERE uid = 1");
    assert_eq!(null.outcome, expectations::Outcome::Failed);
    assert!(null.in_words().contains("neither true nor false"), "{null:?}");
    let empty = decide("SELECT count(*) = 0 FROM incidents");
    assert_eq!(empty.outcome, expectations::Outcome::Failed);
    assert!(empty.in_words().contains("incidents has no rows"), "{empty:?}");
    assert!(decide("SELECT max(incidents) = 0 FROM runs").held());

    for (sql, told) in [
        ("SELECT reward > 0 FROM responses", "yields one row"),
        (
            "SELECT count(*) FROM responses",
            "is true or false, and count(*) is Int64",
        ),
    ] {
        let answer = ask(&["judge"], &[&run], sql);
        assert_eq!(answer.status, Some(2), "{sql}");
        assert!(answer.err.contains(told), "{sql}: {}", answer.err);
    }
    assert_eq!(
        ask(&["check"], &[], "SELECT avg(reward) < 2 FROM responses").status,
        Some(0)
    );
    assert_eq!(
        ask(&["check"], &[], "SELECT avg(rewrd) < 2 FROM responses").status,
        Some(2)
    );
}
