//! Tests of lists of runs, and of manifests that cannot be read.

mod sample;

use std::fs;
use std::path::Path;

use mirror_runs::{Ended, OnLoss, Recorder, Run, RunError, State, find, recover, runs};
use sample::start;

/// Records a run that has ended, with the id `id`.
fn ended_run(runs_dir: &Path, id: &str) {
    let (recorder, path) = start(runs_dir, Recorder::SEGMENT_BYTES);
    recorder.finish(Ended::Done).unwrap();
    fs::rename(path, runs_dir.join(id)).unwrap();
}

#[test]
fn runs_are_listed_newest_first_with_their_true_state() {
    let dir = tempfile::tempdir().unwrap();
    ended_run(dir.path(), "2026-11-23T10-00-00-old-0000");
    let (interrupted, interrupted_path) = start(dir.path(), Recorder::SEGMENT_BYTES);
    drop(interrupted);
    fs::rename(interrupted_path, dir.path().join("2026-11-23T11-00-00-cut-0000")).unwrap();
    let (_going_on, going_on_path) = start(dir.path(), Recorder::SEGMENT_BYTES);
    fs::rename(going_on_path, dir.path().join("2026-11-23T12-00-00-new-0000")).unwrap();
    fs::create_dir(dir.path().join("no-run")).unwrap();
    fs::write(dir.path().join("a-file"), "").unwrap();

    let listed: Vec<_> = runs(dir.path())
        .unwrap()
        .into_iter()
        .map(|listed| (listed.id, listed.run.unwrap().1))
        .collect();
    let expected = [
        ("2026-11-23T12-00-00-new-0000", State::Running),
        ("2026-11-23T11-00-00-cut-0000", State::Interrupted),
        ("2026-11-23T10-00-00-old-0000", State::Done),
    ];
    assert_eq!(listed, expected.map(|(id, state)| (id.to_owned(), state)));
}

#[test]
fn a_missing_folder_of_runs_contains_no_runs() {
    let dir = tempfile::tempdir().unwrap();
    assert!(runs(dir.path().join("runs")).unwrap().is_empty());
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_id_by_last_and_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let ids = [
        "2026-11-23T10-00-00-a-0000",
        "2026-11-23T11-00-00-b-0000",
        "2026-11-23T11-00-00-b-00001",
    ];
    for id in ids {
        ended_run(dir.path(), id);
    }
    let found = |wanted: &str| {
        find(dir.path(), wanted).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
    };
    assert_eq!(found("2026-11-23T10").unwrap(), ids[0]);
    assert_eq!(found("last").unwrap(), ids[2]);
    assert_eq!(
        found(ids[1]).unwrap(),
        ids[1],
        "an exact id has precedence over a longer one"
    );
    assert_eq!(found(dir.path().join(ids[0]).to_str().unwrap()).unwrap(), ids[0]);

    let error = found("2026-11-23T11").unwrap_err();
    assert!(
        error.to_string().contains(ids[1]) && error.to_string().contains(ids[2]),
        "{error}"
    );
    assert!(matches!(found("2025"), Err(RunError::NotFound { .. })));
}

#[test]
fn a_manifest_of_a_later_version_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    ended_run(dir.path(), "run");
    fs::write(
        dir.path().join("run/manifest.json"),
        r#"{ "format": 1000, "all else": "is different" }"#,
    )
    .unwrap();
    for error in [
        Run::open(dir.path().join("run")).unwrap_err(),
        recover(dir.path().join("run"), OnLoss::Keep).unwrap_err(),
    ] {
        assert!(
            matches!(error, RunError::NewerFormat { found: 1000, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("1000"), "{error}");
    }
    assert!(
        runs(dir.path()).unwrap()[0].run.is_err(),
        "the run is listed with the error"
    );
}

#[test]
fn an_invalid_manifest_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &[u8]| {
        let manifest = dir.path().join("manifest.json");
        fs::write(&manifest, text).unwrap();
        let error = Run::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("manifest.json"), "{error}");
    };
    check(b"");
    check(b"{}");
    check(b"\xff\xfe");
    check(br#"{ "name": "some other program's" }"#);
    check(br#"{ "format": 1 }"#);
    check(&vec![b' '; 5 << 20]);
}

#[test]
fn a_folder_without_a_manifest_is_not_a_run_and_is_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Run::open(dir.path()), Err(RunError::NotARun { .. })));
    assert!(matches!(
        recover(dir.path(), OnLoss::Keep),
        Err(RunError::NotARun { .. })
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_table_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    ended_run(dir.path(), "run");
    fs::write(
        dir.path().join("run/events.parquet"),
        "PAR1 but nothing else PAR1",
    )
    .unwrap();
    let run = Run::open(dir.path().join("run")).unwrap();
    let error = run
        .rows::<mirror_runs::tables::EventRow>()
        .err()
        .expect("the damaged table is an error");
    assert!(error.to_string().contains("events.parquet"), "{error}");

    fs::copy(
        dir.path().join("run/weights.parquet"),
        dir.path().join("run/events.parquet"),
    )
    .unwrap();
    let mut rows = run.rows::<mirror_runs::tables::EventRow>().unwrap();
    assert!(rows.next().is_none(), "an empty file has no rows");
}
