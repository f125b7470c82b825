//! A partition of a network lets no call through, and heals.

use std::ops::Range;

use mirror_runs::tables::{FaultRow, ResponseRow, SUCCESS};
use mirror_tests::{TestEnv, rows};

/// Eight miners that never fail, of which two validators ask all in each forward.
const NETWORK: &str = "\
seed: 11
model:
  id: partition
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fail_rate: 0, fitness: 1}}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  metagraph: {name: DummyMetagraph, args: {num_nodes: 8}}
  neuron: {training_topk: 8, training_timeout: 1s}
query: {id: training, method: {name: train, args: {max_iter: 12}}}
network: {validators: 2}
";

/// The steps of the partition.
const STEPS: Range<u64> = 4..6;

/// Number of the forwards of a validator in the steps of the partition, and of the miners that it cannot reach.
const LOST: usize = 2 * 2 * 4;

/// Checks that the calls that `is_cut` selects are timeouts while the partition lasts, and that all others succeed.
#[track_caller]
fn only_these_are_lost(calls: &[ResponseRow], is_cut: impl Fn(&ResponseRow) -> bool) {
    let mut lost = 0;
    for call in calls {
        let expected = if STEPS.contains(&call.step) && is_cut(call) {
            lost += 1;
            "timeout"
        } else {
            SUCCESS
        };
        assert_eq!(call.outcome, expected, "{call:?}");
    }
    assert_eq!((calls.len(), lost), (2 * 2 * 8 * 12, 2 * LOST));
}

/// Each validator is on one side, with half of the miners. A reply comes only from a miner that the request reached, so
/// the miners' side counts the calls.
#[test]
fn a_partition_lets_no_call_through_and_heals() {
    let env = TestEnv::new();
    let file = env.file("partition.yml", NETWORK);
    let faults = "faults=[{id: split, at: step 4, for: 2 steps, \
        partition: [[validator-0, uid 0-3], [validator-1, uid 4-7]]}]";
    let run = env.done(file, &[faults]);
    let calls: Vec<ResponseRow> = rows(&run);
    only_these_are_lost(&calls, |call| (call.validator == "validator-0") != (call.uid < 4));
    let changes: Vec<(String, Option<u64>)> = rows::<FaultRow>(&run)
        .into_iter()
        .map(|row| (row.change, row.step))
        .collect();
    let expected = [("applied", Some(STEPS.start)), ("lifted", Some(STEPS.end))];
    assert_eq!(changes, expected.map(|(change, step)| (change.to_owned(), step)));
}
