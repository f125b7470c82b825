//! Tests of entries of `network.miners` whose programs are not part of this project, and of faults of such miners.

use mirror_config::parse;

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

fn file(miners: &str, faults: &str) -> String {
    format!(
        "\
model:
  id: small
  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin}}}}
  gating_model: RandomGatingModel
  reward_model: RandomRewardModel
  subtensor: {{name: DummySubtensor, args: {{epoch_length: 10}}}}
  metagraph: {{name: DummyMetagraph, args: {{num_nodes: 8}}}}
query:
  id: my_query
  method: {{name: train, args: {{max_iter: 40}}}}
network:
  miners:
{miners}
faults: [{faults}]
"
    )
}

/// Asserts that the file is valid and has no warnings.
#[track_caller]
fn valid(miners: &str, faults: &str) {
    let loaded = parse(&file(miners, faults), "file.yml").unwrap_or_else(|error| panic!("{}", error.plain()));
    assert!(loaded.warnings.problems.is_empty(), "{}", loaded.warnings.plain());
}

/// Asserts that the file has one error, at a place, with these words.
#[track_caller]
fn invalid(miners: &str, faults: &str, words: &str) {
    let error = parse(&file(miners, faults), "file.yml").expect_err("the file has an error");
    assert_eq!(error.problems.len(), 1, "{}", error.plain());
    assert!(error.problems[0].place.is_some(), "{}", error.plain());
    assert!(error.plain().contains(words), "{}", error.plain());
}

fn entries() -> String {
    format!(
        "    - {{uids: 1, address: 127.0.0.1:8091, hotkey: {ALICE}, label: theirs, control: honest, latency: 10ms}}
    - {{uids: 2-3, command: [python3, miner.py, '{{port}}', '{{hotkey}}', '{{seed}}', '{{uid}}']}}"
    )
}

#[test]
fn an_address_and_a_command_are_miners_with_labels_and_latencies() {
    valid(&entries(), "");
    valid("    - {uids: 1, address: '[::1]:8091'}", "");
}

#[test]
fn an_entry_whose_keys_contradict_each_other_is_an_error() {
    let address = format!("address: 127.0.0.1:8091, hotkey: {ALICE}");
    let cases = [
        (
            "uids: 1, ADDRESS, command: [a]",
            "either an `address` or a `command`",
        ),
        ("uids: 1, ADDRESS, behaviour: echo", "`behaviour` cannot apply"),
        ("uids: 1, ADDRESS, over: [echo]", "`over` cannot apply"),
        (
            "uids: 1, command: [a], behaviour: echo",
            "`behaviour` cannot apply",
        ),
        ("uids: 1-2, ADDRESS", "`uids` names more"),
        ("uids: 1, address: 0.0.0.0:8091", "no program can be called at"),
        ("uids: 1, address: 127.0.0.1:0", "no program can be called at"),
    ];
    for (entry, words) in cases {
        let entry = entry.replace("ADDRESS", &address);
        invalid(&format!("    - {{{entry}}}"), "", words);
    }
    let twice = format!("    - {{uids: 1, {address}}}\n    - {{uids: 2, {address}}}");
    invalid(&twice, "", "uids 1 and 2 have the same hotkey");
}

#[test]
fn faults_of_a_program_that_the_run_does_not_control_are_errors() {
    for fault in [
        "{kill: uid 1}",
        "{pause: uid 0-1, for: 1 step}",
        "{limit: label theirs, cpu: 0.5}",
        "{crash_loop: miners}",
        "{disk_full: uid 1}",
        "{leave: uid 1}",
    ] {
        let at = fault.replacen('{', "{at: step 3, ", 1);
        invalid(&entries(), &at, "uid 1 cannot");
    }
    for fault in [
        "{clock: uid 2, skew: 1}",
        "{inject: 2, behaviour: echo}",
        "{link: {from: uid 2, to: chain}, latency: 1ms, for: 1 step}",
    ] {
        let at = fault.replacen('{', "{at: step 3, ", 1);
        invalid(&entries(), &at, "uid 2 cannot");
    }
    // Links to them, and processes that the run has started.
    for fault in [
        "{link: {to: uid 1-2}, drop: 0.5}",
        "{wire: {to: uid 1}, stall: true, for: 1 step}",
        "{kill: uid 2}",
        "{pause: uid 3, for: 1 step}",
        "{kill: uid 0}",
    ] {
        let at = fault.replacen('{', "{at: step 3, ", 1);
        valid(&entries(), &at);
    }
}
