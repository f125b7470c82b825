//! The reaction of the orchestrator to nodes that die, hang or are late, to the schedule of faults, and to a user who
//! stops the run.

mod network;

use futures::future::join_all;
use mirror_runs::State;
use tonic::Status;

use crate::network::Effect::{Awaits, CtrlC, Dies, Fails, Hangs, NoAnswer, SecondCtrlC};
use crate::network::{Effect, Outcome, run};

const POLICIES: [&str; 3] = ["restart", "leave", "fail"];

/// Returns the configuration of a network of two validators in which all nodes have this restart policy.
fn with_policy(policy: &str) -> String {
    format!(
        "network:\n  validators: 2\n  hang_timeout: 0.1\n  \
         restart: {{ subtensor: {policy}, validators: {policy}, miners: {policy} }}\n"
    )
}

/// Returns the script entry for the first time that this call is made.
fn first(call: &str, effects: impl IntoIterator<Item = Effect>) -> (String, usize, Vec<Effect>) {
    (call.to_owned(), 1, effects.into_iter().collect())
}

/// Returns the effect that makes the call at which a node ends wait until the policy has been carried out.
fn consequence(node: &str, policy: &str) -> Option<Effect> {
    match policy {
        "restart" => Some(Awaits(format!("ready {node}"), 2)),
        "leave" if node.starts_with("validator") => Some(Awaits("retire".to_owned(), 1)),
        _ => None,
    }
}

/// Checks that the end of a node was handled according to its policy. `incident` is the recorded kind, and the reason
/// of the run contains `words`.
fn check_policy(outcome: &Outcome, node: &str, policy: &str, incident: &str, words: &str) {
    let about = format!("{node}, {policy}: {} {:?}", outcome.reason, outcome.incidents);
    let (follows, starts): (&[&str], _) = match policy {
        "restart" => (&["restarted"], 2),
        "leave" if node.starts_with("validator") => (&["left", "retired"], 1),
        "leave" => (&["left"], 1),
        _ => (&[], 1),
    };
    assert_eq!(
        outcome.incidents_of(node),
        [&[incident], follows].concat(),
        "{about}"
    );
    assert_eq!(outcome.count(&format!("spawn {node}")), starts, "{about}");
    let fails = policy == "fail" || (policy == "leave" && node == "subtensor");
    if fails {
        assert_eq!(outcome.state, State::Failed, "{about}");
        assert!(
            outcome.reason.contains(node) && outcome.reason.contains(words),
            "{about}"
        );
    } else {
        assert_eq!(
            (outcome.state, outcome.reason.as_str()),
            (State::Done, ""),
            "{about}"
        );
    }
}

/// Lets each of these nodes die under each policy when this call is made, and checks the outcome.
async fn deaths_at(call: &str, nodes: &[&str]) {
    let pairs = nodes
        .iter()
        .flat_map(|node| POLICIES.map(|policy| (*node, policy)));
    join_all(pairs.map(async |(node, policy)| {
        let effects = [Dies(node.to_owned())]
            .into_iter()
            .chain(consequence(node, policy));
        let outcome = run(&with_policy(policy), [first(call, effects)]).await;
        check_policy(&outcome, node, policy, "exited", "was terminated by signal 9");
    }))
    .await;
}

#[tokio::test]
async fn a_run_in_which_nothing_happens_starts_and_ends_its_nodes_in_order() {
    let outcome = run(&with_policy("fail"), []).await;
    assert_eq!((outcome.state, outcome.reason.as_str()), (State::Done, ""));
    assert_eq!(outcome.incidents, []);
    let kinds = |call: &str| -> Vec<String> {
        let calls = outcome.calls.iter().filter_map(|made| made.strip_prefix(call));
        let mut kinds: Vec<String> = calls
            .map(|node| {
                node.trim_end_matches(|last: char| last == '-' || last.is_ascii_digit())
                    .to_owned()
            })
            .collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds("spawn "), ["subtensor", "miner", "validator"]);
    assert_eq!(kinds("stop "), ["validator", "miner", "subtensor"]);
    let milestones = [
        "ready validator-1",
        "begin",
        "query validator-1",
        "settle",
        "stop validator-1",
    ];
    assert_eq!(outcome.calls_among(&milestones), milestones);
}

#[tokio::test]
async fn a_chain_that_dies_while_it_starts_is_treated_by_its_policy() {
    deaths_at("ready subtensor", &["subtensor"]).await;
}

#[tokio::test]
async fn a_node_that_dies_while_miners_start_is_treated_by_its_policy() {
    deaths_at("ready miner-0", &["subtensor", "miner-0"]).await;
}

#[tokio::test]
async fn a_node_that_dies_while_validators_start_is_treated_by_its_policy() {
    deaths_at("ready validator-0", &["subtensor", "miner-0", "validator-0"]).await;
}

#[tokio::test]
async fn a_node_that_dies_while_the_chain_begins_is_treated_by_its_policy() {
    deaths_at("begin", &["subtensor", "miner-0", "validator-0"]).await;
}

