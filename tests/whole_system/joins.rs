//! Tests of miners that join and leave the running network.

use std::collections::BTreeMap;

use mirror_identity::{Owner, SecretKey};
use mirror_metagraph_file::MetagraphFile;
use mirror_runs::tables::{FaultRow, ResponseRow};
use mirror_runs::{Run, neurons};
use mirror_seed::Seed;
use mirror_tests::{TestEnv, rows};

use crate::restarts::incidents;

const NETWORK: &str = "\
seed: 7
model:
  id: joins
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin}}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  metagraph: {name: DummyMetagraph, args: {num_nodes: 6}}
  neuron: {training_timeout: 500ms}
query: {id: training, method: {name: train, args: {max_iter: 40}}}
network: {validators: 2}
";

/// Returns the first and the last step in which each uid was called.
fn called(run: &Run) -> BTreeMap<u32, (u64, u64)> {
    let mut called = BTreeMap::new();
    for row in rows::<ResponseRow>(run) {
        let (first, last) = called.entry(row.uid).or_insert((row.step, row.step));
        (*first, *last) = (row.step.min(*first), row.step.max(*last));
    }
    called
}

/// Checks that the last metagraph of a run has these miners after its six miners and two validators.
#[track_caller]
fn check_newcomers(run: &Run, uids: std::ops::Range<u32>) {
    let folder = run.layout().root().join("metagraphs");
    let files = std::fs::read_dir(folder).expect("the run has metagraphs");
    let last = files.map(|file| file.expect("a file").path()).max();
    let metagraph = MetagraphFile::read(&last.expect("the run has a metagraph")).expect("it is readable");
    assert_eq!(metagraph.neurons.len(), uids.end as usize);
    for uid in uids {
        let hotkey = SecretKey::hotkey(&Seed::root(7), Owner::Miner(uid)).public();
        assert_eq!(metagraph.neurons[uid as usize].hotkey, hotkey, "uid {uid}");
    }
}

/// Miners that join at step 10 are registered in its block, and called after the next resync, which takes place every
/// ten blocks.
#[test]
fn miners_join_and_are_called_after_the_next_resync() {
    let env = TestEnv::new();
    let file = env.file("joins.yml", NETWORK);
    let join = ["faults=[{id: late, at: step 10, join: {count: 3, behaviour: echo, label: late}}]"];
    let run = env.done(file, &join);
    check_newcomers(&run, 8..11);
    let called = called(&run);
    for uid in 0..6 {
        assert_eq!(called[&uid], (0, 39), "uid {uid}");
    }
    for uid in 8..11 {
        assert_eq!(called[&uid], (20, 39), "uid {uid}");
    }
    let labels = neurons::load(run.layout()).expect("the neurons are readable");
    let late: Vec<(u32, &str, Option<&str>)> = labels
        .iter()
        .filter(|neuron| neuron.label == "late")
        .map(|neuron| (neuron.uid, &*neuron.role, neuron.control.as_deref()))
        .collect();
    assert_eq!(late, [8, 9, 10].map(|uid| (uid, "echo", Some("honest"))));
    let faults: Vec<FaultRow> = rows(&run);
    let fault = faults.first().expect("the fault has a row");
    assert_eq!(
        (&*fault.who, fault.step, &*fault.detail),
        ("uid 8-10", Some(10), "")
    );
    let again = env.done(file, &join);
    let same = env.diff(&run, &again);
    assert_eq!(same.status, Some(0), "{same:?}");
}

/// Two joins, of which one is at the first step, and faults on the miners that joined.
#[test]
fn miners_that_joined_can_be_killed_and_leave() {
    let env = TestEnv::new();
    let faults = "faults=[{at: step 0, join: {count: 1, label: early}}, {at: step 12, join: {count: 2, behaviour: echo}}, \
        {at: step 22, kill: uid 9, restart_after: 5 steps}, {at: step 25, leave: uid 10}, \
        {at: step 14, for: 3 steps, pause: label early}]";
    let file = env.file("joins.yml", NETWORK);
    let run = env.done(file, &[faults, "network.axons_per_process=4"]);
    check_newcomers(&run, 8..11);
    assert_eq!(incidents(&run, "miner-8"), [] as [&str; 0]);
    assert_eq!(incidents(&run, "miner-9"), ["killed", "restarted"]);
    assert_eq!(incidents(&run, "miner-10"), ["killed"]);
    let called = called(&run);
    assert_eq!(called[&8].0, 10);
    assert_eq!((called[&9].0, called[&10].0), (20, 20));
    // The restarted miner has another port, which validators learn with the resync of step 30.
    let fails_of = |uid: u32| {
        let failed = rows::<ResponseRow>(&run).into_iter();
        let failed = failed.filter(move |row| row.uid == uid && row.outcome == "unreachable");
        failed.map(|row| row.step).collect::<Vec<u64>>()
    };
    assert!(
        fails_of(9).iter().all(|step| (22..30).contains(step)),
        "{:?}",
        fails_of(9)
    );
    assert_eq!(fails_of(10).first(), Some(&25));
    assert_eq!(fails_of(10).last(), Some(&39));
}

