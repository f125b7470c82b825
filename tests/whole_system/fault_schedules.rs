//! Random schedules of faults over 64 miners: every run ends, every call has an outcome, every fault has its rows, and
//! no process is left.
//!
//! The number of schedules is 10, or the value of `MIRROR_SCHEDULES`. They are drawn from a random seed that is printed
//! and that `MIRROR_SCHEDULE_SEED` sets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, FaultRow, ResponseRow};
use mirror_seed::Seed;
use mirror_tests::{TestEnv, rows};
use serde_json::{Value, json};

/// Number of steps of a run.
const STEPS: u64 = 24;

/// Number of miners.
const MINERS: u64 = 64;

/// Number of validators.
const VALIDATORS: u64 = 3;

/// Number of axons that a validator calls in a forward.
const CALLED: usize = 8;

/// Number of faults of a schedule.
const FAULTS: u64 = 12;

/// The kinds of nodes.
const NODES: [&str; 3] = ["miner", "validator", "chain"];

/// A sequence of numbers drawn from a random seed.
struct Draws {
    seed: Seed,
    drawn: u64,
}

/// A fault of a schedule.
struct Planned {
    kind: &'static str,
    /// The kind of node that it names first.
    node: &'static str,
    /// The uids of miners that it names.
    miners: Range<u64>,
    /// The steps in which it is in effect. The end is that of the run if it ends by the clock or never.
    steps: Range<u64>,
    /// Whether it ends before a step.
    ends_by_step: bool,
    entry: Value,
}

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.drawn += 1;
        self.seed
            .draw("schedule", self.drawn)
            .below(end)
            .expect("`end` is above 0")
    }

    fn rate(&mut self) -> f64 {
        (self.below(9) + 1) as f64 / 10.0
    }

    /// Returns a range of up to four miners among the first 13, so that faults often overlap.
    fn miners(&mut self) -> Range<u64> {
        let first = self.below(10);
        first..first + 1 + self.below(4)
    }
}

fn uids(range: &Range<u64>) -> String {
    format!("uid {}-{}", range.start, range.end - 1)
}

/// The kinds of faults, each with a function that draws one. Node kinds that a kind cannot have are not in its list.
const KINDS: [(&str, &[&str]); 13] = [
    ("link", &["miner", "validator", "chain"]),
    ("wire", &["miner", "chain"]),
    ("partition", &["miner"]),
    ("kill", &NODES),
    ("crash_loop", &["miner"]),
    ("pause", &NODES),
    ("limit", &["miner", "validator"]),
    ("disk_full", &["miner"]),
    ("clock", &NODES),
    ("inject", &["miner"]),
    ("inject_validators", &["validator"]),
    ("leave", &["miner"]),
    ("join", &["miner"]),
];

