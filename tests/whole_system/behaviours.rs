//! Tests of a network with some miners that misbehave: the records of their callers, and that the run is repeatable.

use std::collections::{BTreeMap, BTreeSet};

use mirror_runs::tables::{ResponseRow, SUCCESS};
use mirror_tests::{TestEnv, rows};

use crate::experiment::TRAINING;

/// Of eight miners, two copy, two are sybils, one fails half of its calls and additionally flaps, and one learns from
/// rewards which trick pays.
const MISBEHAVING: [&str; 3] = [
    "network.validators=2",
    "query.method.args.train_network=true",
    "network.miners=[{uids: 2-3, behaviour: copycat, args: {victims: [0, 1]}, over: [{name: constant}]}, \
     {uids: 4-5, behaviour: sybil}, \
     {uids: 6, behaviour: failing, args: {chance: 0.5, how: internal}, over: [{name: flapping, args: {up: 5, down: 5}}]}, \
     {uids: 7, behaviour: climbing}]",
];

/// The default answer of `constant`.
const CONSTANT: &str = "That is a very good question.";

#[test]
fn a_network_with_miners_that_misbehave_repeats() {
    let env = TestEnv::new();
    let file = env.file("misbehaving.yml", TRAINING);
    let first = env.done(file, &MISBEHAVING);
    let calls: Vec<ResponseRow> = rows(&first);
    let of = |uids: &[u32]| -> Vec<&ResponseRow> {
        calls.iter().filter(|call| uids.contains(&call.uid)).collect()
    };
    let copied = of(&[2, 3])
        .iter()
        .filter(|call| call.completion != CONSTANT)
        .count();
    assert!(
        copied * 2 > of(&[2, 3]).len(),
        "{copied} of {} were copied",
        of(&[2, 3]).len()
    );
    let mut shared: BTreeMap<(String, u64, u32), BTreeSet<&str>> = BTreeMap::new();
    for call in of(&[4, 5]) {
        let place = (call.validator.clone(), call.step, call.forward_index);
        shared.entry(place).or_default().insert(&call.completion);
    }
    assert!(shared.values().all(|answers| answers.len() == 1), "{shared:?}");
    for call in of(&[6]) {
        let is_down = call.step % 10 >= 5;
        assert!(!is_down || call.outcome != SUCCESS, "{call:?}");
    }
    assert!(of(&[6]).iter().any(|call| call.outcome == "refused"));

    let second = env.done(file, &MISBEHAVING);
    let same = env.diff(&first, &second);
    assert_eq!(same.status, Some(0), "{same:?}");
}