#[tokio::test]
async fn a_node_that_dies_while_validators_work_is_treated_by_its_policy() {
    deaths_at("query validator-0", &["subtensor", "miner-0", "validator-0"]).await;
}

#[tokio::test]
async fn a_node_that_dies_while_the_chain_settles_is_treated_by_its_policy() {
    deaths_at("settle", &["subtensor", "miner-0", "validator-0"]).await;
}

#[tokio::test]
async fn a_node_that_dies_after_the_end_of_the_run_changes_nothing() {
    let nodes = ["subtensor", "miner-0", "validator-0"];
    join_all(nodes.map(async |node| {
        let outcome = run(
            &with_policy("fail"),
            [first("stop validator-1", [Dies(node.to_owned())])],
        )
        .await;
        assert_eq!(
            (outcome.state, outcome.reason.as_str()),
            (State::Done, ""),
            "{node}"
        );
        assert_eq!(outcome.incidents, [], "{node}");
    }))
    .await;
}

#[tokio::test]
async fn without_any_miner_the_validators_do_not_begin() {
    let outcome = run(
        &with_policy("leave"),
        ["miner-0", "miner-1"].map(|miner| first(&format!("ready {miner}"), [Dies(miner.to_owned())])),
    )
    .await;
    assert_eq!(outcome.state, State::Failed);
    assert!(
        outcome
            .reason
            .contains("no miner is left: miner-0 was terminated by signal 9"),
        "{}",
        outcome.reason
    );
    assert_eq!(outcome.count("spawn validator-0"), 0);
}

#[tokio::test]
async fn without_any_validator_the_run_fails() {
    let outcome = run(
        &with_policy("leave"),
        ["validator-0", "validator-1"]
            .map(|validator| first(&format!("query {validator}"), [Dies(validator.to_owned())])),
    )
    .await;
    assert_eq!(outcome.state, State::Failed);
    assert!(outcome.reason.contains("no validator"), "{}", outcome.reason);
    assert!(outcome.reason.contains("validator-1"), "{}", outcome.reason);
}

/// Takes 3.1 s because of the back-off before the five restarts.
#[tokio::test]
async fn after_the_fifth_restart_the_run_fails_and_names_the_node() {
    let script = (1..=6).map(|time| {
        (
            "ready subtensor".to_owned(),
            time,
            vec![Dies("subtensor".to_owned())],
        )
    });
    let outcome = run(&with_policy("restart"), script).await;
    assert_eq!(outcome.state, State::Failed);
    assert!(
        outcome.reason.contains("subtensor") && outcome.reason.contains("5 restarts"),
        "{}",
        outcome.reason
    );
    assert_eq!(outcome.count("spawn subtensor"), 6);
    let ended = [["exited"; 6].as_slice(), &["left"]].concat();
    assert_eq!(outcome.incidents_of("subtensor"), ended);
}

#[tokio::test]
async fn a_node_that_hangs_is_killed_and_treated_by_its_policy() {
    let nodes = ["subtensor", "miner-0", "validator-0"];
    let pairs = nodes
        .into_iter()
        .flat_map(|node| POLICIES.map(|policy| (node, policy)));
    join_all(pairs.map(async |(node, policy)| {
        let killed = Awaits(format!("kill {node}"), 1);
        let effects = [Hangs(node.to_owned()), killed]
            .into_iter()
            .chain(consequence(node, policy));
        let outcome = run(&with_policy(policy), [first("query validator-1", effects)]).await;
        check_policy(&outcome, node, policy, "hung", "did not answer health checks");
        assert_eq!(outcome.count(&format!("kill {node}")), 1);
    }))
    .await;
}

#[tokio::test]
async fn a_node_that_is_not_ready_in_time_is_killed_and_treated_by_its_policy() {
    let nodes = ["subtensor", "miner-0", "validator-0"];
    let pairs = nodes
        .into_iter()
        .flat_map(|node| POLICIES.map(|policy| (node, policy)));
    join_all(pairs.map(async |(node, policy)| {
        let late = Fails(Status::unavailable("nothing accepts connections"));
        let ready = format!("ready {node}");
        let outcome = run(&with_policy(policy), [first(&ready, [late])]).await;
        check_policy(&outcome, node, policy, "unready", "was not ready within 60s");
        let kill = format!("kill {node}");
        assert_eq!(outcome.calls_among(&[&ready, &kill])[..2], [&ready, &kill]);
    }))
    .await;
}

#[tokio::test]
async fn one_hold_kills_a_miner_and_a_later_one_restarts_it_before_the_barrier_is_released() {
    let faults = "faults: [{ at: step 2, kill: uid 0, restart_after: 2 steps }]\n";
    let outcome = run(
        &(with_policy("fail") + faults),
        [first("query validator-0", [Awaits("release 3".to_owned(), 1)])],
    )
    .await;
    assert_eq!((outcome.state, outcome.reason.as_str()), (State::Done, ""));
    let order = [
        "begin",
        "hold 1",
        "kill miner-0",
        "release 1",
        "hold 3",
        "spawn miner-0",
        "ready miner-0",
        "release 3",
    ];
    // The miner was started once before the chain began.
    let calls = outcome.calls_among(&order);
    assert_eq!(calls[..2], ["spawn miner-0", "ready miner-0"]);
    assert_eq!(calls[2..], order);
    assert_eq!(outcome.incidents_of("miner-0"), ["killed", "restarted"]);
    assert!(outcome.unreached_faults.is_empty());
}

