//! Tests of disks that are full or cannot be written.

mod sample;

use std::fs;
use std::path::Path;

use mirror_journal::JournalError;
use mirror_runs::tables::EventRow;
use mirror_runs::{Ended, OnLoss, Recorder, Recovery, Run, RunDirectory, RunError, State, recover, runs};
use mirror_test_support::SmallDisk;
use sample::{event, forward, new_run, rows, start};

/// Appends until the disk is full. Returns the number of acknowledged events.
fn fill_up(recorder: &mut Recorder) -> u64 {
    let mut step = 0;
    loop {
        match recorder.append(&[event(forward("validator-0", step, 0))]) {
            Ok(_) => step += 1,
            Err(RunError::Journal(JournalError::Full { .. })) => return step,
            Err(error) => panic!("{error}"),
        }
    }
}

fn steps(path: &Path) -> Vec<u64> {
    let run = Run::open(path).unwrap();
    rows::<EventRow>(&run).into_iter().map(|row| row.step).collect()
}

#[test]
fn recording_continues_after_a_full_disk_has_space_again() {
    let Some(disk) = SmallDisk::mount(512) else { return };
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 384 << 10]).unwrap();
    let (mut recorder, path) = start(disk.path(), Recorder::SEGMENT_BYTES);
    let acknowledged = fill_up(&mut recorder);
    assert!(acknowledged > 0);

    fs::remove_file(ballast).unwrap();
    recorder
        .append(&[event(forward("validator-0", acknowledged, 0))])
        .unwrap();
    recorder.finish(Ended::Done).unwrap();
    assert_eq!(steps(&path), (0..=acknowledged).collect::<Vec<_>>());
}

#[test]
fn a_run_that_ends_on_a_full_disk_is_recovered_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(512) else { return };
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 384 << 10]).unwrap();
    let (mut recorder, path) = start(disk.path(), Recorder::SEGMENT_BYTES);
    let acknowledged = fill_up(&mut recorder);
    let error = recorder.finish(Ended::Done).unwrap_err();
    assert!(matches!(error, RunError::Full { .. }), "{error}");
    assert_eq!(Run::open(&path).unwrap().state(), State::Interrupted);
    assert!(recover(&path, OnLoss::Keep).is_err(), "the disk is still full");

    fs::remove_file(ballast).unwrap();
    assert!(matches!(
        recover(&path, OnLoss::Keep).unwrap(),
        Recovery::Recovered(_)
    ));
    assert_eq!(steps(&path), (0..acknowledged).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_contains_no_incomplete_run() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let ballast = disk.path().join("ballast");
    let mut size = 64 << 10;
    while fs::write(&ballast, vec![0; size]).is_err() {
        size -= 4 << 10;
    }
    let error = RunDirectory::create(disk.path(), &new_run()).unwrap_err();
    assert!(matches!(error, RunError::Full { .. }), "{error}");
    assert!(runs(disk.path()).unwrap().is_empty());
}

#[test]
fn a_read_only_folder_is_reported_and_its_runs_can_be_read() {
    let Some(disk) = SmallDisk::mount(512) else { return };
    let (mut recorder, interrupted) = start(disk.path(), 1024);
    recorder
        .append(&[
            event(forward("validator-0", 0, 0)),
            event(forward("validator-0", 1, 0)),
        ])
        .unwrap();
    drop(recorder);
    disk.make_read_only();

    let error = RunDirectory::create(disk.path(), &new_run()).unwrap_err();
    assert!(matches!(error, RunError::ReadOnly { .. }), "{error}");
    assert!(
        error.to_string().contains(&disk.path().display().to_string()),
        "{error}"
    );
    assert!(matches!(
        recover(&interrupted, OnLoss::Keep),
        Err(RunError::ReadOnly { .. })
    ));
    assert_eq!(steps(&interrupted), [0, 1]);
}
