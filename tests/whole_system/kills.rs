//! Kills nodes of every kind at random moments of experiments, including their start. The runs must succeed, no process
//! may be left, and all results except those of killed miners must equal those of an undisturbed run.
//!
//! The number of kills is 10, or the value of `MIRROR_KILLS`. Each run has up to [`KILLS_A_RUN`] kills, or twice as
//! many if there are more than 10 in total. The moments and the victims are drawn from a random seed that is printed
//! and that `MIRROR_KILL_SEED` sets. Every other run spares the miners: its events are those of the undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, IncidentRow, ResponseRow};
use mirror_seed::Seed;
use mirror_tests::{Process, RunningCommand, TestEnv, acknowledged, eventually, logging_below, rows};
use rustix::process::Signal;

use crate::experiment::{ASKED, TRAINING};

/// Number of kills in one run. With more than 10 kills in total, each run takes twice as many.
const KILLS_A_RUN: u64 = 5;

/// Maximum number of restarts of a node before the run fails.
const KILLS_A_NODE: usize = 5;

/// Number of kills in one run that happen during its start.
const AT_THE_START: u64 = 2;

/// Number of events of a validator, two for each step.
const EVENTS: usize = 2_000;

const LONG: [&str; 3] = [
    "query.method.args.max_iter=1000",
    "network.validators=2",
    "network.restart={miners: restart}",
];

/// The chain, the validators and the miners.
const NODES: [&str; 11] = [
    "subtensor",
    "validator-0",
    "validator-1",
    "miner-0",
    "miner-1",
    "miner-2",
    "miner-3",
    "miner-4",
    "miner-5",
    "miner-6",
    "miner-7",
];

/// Number of nodes that precede the miners.
const SPARING_MINERS: usize = 3;

/// A sequence of numbers drawn from a random seed.
struct Draws {
    seed: Seed,
    drawn: u64,
}

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.drawn += 1;
        let [a, b, c, d, ..] = self.seed.numbered_child("draw", self.drawn).bytes();
        u32::from_le_bytes([a, b, c, d]) as usize % end
    }

    /// Returns the range of the chain, the validators or the miners, each kind with the same probability.
    fn kind_of(&mut self, miners: bool) -> std::ops::Range<usize> {
        match self.below(if miners { 3 } else { 2 }) {
            0 => 0..1,
            1 => 1..SPARING_MINERS,
            _ => SPARING_MINERS..NODES.len(),
        }
    }

    fn node(&mut self, miners: bool) -> &'static str {
        let kind = self.kind_of(miners);
        NODES[kind.start + self.below(kind.len())]
    }
}

#[test]
fn a_network_survives_repeated_kills() {
    let seed = number("MIRROR_KILL_SEED").unwrap_or_else(now);
    println!("MIRROR_KILL_SEED={seed}");
    let kills = number("MIRROR_KILLS").unwrap_or(10);
    let a_run = if kills > 10 { 2 * KILLS_A_RUN } else { KILLS_A_RUN };
    let env = TestEnv::new();
    let file = env.file("long.yml", TRAINING);
    let undisturbed = env.done(file, &LONG);
    let mut by_node: BTreeMap<&str, usize> = BTreeMap::new();
    let mut at_the_start = 0;
    for (number, first) in (0..).zip((0..kills).step_by(a_run as usize)) {
        let mut draws = Draws {
            seed: Seed::root(seed).numbered_child("run", number),
            drawn: 0,
        };
        let miners = number % 2 == 1;
        let mut running = env.start_run(file, &LONG);
        let folder = running.folder();
        let killed = kill(
            &mut running,
            &folder,
            a_run.min(kills - first),
            miners,
            &mut draws,
        );
        let ended = running.ends();
        assert_eq!(ended.status, Some(0), "{killed:?}: {ended:?}");
        assert_eq!(logging_below(env.path()), [], "left behind: {ended:?}");
        let disturbed = Run::open(folder).expect("the run opens");
        at_the_start += each_kill_is_an_incident(&disturbed, &killed);
        if miners {
            only_calls_to_killed_miners_differ(&undisturbed, &disturbed, &killed);
        } else {
            let same = env.diff(&undisturbed, &disturbed);
            assert_eq!(same.status, Some(0), "{killed:?}: {same:?}");
        }
        for validator in ["validator-0", "validator-1"] {
            let events = acknowledged(disturbed.layout().root(), validator);
            let different: BTreeSet<&String> = events.iter().collect();
            assert_eq!(different.len(), EVENTS, "{killed:?}");
        }
        for (node, times) in killed {
            *by_node.entry(node).or_default() += times;
        }
    }
    println!("killed: {by_node:?}; {at_the_start} of them before they were ready");
}