/// Draws a fault of a kind on a kind of node.
fn fault(kind: &'static str, node: &'static str, id: &str, draws: &mut Draws) -> Planned {
    let miners = draws.miners();
    let begin = 1 + draws.below(STEPS / 2);
    let lasts = 1 + draws.below(STEPS / 3);
    let named = match node {
        "validator" => format!("validator-{}", draws.below(VALIDATORS)),
        "chain" => "chain".to_owned(),
        _ => uids(&miners),
    };
    // The barrier waits for validators and the chain, so that their faults end by the clock.
    let stops_barrier = node != "miner" && matches!(kind, "kill" | "pause");
    let mut entry = json!({ "id": id, "at": format!("step {begin}") });
    let mut ends_by_step = true;
    let keys = match kind {
        "link" => {
            let mut keys = match draws.below(6) {
                0 => json!({"latency": {"p50": "20ms", "p99": "60ms"}, "jitter": "5ms"}),
                1 => json!({"drop": draws.rate() / 3.0, "duplicate": draws.rate()}),
                2 => json!({"error": {"code": "unavailable", "rate": draws.rate()}}),
                3 => json!({"refuse": draws.rate() / 2.0, "corrupt": draws.rate()}),
                4 => json!({"goaway": draws.rate() / 2.0, "reset": {"after": draws.below(40), "rate": 0.5}}),
                _ => json!({"stall": draws.rate() / 4.0, "drop_reply": draws.rate() / 4.0}),
            };
            let ends = match node {
                "validator" => json!({"from": named, "to": uids(&miners)}),
                // Lost requests to the chain would stop the barrier.
                "chain" => {
                    keys = json!({"latency": "5ms", "jitter": "5ms"});
                    json!({"to": "chain"})
                }
                _ => json!({"to": named}),
            };
            keys["link"] = ends;
            keys
        }
        "wire" => {
            let mut keys = match draws.below(6) {
                _ if node == "chain" => json!({"delay": "3ms"}),
                0 => json!({"bandwidth": "2kB"}),
                1 => json!({"delay": "10ms"}),
                2 => json!({"slice": {"bytes": 7, "pause": "1ms"}}),
                3 => json!({"stall": true}),
                4 => json!({"silence": true, "direction": "replies"}),
                _ => json!({"reset": draws.below(2_000).to_string(), "slow_close": "20ms"}),
            };
            keys["wire"] = json!({"to": named});
            keys
        }
        "partition" => {
            let rest = format!("uid {}-{}", miners.end, MINERS - 1);
            let one_way = draws.below(2) == 0;
            json!({"partition": [["validator-0", named], ["validator-1", rest]], "one_way": one_way})
        }
        "kill" if stops_barrier => json!({"kill": named, "restart_after": "200ms"}),
        "kill" => json!({"kill": named, "restart_after": format!("{lasts} steps")}),
        "crash_loop" => json!({"crash_loop": named, "up": "50ms"}),
        "pause" => json!({"pause": named}),
        "limit" => json!({"limit": named, "cpu": 0.5, "memory": "2GB"}),
        "disk_full" => json!({"disk_full": named}),
        "clock" => json!({"clock": named, "skew": format!("{}s", draws.below(200) as i64 - 100)}),
        "inject" => json!({"inject": named, "behaviour": "echo"}),
        "inject_validators" => {
            json!({"inject_validators": draws.below(VALIDATORS), "behaviour": "lazy"})
        }
        "leave" => json!({"leave": named}),
        "join" => json!({"join": {"count": 2, "behaviour": "echo", "label": "late"}}),
        kind => unreachable!("no fault is called {kind}"),
    };
    let map = entry.as_object_mut().expect("a map");
    map.extend(keys.as_object().expect("a map").clone());
    match kind {
        _ if stops_barrier => {
            ends_by_step = false;
            if kind == "pause" {
                map.insert("for".to_owned(), json!("150ms"));
            }
        }
        "kill" => {}
        "leave" | "join" => ends_by_step = false,
        _ => {
            map.insert("for".to_owned(), json!(format!("{lasts} steps")));
        }
    }
    Planned {
        kind,
        node,
        miners: if node == "miner" && kind != "join" {
            miners
        } else {
            0..0
        },
        steps: begin..if ends_by_step { begin + lasts } else { STEPS },
        ends_by_step,
        entry,
    }
}

/// Draws a schedule. The first faults go through all kinds and nodes, from schedule to schedule; the rest are random.
fn schedule(number: u64, draws: &mut Draws) -> Vec<Planned> {
    let pairs: Vec<(&str, &str)> = KINDS
        .iter()
        .flat_map(|(kind, nodes)| nodes.iter().map(move |node| (*kind, *node)))
        .collect();
    (0..FAULTS)
        .map(|index| {
            let pick = match index {
                0..4 => number * 4 + index,
                _ => draws.below(pairs.len() as u64),
            };
            let (kind, node) = pairs[(pick % pairs.len() as u64) as usize];
            fault(kind, node, &format!("f{index}"), draws)
        })
        .collect()
}

/// Returns the pairs of kinds that are in effect in the same steps on the same miners.
fn overlaps(schedule: &[Planned]) -> BTreeSet<(&'static str, &'static str)> {
    let common = |one: &Range<u64>, other: &Range<u64>| one.start < other.end && other.start < one.end;
    let mut pairs = BTreeSet::new();
    for (index, one) in schedule.iter().enumerate() {
        for other in &schedule[index + 1..] {
            if common(&one.steps, &other.steps) && common(&one.miners, &other.miners) {
                pairs.insert((one.kind.min(other.kind), one.kind.max(other.kind)));
            }
        }
    }
    pairs
}

fn file(seed: u64, faults: &[Planned]) -> String {
    json!({
        "seed": seed,
        "model": {
            "id": "m",
            "dendrite_pool": {"name": "DummyDendritePool", "args": {"data_path": "builtin"}},
            "gating_model": "RandomGatingModel",
            "reward_model": "RandomRewardModel",
            "metagraph": {"name": "DummyMetagraph", "args": {"num_nodes": MINERS}},
            "neuron": {"training_topk": CALLED, "training_timeout": "300ms"},
        },
        "query": {"id": "q", "method": {"name": "train", "args": {"max_iter": STEPS}}},
        "network": {"validators": VALIDATORS},
        "faults": faults.iter().map(|fault| &fault.entry).collect::<Vec<_>>(),
    })
    .to_string()
}

