//! Tests that an acknowledged event is recorded exactly once and completely, however the coordinator ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mirror_runs::Run;
use mirror_runs::tables::{EpochRow, EventRow, ResponseRow};
use mirror_seed::Seed;
use mirror_tests::{TestEnv, acknowledged, logging_below, rows, within};
use rustix::process::Signal;

use crate::experiment::{ASKED, TRAINING};

/// Number of coordinators that are killed.
const KILLS: u64 = 20;

/// The nodes of a killed coordinator should end within a second. A machine that is busy with other work may need more.
const GONE: Duration = Duration::from_secs(5);

/// Kills the coordinator at a random moment, twenty times: five times relative to its start, and otherwise relative to
/// the first acknowledged event. Each time, the tables that `mirror runs recover` creates must contain every
/// acknowledged event once, with all its calls.
///
/// The moments are drawn from a random seed that is printed and that `MIRROR_TEST_SEED` sets.
#[test]
fn no_acknowledged_event_is_lost_incomplete_or_duplicated() {
    let seed = seed();
    println!("MIRROR_TEST_SEED={seed}");
    let env = TestEnv::new();
    let file = env.file("endless.yml", TRAINING);
    let mut longest = (Duration::ZERO, Vec::new());
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let moment = moment(seed, kill);
        let mut running = env.start_run(
            file,
            &["query.method.args.max_iter=1000000", "network.validators=2"],
        );
        let folder = running.folder();
        if kill % 4 > 0 {
            running.until_acknowledged("validator-0", 1);
        }
        thread::sleep(moment);
        let killed = Instant::now();
        running.send(Signal::KILL);
        let mut last = Vec::new();
        within(GONE, "no process is left", || {
            let left = logging_below(env.path());
            if left.is_empty() {
                return Some(());
            }
            last = left;
            None
        });
        longest = longest.max((
            killed.elapsed(),
            last.into_iter().map(|process| process.program).collect(),
        ));
        assert_eq!(running.ends().status, None, "killed after {moment:?}");

        assert_eq!(state(&env, &folder), "interrupted");
        let id = folder
            .file_name()
            .and_then(|id| id.to_str())
            .expect("a run's id is text");
        let recovered = env.mirror(&["runs", "recover", id]);
        assert_eq!(recovered.status, Some(0), "{recovered:?}");
        acknowledged += compare(&folder);
        let again = env.mirror(&["runs", "recover", id]);
        assert_eq!(again.status, Some(0), "{again:?}");
        assert!(again.out.contains("has all its tables already"), "{again:?}");
        assert_eq!(state(&env, &folder), "interrupted");
    }
    println!(
        "{acknowledged} acknowledged events; the longest time until all processes ended after a kill, and the last of them: {longest:?}"
    );
    assert!(
        acknowledged > 0,
        "no coordinator lived long enough to acknowledge anything"
    );
}

/// Checks that the tables contain every event that two validators have recorded as acknowledged. Returns their number.
#[track_caller]
fn compare(folder: &Path) -> usize {
    let run = Run::open(folder).expect("a recovered run opens");
    let mut recorded = BTreeMap::new();
    for event in rows::<EventRow>(&run) {
        let identity = format!(
            "{} {} {} {}",
            event.validator, event.purpose, event.step, event.forward_index
        );
        *recorded.entry(identity).or_insert(0) += 1;
    }
    let twice: Vec<_> = recorded.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "recorded twice: {twice:?}");

    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in rows::<ResponseRow>(&run) {
        let identity = format!(
            "{} {} {} {}",
            call.validator, call.purpose, call.step, call.forward_index
        );
        *calls.entry(identity).or_default() += 1;
    }
    let whole: BTreeMap<String, usize> = recorded
        .keys()
        .map(|identity| (identity.clone(), ASKED))
        .collect();
    assert_eq!(
        calls, whole,
        "each event with all its calls, and no call without its event"
    );

    // The epochs have no gap, and each has eight miners and two validators.
    let epochs: Vec<_> = rows::<EpochRow>(&run)
        .iter()
        .map(|row| (row.epoch, row.uid))
        .collect();
    let last = epochs.last().map_or(0, |(last, _)| *last);
    let whole: Vec<_> = (1..=last)
        .flat_map(|epoch| (0..10).map(move |uid| (epoch, uid)))
        .collect();
    assert_eq!(epochs, whole);

    let acknowledged: Vec<String> = ["validator-0", "validator-1"]
        .into_iter()
        .flat_map(|validator| acknowledged(folder, validator))
        .collect();
    let distinct: BTreeSet<&String> = acknowledged.iter().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "acknowledged twice");
    let missing: Vec<_> = distinct
        .into_iter()
        .filter(|identity| !recorded.contains_key(*identity))
        .collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    acknowledged.len()
}

/// Returns the state of a run in the output of `mirror runs list`.
#[track_caller]
fn state(env: &TestEnv, folder: &Path) -> String {
    let listed = env.mirror(&["runs", "list", "--json"]);
    assert_eq!(listed.status, Some(0), "{listed:?}");
    let runs = listed
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a run is a line of JSON"));
    let id = folder.file_name().and_then(|id| id.to_str());
    let mut this = runs.filter(|run| run["id"].as_str() == id);
    let run = this.next().expect("the run is listed");
    run["state"].as_str().expect("a state is a word").to_owned()
}

fn seed() -> u64 {
    if let Ok(seed) = std::env::var("MIRROR_TEST_SEED") {
        return seed.parse().expect("MIRROR_TEST_SEED is a number");
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970");
    now.as_nanos() as u64
}

/// Returns how long a run continues before the kill, up to 0.65 s.
fn moment(seed: u64, kill: u64) -> Duration {
    let [low, high, ..] = Seed::root(seed).numbered_child("moment", kill).bytes();
    Duration::from_micros(10 * u64::from(u16::from_le_bytes([low, high])))
}