/// Kills nodes of a run at random moments, at first during its start and then at random events. Returns the number of
/// kills of each node.
#[track_caller]
fn kill(
    running: &mut RunningCommand,
    folder: &Path,
    kills: u64,
    miners: bool,
    draws: &mut Draws,
) -> BTreeMap<&'static str, usize> {
    let mut killed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut events = 0;
    for kill in 0..kills {
        if kill < AT_THE_START.min(kills / 2) {
            // The moment is when a randomly chosen node appears.
            let moment = NODES[draws.below(NODES.len())];
            running.node(moment);
            assert!(
                kill > 0 || acknowledged(folder, "validator-0").is_empty(),
                "the run had started before {moment} appeared"
            );
        } else {
            events += 1 + draws.below(EVENTS / 12);
            running.until_acknowledged("validator-0", events);
        }
        let (node, process) = loop {
            let node = draws.node(miners);
            if killed.get(node).is_some_and(|times| *times == KILLS_A_NODE) {
                continue;
            }
            // During the start of the network, some nodes do not exist yet. Later, each node is restarted.
            let process = if events == 0 {
                running.node_now(node)
            } else {
                Some(running.node(node))
            };
            if let Some(process) = process {
                break (node, process);
            }
        };
        end(&process);
        *killed.entry(node).or_default() += 1;
    }
    killed
}

#[track_caller]
fn end(process: &Process) {
    process.send(Signal::KILL);
    eventually("a killed node has ended", || (!process.is_alive()).then_some(()));
}

/// Checks that the incidents match the kills. Returns the number of kills that hit a node that was not ready.
#[track_caller]
fn each_kill_is_an_incident(run: &Run, killed: &BTreeMap<&str, usize>) -> usize {
    let known: Vec<IncidentRow> = rows(run);
    for what in ["exited", "restarted"] {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for incident in known.iter().filter(|incident| incident.what == what) {
            *times.entry(&incident.node).or_default() += 1;
        }
        if what == "exited" {
            assert_eq!(&times, killed, "{known:?}");
        } else {
            // A node that is killed during a restart is restarted once for two deaths.
            let all = |(node, times): (&&str, &usize)| (1..=killed[node]).contains(times);
            assert!(times.len() == killed.len() && times.iter().all(all), "{known:?}");
        }
    }
    assert!(
        known
            .iter()
            .all(|incident| ["exited", "restarted"].contains(&&*incident.what)),
        "{known:?}"
    );
    let before = known
        .iter()
        .filter(|incident| incident.detail.contains("before it was ready"));
    before.count()
}

/// Checks that every forward has all its calls, to the same axons. For equal prompts, only the replies of killed miners
/// may differ.
#[track_caller]
fn only_calls_to_killed_miners_differ(undisturbed: &Run, disturbed: &Run, killed: &BTreeMap<&str, usize>) {
    let (before, after) = (forwards(undisturbed), forwards(disturbed));
    assert!(before.keys().eq(after.keys()), "{killed:?}");
    let mut alike = 0;
    for (forward, (asked, calls)) in &before {
        let (asked_after, calls_after) = &after[forward];
        assert_eq!(calls.len(), ASKED, "{forward:?}");
        assert!(calls.keys().eq(calls_after.keys()), "{killed:?}, {forward:?}");
        if asked != asked_after {
            // The best completion of the first forward, which is the prompt of the second, was from a killed miner.
            assert_eq!(forward.2, 1, "{killed:?}, {forward:?}");
            continue;
        }
        for (uid, answer) in calls {
            if !killed.contains_key(&*format!("miner-{uid}")) {
                assert_eq!(answer, &calls_after[uid], "{killed:?}, {forward:?}, uid {uid}");
                alike += 1;
            }
        }
    }
    assert!(alike > EVENTS, "hardly any call could be compared: {alike}");
}

/// Validator, step and forward index.
type Forward = (String, u64, u32);

/// The prompt, and the outcome and the completion by uid.
type Calls = (String, BTreeMap<u32, (String, String)>);

fn forwards(run: &Run) -> BTreeMap<Forward, Calls> {
    let mut forwards = BTreeMap::new();
    for event in rows::<EventRow>(run) {
        let forward = (event.validator, event.step, event.forward_index);
        forwards.insert(forward, (event.message, BTreeMap::new()));
    }
    for call in rows::<ResponseRow>(run) {
        let forward = (call.validator, call.step, call.forward_index);
        let (_, calls) = forwards.get_mut(&forward).expect("a call has its event");
        let before = calls.insert(call.uid, (call.outcome, call.completion));
        assert_eq!(before, None, "{forward:?} asked uid {} twice", call.uid);
    }
    forwards
}

fn number(variable: &str) -> Option<u64> {
    let number = std::env::var(variable).ok()?;
    Some(
        number
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number, not {number}")),
    )
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
