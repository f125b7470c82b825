//! Tests of the recovery of runs whose journal is damaged.

mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mirror_runs::tables::EventRow;
use mirror_runs::{Loss, Manifest, Missing, OnLoss, Recovery, Run, RunError, recover};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use sample::{event, forward, rows};

const STEPS: u64 = 60;

/// Records an interrupted run of several segments, of which the event of step `n` is record `n`. Its parts are removed,
/// so that only the journal contains the records.
fn interrupted(folder: &Path) -> PathBuf {
    let (mut recorder, path) = sample::start(folder, 2_000);
    for step in 0..STEPS {
        recorder
            .append(&[event(forward("validator-0", step, 0))])
            .unwrap();
    }
    drop(recorder);
    fs::remove_dir_all(path.join("parts")).unwrap();
    path
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(path.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn steps(path: &Path) -> BTreeSet<u64> {
    let rows: Vec<EventRow> = rows(&Run::open(path).unwrap());
    for row in &rows {
        assert_eq!(row.message, forward("validator-0", row.step, 0).message);
    }
    rows.iter().map(|row| row.step).collect()
}

#[track_caller]
fn recovered(path: &Path) -> Manifest {
    match recover(path, OnLoss::Keep).unwrap() {
        Recovery::Recovered(manifest) => manifest,
        Recovery::AlreadyEnded(_) => panic!("the run had ended"),
    }
}

fn missing_steps(manifest: &Manifest) -> BTreeSet<u64> {
    let ranges = manifest.counts.losses.iter().map(|loss| match loss.missing() {
        Missing::Range { first, last } => first..last + 1,
        Missing::From { first } => first..STEPS,
        Missing::Nothing | Missing::Unknown => 0..0,
    });
    ranges.flatten().collect()
}

#[test]
fn every_damage_is_recovered_with_all_other_records() {
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[21; 32]);
    for round in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let path = interrupted(folder.path());
        let files = segments(&path);
        assert!(files.len() > 5);
        // The newest segment has no later one, by which a cut at the end of a record would be noticed.
        let file = &files[rng.next_u32() as usize % (files.len() - 1)];
        let mut bytes = fs::read(file).unwrap();
        let place = rng.next_u32() as usize % bytes.len();
        match round % 3 {
            0 => {
                bytes[place] ^= 1 << (round % 8);
                fs::write(file, bytes).unwrap();
            }
            1 => fs::write(file, &bytes[..place]).unwrap(),
            _ => fs::remove_file(file).unwrap(),
        }
        assert!(matches!(Run::open(&path), Err(RunError::Damaged { .. })));
        let manifest = recovered(&path);
        assert!(!manifest.counts.losses.is_empty());
        let kept = steps(&path);
        let missing = missing_steps(&manifest);
        // What is left of the missing records is not deleted, also if the recovery is repeated.
        assert!(matches!(
            recover(&path, OnLoss::Keep),
            Ok(Recovery::AlreadyEnded(_))
        ));
        assert_eq!(path.join("journal").exists(), !missing.is_empty());
        assert_eq!(steps(&path), kept);
        assert!(kept.is_disjoint(&missing));
        assert_eq!(kept.len() + missing.len(), STEPS as usize, "round {round}");
        if round % 3 == 0 {
            assert!(missing.len() <= 1, "one bit is in one record: {missing:?}");
        }
        let number: u32 = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        for loss in &manifest.counts.losses {
            match loss {
                Loss::Bytes { segment, .. } => assert_eq!(*segment, number),
                Loss::Segments { first, last, .. } => assert_eq!((*first, *last), (number, number)),
            }
        }
        assert_eq!(manifest.counts.has_gaps(), !missing.is_empty());
    }
}

#[test]
fn a_strict_recovery_writes_nothing_if_there_are_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let path = interrupted(folder.path());
    let files = segments(&path);
    fs::remove_file(&files[2]).unwrap();
    let names = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(&path).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let before = (names(), fs::read(path.join("manifest.json")).unwrap());
    let error = recover(&path, OnLoss::Refuse).unwrap_err();
    assert!(matches!(error, RunError::Gaps { .. }), "{error}");
    assert!(error.to_string().contains("000003.journal"), "{error}");
    assert_eq!(before, (names(), fs::read(path.join("manifest.json")).unwrap()));
    assert!(recovered(&path).counts.has_gaps());
    assert!(matches!(
        recover(&path, OnLoss::Refuse),
        Err(RunError::Gaps { .. })
    ));
}

#[test]
fn an_intact_run_is_recovered_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = interrupted(folder.path());
    assert!(matches!(
        recover(&path, OnLoss::Refuse).unwrap(),
        Recovery::Recovered(manifest) if !manifest.counts.has_gaps()
    ));
    assert_eq!(steps(&path), (0..STEPS).collect());
}

/// The run ended, and its tables could not be written, because a file is in their way.
#[test]
fn a_cut_end_is_noticed_if_the_run_had_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, path) = sample::start(folder.path(), u64::MAX);
    for step in 0..STEPS {
        recorder
            .append(&[event(forward("validator-0", step, 0))])
            .unwrap();
    }
    fs::remove_dir_all(path.join("parts")).unwrap();
    fs::write(path.join("parts"), "").unwrap();
    assert!(recorder.finish(mirror_runs::Ended::Done).is_err());
    fs::remove_file(path.join("parts")).unwrap();
    let journal = path.join("journal/000001.journal");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() / 2]).unwrap();
    let manifest = recovered(&path);
    let kept = steps(&path);
    assert!(!kept.is_empty() && manifest.counts.torn_bytes == 0);
    assert_eq!(missing_steps(&manifest), (kept.len() as u64..STEPS).collect());
}
