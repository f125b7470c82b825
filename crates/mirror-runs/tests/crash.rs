//! Tests that a writer killed with SIGKILL at any moment loses no acknowledged record.

mod sample;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mirror_proto::mirror::v1::Record;
use mirror_runs::tables::{EventRow, FaultRow, ResponseRow};
use mirror_runs::{OnLoss, Recorder, Recovery, Run, State, recover, runs};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use sample::{changed, event, fault, forward, rows};

/// Environment variable of the process that is to be killed: its working directory.
const VICTIM: &str = "MIRROR_TEST_VICTIM";

/// Segment size that some dozens of events fill, so that segments are sealed and converted frequently.
const SMALL_SEGMENT: u64 = 32 << 10;

/// Runs the test named `name` again as the victim, in a separate process.
fn spawn_victim(name: &str, folder: &Path) -> Victim {
    let program = std::env::current_exe().expect("the path of the test program is known");
    let child = Command::new(program)
        .args([name, "--exact", "--nocapture"])
        .env(VICTIM, folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("the test program starts");
    Victim { child }
}

struct Victim {
    child: Child,
}

impl Victim {
    fn is_alive(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the victim is a child process")
            .is_none()
    }
}

/// Kills the victim with SIGKILL, also if an assertion failed.
impl Drop for Victim {
    fn drop(&mut self) {
        self.child.kill().expect("the victim can be killed");
        self.child.wait().expect("the victim can be waited for");
    }
}

/// Returns the records of a step: a fault that is applied or lifted before it, and an event.
fn records_of(step: u64) -> [Record; 2] {
    let mut change = fault("slow", step, step % 2 == 1);
    change.occurrence = step / 2;
    [changed(change), event(forward("validator-0", step, 0))]
}

/// Records steps in batches of one to eight until the process is killed, or for much longer than any test takes. Writes
/// each acknowledged step to a side file.
fn record_until_killed(folder: &Path) {
    let (mut recorder, _) = sample::start(&folder.join("runs"), SMALL_SEGMENT);
    let mut side_file = File::create(folder.join("acknowledged")).unwrap();
    let mut step = 0;
    while step < 1_000_000 {
        let steps = step..=step + step % 8;
        let batch: Vec<_> = steps.clone().flat_map(records_of).collect();
        recorder.append(&batch).unwrap();
        step = steps.end() + 1;
        // A single write, so that the line is complete or absent.
        side_file.write_all(format!("{step}\n").as_bytes()).unwrap();
    }
}

/// Returns the number of events that the victim has acknowledged, from the first.
fn acknowledged(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("acknowledged")).unwrap_or_default();
    text.lines().last().map_or(0, |line| line.parse().unwrap())
}

fn only_run(folder: &Path) -> PathBuf {
    let mut found = runs(folder.join("runs")).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).path
}

/// Checks that the run contains the events of steps 0 to n-1 with all their calls, each exactly once and complete.
/// Returns n.
#[track_caller]
fn assert_whole(run: &Run) -> u64 {
    let events: Vec<EventRow> = rows(run);
    for (step, row) in (0..).zip(&events) {
        assert_eq!(row.step, step, "an event is missing or duplicated");
        assert_eq!(row.message, forward("validator-0", step, 0).message);
    }
    let calls: Vec<(u64, u32)> = rows::<ResponseRow>(run)
        .iter()
        .map(|row| (row.step, row.position))
        .collect();
    let expected = (0..events.len() as u64).flat_map(|step| [(step, 0), (step, 1), (step, 2)]);
    assert!(calls.into_iter().eq(expected), "a call is missing or duplicated");
    events.len() as u64
}

/// Checks the same, and that the run contains the change of the fault before each event exactly once. That of the next
/// step may be there without its event.
#[track_caller]
fn assert_whole_with_faults(run: &Run) -> u64 {
    let events = assert_whole(run);
    let faults: Vec<FaultRow> = rows(run);
    let changes = faults.len() as u64;
    assert!(
        changes == events || changes == events + 1,
        "{events} events and {changes} changes of faults"
    );
    for (step, row) in (0..).zip(&faults) {
        assert_eq!((row.step, row.is_lifted()), (Some(step), step % 2 == 1));
    }
    events
}

