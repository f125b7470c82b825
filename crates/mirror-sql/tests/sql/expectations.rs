//! Tests of the checks of expectations before a run, and of their evaluation after it.

use mirror_runs::expectations::{Decision, Outcome};

use crate::runs::{engine, run};

#[test]
fn a_decision_reports_the_compared_values() {
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

    for (sql, expected) in [
        ("SELECT reward > 0 FROM responses", "yields more than one"),
        ("SELECT reward > 0 FROM responses WHERE uid > 9", "yields none"),
        (
            "SELECT count(*) FROM responses",
            "must be BOOLEAN, but count(*) is BIGINT",
        ),
        ("EXPLAIN SELECT true", "must not begin with EXPLAIN"),
        ("DROP TABLE events", "refused"),
    ] {
        let erred = decide(sql);
        assert_eq!(erred.outcome, Outcome::Erred, "{sql}: {erred:?}");
        assert!(erred.in_words().contains(expected), "{sql}: {erred:?}");
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
    for (wrong, expected) in [
        ("SELECT avg(rewrd) < 2 FROM responses", "the nearest is reward"),
        ("SELECT avg(reward) FROM responses", "must be BOOLEAN"),
        ("SELECT true FROM respones", "nearest is responses"),
        ("SELECT 1 +", "not SQL"),
    ] {
        let error = engine.check(wrong).expect_err(wrong);
        assert!(error.is_question(), "{wrong}: {error:?}");
        assert!(error.to_string().contains(expected), "{wrong}: {error}");
    }
}

/// The compared values are read by a second statement, which must not affect the decision. In that statement the query
/// can fail, yield more rows, or yield other numbers.
#[test]
fn the_reported_values_do_not_change_a_decision() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for held in [
        "SELECT uid >= 0 FROM responses GROUP BY ALL",
        "SELECT uid >= 0 FROM responses GROUP BY 1",
        "SELECT uid = 0 FROM responses GROUP BY uid = 0 ORDER BY uid = 0 DESC LIMIT 1",
        "SELECT max(step)::USMALLINT - 10::USMALLINT < 5 OR true FROM responses",
        "SELECT 0.1e0 + 0.2e0 = 0.30000000000000004 FROM responses LIMIT 1",
        "SELECT typeof(1e3) = 'DOUBLE' FROM runs",
        "SELECT (SELECT max(reward) FROM responses) > (SELECT min(reward) FROM responses) FROM runs",
    ] {
        engine
            .check(held)
            .unwrap_or_else(|error| panic!("{held}: {error}"));
        let decision = engine.judge(std::slice::from_ref(&run), held);
        assert_eq!(decision.outcome, Outcome::Held, "{held}: {decision:?}");
    }
}

/// A table without rows is found under every spelling of its name. A common table expression of the same name is
/// another table.
#[test]
fn a_table_without_rows_is_found_however_it_is_named() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), 7, [1.0, 2.0]);
    for empty in [
        "SELECT count(*) = 0 FROM main.incidents",
        "SELECT count(*) = 0 FROM Incidents",
        "SELECT count(*) = 0 FROM \"incidents\"",
        "SELECT count(*) = 0 FROM incidents, range(3)",
        "WITH t AS (FROM incidents) SELECT count(*) = 0 FROM t",
        "SELECT (SELECT count(*) FROM incidents) = 0 FROM runs",
    ] {
        let decision = engine.judge(std::slice::from_ref(&run), empty);
        assert!(
            decision.in_words().contains("incidents has no rows"),
            "{empty}: {decision:?}"
        );
        assert_eq!(decision.outcome, Outcome::Failed, "{empty}");
    }
    let another = "WITH incidents AS (SELECT 3 AS n) SELECT n = 3 FROM incidents";
    assert!(engine.judge(std::slice::from_ref(&run), another).held());
}