/// Checks that every event of every validator is there, and that each of its calls has an outcome.
fn check_calls(run: &Run, schedule: &[Planned], context: &str) {
    let events: Vec<EventRow> = rows(run);
    let mut calls: BTreeMap<(String, u64, u32), usize> = BTreeMap::new();
    for call in rows::<ResponseRow>(run) {
        let known = [
            "success",
            "empty",
            "too short",
            "timeout",
            "unreachable",
            "oversized",
            "malformed",
            "refused",
        ];
        assert!(known.contains(&&*call.outcome), "{context}: {call:?}");
        *calls
            .entry((call.validator, call.step, call.forward_index))
            .or_default() += 1;
    }
    for validator in 0..VALIDATORS {
        let validator = format!("validator-{validator}");
        let steps: BTreeSet<u64> = events
            .iter()
            .filter(|event| event.validator == validator && event.forward_index == 0)
            .map(|event| event.step)
            .collect();
        assert_eq!(steps, (0..STEPS).collect(), "{context}: steps of {validator}");
    }
    for event in &events {
        let key = (event.validator.clone(), event.step, event.forward_index);
        let made = calls.remove(&key).unwrap_or_default();
        // A validator with the behaviour `lazy` calls no axon.
        let is_lazy = |planned: &&Planned| {
            let index = planned.entry["inject_validators"].as_u64();
            index.is_some_and(|index| key.0 == format!("validator-{index}")) && planned.steps.contains(&key.1)
        };
        let expected = if schedule.iter().any(|planned| is_lazy(&planned)) {
            0
        } else {
            CALLED
        };
        assert_eq!(made, expected, "{context}: calls of {key:?}");
    }
    assert!(calls.is_empty(), "{context}: calls without an event: {calls:?}");
}

/// Checks that each fault has a row for its beginning and, if it ends before a step of the run, one for its end.
fn check_faults(run: &Run, schedule: &[Planned], context: &str) {
    let recorded: Vec<FaultRow> = rows(run);
    for (index, planned) in schedule.iter().enumerate() {
        let id = format!("f{index}");
        let at = |change: &str| -> Vec<Option<u64>> {
            let own = recorded
                .iter()
                .filter(|row| row.fault == id && row.change == change);
            own.map(|row| row.step).collect()
        };
        assert_eq!(at("applied"), [Some(planned.steps.start)], "{context}: {id}");
        // A fault that an earlier one has left without a running node says so. Nothing else goes wrong.
        let own = recorded.iter().filter(|row| row.fault == id);
        for row in own.filter(|row| !row.detail.is_empty()) {
            let is_limit = planned.kind == "limit" && row.detail.contains("limit");
            assert!(
                row.detail.contains("not running") || is_limit,
                "{context}: {row:?}"
            );
        }
        let lifted = at("lifted");
        if planned.ends_by_step && planned.steps.end < STEPS {
            assert_eq!(lifted, [Some(planned.steps.end)], "{context}: {id}");
        } else {
            assert!(lifted.len() <= 1, "{context}: {id}: {lifted:?}");
        }
    }
    let others = recorded
        .iter()
        .filter(|row| !(0..schedule.len()).any(|index| row.fault == format!("f{index}")));
    assert_eq!(others.count(), 0, "{context}");
}

#[test]
fn random_schedules_of_faults_end_with_every_call_and_fault_recorded() {
    let number = |variable: &str| {
        std::env::var(variable)
            .ok()
            .and_then(|number| number.parse().ok())
    };
    let schedules: u64 = number("MIRROR_SCHEDULES").unwrap_or(10);
    let seed: u64 = number("MIRROR_SCHEDULE_SEED").unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::from(since.expect("the clock is after 1970").subsec_nanos())
    });
    eprintln!("{schedules} schedules, MIRROR_SCHEDULE_SEED={seed}");
    let env = TestEnv::new();
    let (mut kinds, mut overlapping) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..schedules {
        let mut draws = Draws {
            seed: Seed::root(seed).numbered_child("schedule", number),
            drawn: 0,
        };
        let schedule = schedule(number, &mut draws);
        kinds.extend(schedule.iter().map(|fault| (fault.kind, fault.node)));
        overlapping.extend(overlaps(&schedule));
        let name = format!("schedule-{number}.yml");
        let text = file(seed.wrapping_add(number), &schedule);
        let run = env.done(env.file(&name, &text), &[]);
        let context = format!("MIRROR_SCHEDULE_SEED={seed}, schedule {number}: {text}");
        check_calls(&run, &schedule, &context);
        check_faults(&run, &schedule, &context);
    }
    if schedules >= 10 {
        let all: BTreeSet<(&str, &str)> = KINDS
            .iter()
            .flat_map(|(kind, nodes)| nodes.iter().map(|node| (*kind, *node)))
            .collect();
        assert_eq!(kinds, all);
        // Faults of one kind, and kinds that stop a process over others, overlap in some schedule.
        assert!(overlapping.len() >= 15, "{overlapping:?}");
    }
}
