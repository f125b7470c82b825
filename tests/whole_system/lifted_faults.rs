//! Faults that have ended leave nothing behind: from then on, a run has the same events as one without faults.

use mirror_runs::Run;
use mirror_runs::tables::{APPLIED, EventRow, FaultRow, LIFTED, ResponseRow};
use mirror_tests::{TestEnv, rows};

/// Two validators ask six of eight miners in each forward. Scores and rewards are random, so that the prompts, the
/// chosen miners and the rewards of a step do not depend on what earlier calls returned.
const NETWORK: &str = "\
seed: 5
model:
  id: lifted
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fail_rate: 0.2, fitness: 0.5}}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  metagraph: {name: DummyMetagraph, args: {num_nodes: 8}}
  neuron: {training_topk: 6, training_timeout: 1s}
query: {id: training, method: {name: train, args: {max_iter: 30}}}
network: {validators: 2}
";

/// Faults of most kinds, which overlap. All have ended before step 7.
const FAULTS: &str = "faults=[\
    {id: delayed, at: step 1, for: 5 steps, link: {to: miners}, latency: {p50: 2ms, p99: 9ms}, jitter: 3ms, \
        duplicate: 0.5}, \
    {id: lossy, at: step 2, for: 3 steps, link: {to: uid 0-3}, drop: 0.1, error: {code: unavailable, rate: 0.1}, \
        refuse: 0.1, goaway: 0.1, reset: {after: 5, rate: 0.1}, stall: 0.1, drop_reply: 0.1, corrupt: 0.1}, \
    {id: chain, at: step 1, for: 4 steps, link: {to: chain}, latency: 2ms}, \
    {id: narrow, at: step 1, for: 4 steps, wire: {to: uid 0-1}, bandwidth: 20kB, delay: 3ms, \
        slice: {bytes: 9, pause: 1ms}, slow_close: 20ms}, \
    {id: silent, at: step 3, for: 2 steps, wire: {to: uid 2}, silence: true, direction: replies}, \
    {id: stalled, at: step 2, for: 2 steps, wire: {to: uid 3}, stall: true}, \
    {id: broken, at: step 4, for: 2 steps, wire: {to: uid 4}, reset: 900}, \
    {id: split, at: step 3, for: 2 steps, partition: [[validator-0, uid 0-3], [validator-1, uid 4-7]]}, \
    {id: killed, at: step 2, kill: uid 5, restart_after: 3 steps}, \
    {id: crashing, at: step 2, for: 3 steps, crash_loop: uid 6, up: 50ms}, \
    {id: paused, at: step 4, for: 2 steps, pause: uid 7}, \
    {id: full, at: step 1, for: 3 steps, disk_full: uid 1}, \
    {id: early, at: step 1, for: 5 steps, clock: uid 0, skew: 100s}, \
    {id: copying, at: step 2, for: 3 steps, inject: uid 0-1, behaviour: echo}, \
    {id: idle, at: step 5, for: 1 steps, inject_validators: 1, behaviour: lazy}]";

/// Number of the faults.
const NUMBER: usize = 15;

/// The first step in which the validators know the new addresses of all restarted miners, because they sync the
/// metagraph every ten blocks.
const KNOWN: u64 = 20;

/// Returns the events and calls of the steps from `first` on, without times.
fn events_from(run: &Run, first: u64) -> (Vec<EventRow>, Vec<ResponseRow>) {
    let events = rows::<EventRow>(run).into_iter().map(|event| EventRow {
        started_at: 0.0,
        call_time: 0.0,
        trace_id: String::new(),
        ..event
    });
    let calls = rows::<ResponseRow>(run)
        .into_iter()
        .map(|call| ResponseRow { latency: 0.0, ..call });
    (
        events.filter(|event| event.step >= first).collect(),
        calls.filter(|call| call.step >= first).collect(),
    )
}

/// While the chain is paused, the coordinator cannot ask for the last closed block, so the row contains none.
#[test]
fn the_block_of_a_fault_is_absent_if_the_chain_does_not_answer() {
    let env = TestEnv::new();
    let file = env.file("paused.yml", NETWORK);
    // The latency keeps the queries from ending before the pause begins.
    let faults = "faults=[{id: slow, link: {to: miners}, latency: 100ms}, \
        {id: paused, at: 200ms, for: 3s, pause: chain}]";
    let run = env.done(file, &[faults]);
    let blocks: Vec<(String, bool)> = rows::<FaultRow>(&run)
        .into_iter()
        .filter(|row| row.fault == "paused")
        .map(|row| (row.change, row.block.is_some()))
        .collect();
    assert_eq!(blocks, [(APPLIED.to_owned(), false), (LIFTED.to_owned(), true)]);
}

#[test]
fn faults_that_have_ended_change_no_later_event() {
    let env = TestEnv::new();
    let file = env.file("lifted.yml", NETWORK);
    let undisturbed = env.done(file, &[]);
    let disturbed = env.done(file, &[FAULTS]);
    let changes: Vec<FaultRow> = rows(&disturbed);
    for change in [APPLIED, LIFTED] {
        let of_change = changes.iter().filter(|row| row.change == change);
        assert_eq!(of_change.count(), NUMBER, "{change}: {changes:#?}");
    }
    assert!(changes.iter().all(|row| row.step.is_some_and(|step| step < 7)));
    assert_ne!(events_from(&disturbed, 0), events_from(&undisturbed, 0));

    let (events, calls) = events_from(&disturbed, KNOWN);
    let (expected_events, expected_calls) = events_from(&undisturbed, KNOWN);
    for (event, expected) in events.iter().zip(&expected_events) {
        assert_eq!(event, expected);
    }
    for (call, expected) in calls.iter().zip(&expected_calls) {
        assert_eq!(call, expected);
        assert_eq!(call.faults, None);
    }
    let found = (events.len(), calls.len());
    assert_eq!(found, (expected_events.len(), expected_calls.len()));
    assert_eq!(found, (2 * 2 * 10, 2 * 2 * 10 * 6));
}