#[tokio::test]
async fn the_processes_of_a_hold_are_visited_in_order_and_once() {
    let faults = "faults:\n  - { at: step 2, kill: uid 1, restart_after: 2 steps }\n  \
                  - { at: step 2, kill: uid 0-1, restart_after: 2 steps }\n";
    let outcome = run(
        &(with_policy("fail") + faults),
        [first("query validator-0", [Awaits("release 3".to_owned(), 1)])],
    )
    .await;
    assert_eq!((outcome.state, outcome.reason.as_str()), (State::Done, ""));
    let kills = ["kill miner-0", "kill miner-1"];
    assert_eq!(outcome.calls_among(&kills), kills);
    let incidents = |what| -> Vec<&str> {
        let alike = outcome.incidents.iter().filter(|(_, found)| found == what);
        alike.map(|(node, _)| node.as_str()).collect()
    };
    assert_eq!(incidents("killed"), ["miner-0", "miner-1"]);
    assert_eq!(incidents("restarted"), ["miner-0", "miner-1"]);
}

#[tokio::test]
async fn a_policy_does_not_start_a_miner_that_a_fault_keeps_dead() {
    let faults = "faults: [{ at: step 2, kill: uid 0, restart_after: 2 steps }]\n";
    let outcome = run(
        &(with_policy("restart") + faults),
        [
            // The miner dies on its own just before the fault kills it.
            first("hold 1", [Dies("miner-0".to_owned())]),
            first("query validator-0", [Awaits("spawn miner-0".to_owned(), 2)]),
        ],
    )
    .await;
    assert_eq!((outcome.state, outcome.reason.as_str()), (State::Done, ""));
    assert_eq!(outcome.incidents_of("miner-0"), ["exited", "restarted"]);
    assert_eq!(outcome.count("kill miner-0"), 0);
}

#[tokio::test]
async fn scheduled_faults_of_steps_that_were_not_reached_are_reported() {
    let faults = "faults: [{ at: step 2, kill: uid 0 }, { at: step 4, kill: uid 1, id: late }]\n";
    let outcome = run(
        &(with_policy("fail") + faults),
        [
            first("hold 3", [NoAnswer]),
            first("query validator-0", [Awaits("hold 3".to_owned(), 1)]),
        ],
    )
    .await;
    assert_eq!(outcome.state, State::Done);
    assert_eq!(outcome.unreached_faults, ["late"]);
    assert_eq!(outcome.incidents_of("miner-0"), ["killed"]);
}

#[tokio::test]
async fn a_validator_whose_query_fails_fails_the_run_whatever_its_policy() {
    join_all(POLICIES.map(async |policy| {
        let failure = Fails(Status::internal("the reward model has no weights"));
        let outcome = run(&with_policy(policy), [first("query validator-1", [failure])]).await;
        assert_eq!(outcome.state, State::Failed);
        assert!(
            outcome.reason.contains("validator-1")
                && outcome.reason.contains("the reward model has no weights"),
            "{}",
            outcome.reason
        );
        assert_eq!(outcome.incidents_of("validator-1"), ["failed"]);
    }))
    .await;
}

#[tokio::test]
async fn ctrl_c_ends_validators_then_miners_then_the_chain() {
    let outcome = run(
        &with_policy("restart"),
        [
            first("query validator-0", [CtrlC, NoAnswer]),
            first("query validator-1", [NoAnswer]),
        ],
    )
    .await;
    assert_eq!(outcome.state, State::Interrupted);
    let mut ends: Vec<&str> = outcome
        .calls
        .iter()
        .filter_map(|call| call.strip_prefix("stop "))
        .collect();
    ends[..2].sort_unstable();
    ends[2..4].sort_unstable();
    assert_eq!(
        ends,
        ["validator-0", "validator-1", "miner-0", "miner-1", "subtensor"]
    );
    assert!(!outcome.calls.iter().any(|call| call.starts_with("kill ")));
    // No node exited unexpectedly.
    assert_eq!(outcome.incidents, []);
}

#[tokio::test]
async fn a_second_ctrl_c_kills_all_running_nodes_immediately() {
    let outcome = run(
        &with_policy("restart"),
        [
            first("query validator-0", [CtrlC, NoAnswer]),
            first("query validator-1", [NoAnswer]),
            // This validator stops while the other does not.
            first("stop validator-0", []),
            first("stop validator-1", [SecondCtrlC, NoAnswer]),
        ],
    )
    .await;
    assert_eq!(outcome.state, State::Interrupted);
    for node in ["validator-1", "miner-0", "miner-1", "subtensor"] {
        assert_eq!(outcome.count(&format!("kill {node}")), 1, "{node}");
    }
    for node in ["miner-0", "miner-1", "subtensor"] {
        assert_eq!(outcome.count(&format!("stop {node}")), 0, "{node}");
    }
}
