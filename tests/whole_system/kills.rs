//! Nodes of every kind killed by force at random moments of running experiments, their start included: the runs end,
//! nothing is left behind, and whatever is not a killed miner's doing is as in a run that nobody disturbed.
//!
//! Ten kills, or as many as `MIRROR_KILLS` says, ten of them a run; the moments and the victims come from a seed that
//! is printed and that `MIRROR_KILL_SEED` sets. Every other run spares the miners: its events are those of the
//! undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, IncidentRow, ResponseRow};
use mirror_seed::Seed;
use mirror_tests::{Process, RunningCommand, TestEnv, acknowledged, eventually, logging_below, rows};
use rustix::process::Signal;

use crate::experiment::{ASKED, TRAINING};

/// Kills of one run where they are few; of many kills each run takes twice as many.
const KILLS_A_RUN: u64 = 5;

/// Restarts of a node before the run fails.
const KILLS_A_NODE: usize = 5;

/// Kills of a run that fall into its start.
const AT_THE_START: u64 = 2;

/// Events of a validator, two a step.
const EVENTS: usize = 2_000;

const LONG: [&str; 3] = [
    "query.method.args.max_iter=1000",
    "network.validators=2",
    "network.restart={miners: restart}",
];

/// The chain, the validators, the miners.
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

/// Those before the miners.
const SPARING_MINERS: usize = 3;

/// Numbers that a seed draws one after the other.
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

    /// The chain, a validator or a miner, each kind as likely as the others.
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
fn a_network_that_is_killed_again_and_again_goes_on() {
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

/// Kills nodes of a run at random moments: at first while it starts, then at random events. Says how often it killed
/// which.
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
            // The moment is that in which some node appears.
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
            // While the network starts not every node is there; later each comes back.
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
    eventually("a killed node is gone", || (!process.is_alive()).then_some(()));
}

/// Returns how many of the kills hit a node that was not ready.
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
            // One that is killed while it starts again is restarted once for two deaths.
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

/// Every forward has all its calls, to the same axons; where the same was asked, only killed miners answered otherwise.
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
            // The best completion of the first half, which is asked in the second, was a killed miner's.
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

/// Validator, step, half.
type Forward = (String, u64, u32);

/// What was asked, and by uid what came of it.
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
            .unwrap_or_else(|_| panic!("{variable} is a number, and not {number}")),
    )
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