/// Validators reach miners that joined through the proxy, which is not started again for them.
#[test]
fn miners_join_behind_the_proxy() {
    let env = TestEnv::new();
    let file = env.file(
        "joins.yml",
        NETWORK.replace("validators: 2", "validators: 2, proxy: true"),
    );
    let faults = "faults=[{at: step 10, join: {count: 2, behaviour: echo}}, \
        {at: step 32, for: 4 steps, wire: {to: uid 9}, silence: true}]";
    let run = env.done(file, &[faults]);
    check_newcomers(&run, 8..10);
    let outcomes = |uid: u32, steps: std::ops::Range<u64>| {
        let rows = rows::<ResponseRow>(&run).into_iter();
        let rows = rows.filter(move |row| row.uid == uid && steps.contains(&row.step));
        rows.map(|row| row.outcome)
            .collect::<std::collections::BTreeSet<String>>()
    };
    for uid in [8, 9] {
        assert_eq!(outcomes(uid, 20..32), ["success".to_owned()].into(), "uid {uid}");
    }
    assert_eq!(outcomes(8, 32..36), ["success".to_owned()].into());
    assert_eq!(outcomes(9, 32..36), ["timeout".to_owned()].into());
}

/// A fault by the clock lets miners join at the next hold of the barrier.
#[test]
fn miners_join_by_the_clock() {
    let env = TestEnv::new();
    let file = env.file("joins.yml", NETWORK.replace("max_iter: 40", "max_iter: 60"));
    // A slow link of one validator keeps the run going for several seconds.
    let faults = "faults=[{at: 1s, join: {count: 2, behaviour: echo}}, \
        {link: {from: validator-0, to: uid 0}, latency: 100ms}]";
    let run = env.done(file, &[faults]);
    check_newcomers(&run, 8..10);
    let faults: Vec<FaultRow> = rows(&run);
    let join = faults
        .iter()
        .find(|row| row.kind == "join")
        .expect("the join has a row");
    let step = join.step.expect("the join took place at a step");
    assert!(
        (1..=20).contains(&step),
        "1 s after the start of steps of 100 ms, but at step {step}"
    );
    let called = called(&run);
    for uid in [8, 9] {
        let first = called.get(&uid).expect("the newcomer is called").0;
        assert!(first > step && first <= step + 20, "uid {uid}: step {first}");
    }
}

/// A miner joins manually only if the file has room for it.
#[test]
fn miners_join_manually_if_there_is_room() {
    let env = TestEnv::new();
    let long = NETWORK.replace("max_iter: 40", "max_iter: 1000000");
    let file = env.file(
        "joins.yml",
        long.replace("{validators: 2}", "{validators: 2, room_for: 2}"),
    );
    let mut running = env.start_run(file, &[]);
    running.folder();
    running.node("validator-1");
    let add = |fault: &str| env.start(&["fault", "add", "last", fault]).ends();
    // The network accepts the fault once its queries have begun.
    let added = mirror_tests::eventually("a miner joins", || {
        let added = add("{join: {count: 1, behaviour: echo}}");
        (added.status == Some(0)).then_some(added)
    });
    assert!(added.out.contains("in effect from step"), "{added:?}");
    let refused = add("{join: {count: 2}}");
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("write `room_for: 3` in `network`"),
        "{refused:?}"
    );
    let joined = add("{join: {count: 1}}");
    assert_eq!(joined.status, Some(0), "{joined:?}");
    running.node("miner-9");
    running.send(rustix::process::Signal::INT);
    running.ends();
}
