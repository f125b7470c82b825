//! How expectations are checked before a run, and decided after.

use mirror_runs::expectations::{Decision, Outcome};

use crate::runs::{engine, run};

#[test]
fn an_expectation_is_decided_by_values_that_are_told() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    let decide = |sql: &str| -> Decision { engine.judge(std::slice::from_ref(&run), sql) };

    let held = decide("SELECT avg(reward) < 2 AND count(*) = 4 AND NOT count(*) > 9 FROM responses");
    assert_eq!(held.outcome, Outcome::Held, "{held:?}");
    assert_eq!(held.in_words(), "avg(reward) = 1.5, count(*) = 4");
    let failed = decide("SELECT max(reward) > 2 AS enough, min(uid) AS least FROM responses");
    assert_eq!(failed.outcome, Outcome::Failed);
    assert_eq!(failed.in_words(), "least = 0");
    let between = decide("SELECT min(reward) BETWEEN 0 AND max(reward) FROM responses");
    assert_eq!(between.in_words(), "min(reward) = 1.0, max(reward) = 2.0");
    let null = decide("SELECT max(reward) > 2 FROM responses WHERE uid = 1");
    assert_eq!(null.outcome, Outcome::Failed);
    assert!(null.in_words().contains("neither true nor false"), "{null:?}");
    let empty = decide("SELECT count(*) = 0 FROM incidents");
    assert_eq!(empty.outcome, Outcome::Failed);
    assert!(empty.in_words().contains("incidents has no rows"), "{empty:?}");
    assert!(decide("SELECT max(incidents) = 0 FROM runs").held());
    let common =
        decide("WITH good AS (SELECT reward FROM responses WHERE uid = 0) SELECT min(reward) >= 1 FROM good");
    assert!(common.held(), "{common:?}");
    assert_eq!(common.in_words(), "min(reward) = 1.0");

    for (sql, told) in [
        ("SELECT reward > 0 FROM responses", "yields more than one"),
        ("SELECT reward > 0 FROM responses WHERE uid > 9", "yields none"),
        (
            "SELECT count(*) FROM responses",
            "is true or false, and count(*) is BIGINT",
        ),
        ("EXPLAIN SELECT true", "EXPLAIN asks for the plan"),
        ("DROP TABLE events", "refused"),
    ] {
        let erred = decide(sql);
        assert_eq!(erred.outcome, Outcome::Erred, "{sql}: {erred:?}");
        assert!(erred.in_words().contains(told), "{sql}: {erred:?}");
    }
}

#[test]
fn an_expectation_is_checked_before_there_is_a_run() {
    let Some(engine) = engine() else { return };
    for sound in [
        "SELECT avg(reward) < 2 FROM responses",
        "SELECT sum(server_emission) / 1e9 > 1 FROM epochs JOIN uids USING (run_id, uid) WHERE role = 'honest'",
        "SELECT max(incidents) = 0 FROM runs",
    ] {
        engine
            .check(sound)
            .unwrap_or_else(|error| panic!("{sound}: {error}"));
    }
    for (wrong, told) in [
        ("SELECT avg(rewrd) < 2 FROM responses", "the nearest is reward"),
        ("SELECT avg(reward) FROM responses", "true or false"),
        ("SELECT true FROM respones", "nearest is responses"),
        ("SELECT 1 +", "not SQL"),
    ] {
        let error = engine.check(wrong).expect_err(wrong);
        assert!(error.is_question(), "{wrong}: {error:?}");
        assert!(error.to_string().contains(told), "{wrong}: {error}");
    }
}
