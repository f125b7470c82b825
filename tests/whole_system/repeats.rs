//! Tests that the same file with the same random seed gives the same events, regardless of faults and of how the miners
//! are distributed over processes.

use mirror_runs::tables::{ResponseRow, SUCCESS};
use mirror_tests::{TestEnv, rows};

use crate::experiment::TRAINING;

/// The settings that make repeatable events most difficult: three validators, drawn delays of which some exceed the
/// deadline, and a miner that is killed at one step and restarted at another.
const TROUBLED: [&str; 6] = [
    "query.method.args.max_iter=55",
    "network.validators=3",
    "network.stakes=[2000, 1000, 500]",
    "model.neuron.training_timeout=200ms",
    "network.miners=[{uids: 0-3, latency: {p50: 1ms, p99: 150ms}}]",
    "faults=[{at: step 20, kill: uid 5, restart_after: 15 steps}]",
];

/// Uses the questions of the data in chunks of four, so that the last chunk is not full.
const CHUNKED: [&str; 3] = [
    "data={id: facts, path: builtin, sample: {method: random, n: 30, seed: 3}}",
    "query.chunk_size=4",
    "network.validators=2",
];

/// Two runs of a troubled network have the same events. A run with another random seed has different ones.
#[test]
fn a_troubled_run_repeats_with_the_same_random_seed() {
    let env = TestEnv::new();
    let file = env.file("troubled.yml", TRAINING);
    let first = env.done(file, &TROUBLED);
    the_trouble_is_where_the_file_says(&rows(&first));
    let second = env.done(file, &TROUBLED);
    let same = env.diff(&first, &second);
    assert_eq!(same.status, Some(0), "{same:?}");
    assert!(same.out.contains("the same events"), "{same:?}");

    let other = env.done(file, &[&TROUBLED[..], &["seed=8"]].concat());
    let different = env.diff(&first, &other);
    assert_eq!(different.status, Some(1), "{different:?}");
    assert!(different.out.contains("different:"), "{different:?}");
}

/// The killed miner is unreachable for fifteen steps, and then until the validators sync the metagraph, which they do
/// every ten blocks. Calls fail randomly, and delays are drawn for the miners that have them.
#[track_caller]
fn the_trouble_is_where_the_file_says(calls: &[ResponseRow]) {
    for call in calls.iter().filter(|call| !call.timing_dependent) {
        let dead = call.uid == 5 && (20..=34).contains(&call.step);
        let coming_back = call.uid == 5 && (35..=45).contains(&call.step);
        if !coming_back {
            assert_eq!(call.outcome == "unreachable", dead, "{call:?}");
        }
        assert_eq!(call.drawn_delay.is_some(), call.uid <= 3, "{call:?}");
    }
    for outcome in [SUCCESS, "empty", "timeout"] {
        assert!(
            calls.iter().any(|call| call.outcome == outcome),
            "no call ended as {outcome}"
        );
    }
}

/// Eight miner processes with one axon each and two processes with four axons each form the same network.
#[test]
fn packing_axons_changes_no_event() {
    let env = TestEnv::new();
    let file = env.file("packed.yml", TRAINING);
    let single = env.done(file, &["network.validators=2"]);
    let packed = env.done(file, &["network.validators=2", "network.axons_per_process=4"]);
    let same = env.diff(&single, &packed);
    assert_eq!(same.status, Some(0), "{same:?}");
}

/// `forward` and `inference` ask a chunk of questions concurrently, and are still repeatable.
#[test]
fn chunks_of_questions_repeat() {
    let env = TestEnv::new();
    let file = env.file("chunked.yml", TRAINING);
    for method in ["query.method=forward", "query.method=inference"] {
        let settings = [&CHUNKED[..], &[method]].concat();
        let (first, second) = (env.done(file, &settings), env.done(file, &settings));
        assert_eq!(first.manifest().counts.rows["events"], 2 * 30, "{method}");
        let same = env.diff(&first, &second);
        assert_eq!(same.status, Some(0), "{method}: {same:?}");
    }
}