#[test]
fn a_killed_recorder_loses_nothing_acknowledged() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        return record_until_killed(Path::new(&folder));
    }
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    for round in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let mut victim = spawn_victim("a_killed_recorder_loses_nothing_acknowledged", folder.path());
        let enough = 1 + u64::from(rng.next_u32() % 3_000);
        while acknowledged(folder.path()) < enough {
            assert!(victim.is_alive(), "the victim exited on its own");
            std::thread::yield_now();
        }
        let before = acknowledged(folder.path());
        let live = Run::open(only_run(folder.path())).unwrap();
        assert_eq!(live.state(), State::Running);
        assert!(
            assert_whole_with_faults(&live) >= before,
            "a concurrent reader sees all acknowledged records"
        );
        drop(victim);

        let path = only_run(folder.path());
        let promised = acknowledged(folder.path());
        let interrupted = Run::open(&path).unwrap();
        assert_eq!(interrupted.state(), State::Interrupted);
        let kept = assert_whole_with_faults(&interrupted);
        assert!(
            kept >= promised,
            "round {round}: {promised} acknowledged, {kept} kept"
        );
        assert!(kept <= promised + 8, "at most the last batch was unacknowledged");

        assert!(matches!(
            recover(&path, OnLoss::Keep).unwrap(),
            Recovery::Recovered(_)
        ));
        let recovered = Run::open(&path).unwrap();
        assert_eq!(recovered.state(), State::Interrupted);
        assert_eq!(assert_whole_with_faults(&recovered), kept);

        let Recovery::AlreadyEnded(again) = recover(&path, OnLoss::Keep).unwrap() else {
            panic!("the second recovery did not find a finished run");
        };
        assert_eq!(&again, recovered.manifest());
        assert_eq!(assert_whole_with_faults(&Run::open(&path).unwrap()), kept);
    }
}

#[test]
fn a_killed_recovery_is_done_again() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        recover(only_run(Path::new(&folder)), OnLoss::Keep).unwrap();
        return;
    }
    let steps = 1_500;
    // Files that the recovery creates and removes or renames again.
    let milestones = [
        "parts/000001.tmp",
        "parts/000009",
        "events.parquet.tmp",
        "responses.parquet",
        "weights.parquet",
        "incidents.parquet",
        "manifest.json.tmp",
    ];
    let mut reached = BTreeSet::new();
    for milestone in milestones {
        let folder = tempfile::tempdir().unwrap();
        let (mut recorder, path) = sample::start(&folder.path().join("runs"), u64::MAX);
        let batch: Vec<_> = (0..steps).flat_map(records_of).collect();
        recorder.append(&batch).unwrap();
        drop(recorder);
        split_into_segments(&path.join("journal"));

        let mut victim = spawn_victim("a_killed_recovery_is_done_again", folder.path());
        while victim.is_alive() {
            if path.join(milestone).exists() {
                reached.insert(milestone);
                break;
            }
        }
        drop(victim);
        recover(&path, OnLoss::Keep).unwrap();
        assert_eq!(
            assert_whole_with_faults(&Run::open(&path).unwrap()),
            steps,
            "killed at {milestone}"
        );
    }
    assert!(reached.len() >= 4, "killed too late except at {reached:?}");
}

/// Splits the only segment into many, none of which has a part.
fn split_into_segments(journal: &Path) {
    let segments = journal.with_file_name("segments");
    let mut writer = mirror_journal::Writer::open(&segments, SMALL_SEGMENT)
        .unwrap()
        .writer;
    for entry in mirror_journal::Reader::open(journal).unwrap() {
        writer.append_batch(&[entry.unwrap().bytes]).unwrap();
    }
    fs::remove_dir_all(journal).unwrap();
    fs::rename(segments, journal).unwrap();
}

#[test]
fn a_torn_record_is_cut_off_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, path) = sample::start(folder.path(), Recorder::SEGMENT_BYTES);
    let segment = path.join("journal/000001.journal");
    let size = || fs::metadata(&segment).unwrap().len();
    recorder.append(&[event(forward("validator-0", 0, 0))]).unwrap();
    let whole = size();
    recorder.append(&[event(forward("validator-0", 1, 0))]).unwrap();
    drop(recorder);
    let torn = size() - 1 - whole;
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(whole + torn).unwrap();

    let Recovery::Recovered(manifest) = recover(&path, OnLoss::Keep).unwrap() else {
        panic!("the run was not recovered");
    };
    assert_eq!(manifest.counts.torn_bytes, torn);
    assert!(!manifest.counts.has_gaps());
    assert_eq!(assert_whole(&Run::open(&path).unwrap()), 1);
}
