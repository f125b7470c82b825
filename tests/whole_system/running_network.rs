//! Tests of the commands for a running network.

use std::fs;
use std::path::{Path, PathBuf};

use mirror_runs::tables::{FaultRow, IncidentRow};
use mirror_runs::{Layout, Run, State};
use mirror_test_support::{Process, eventually, logging_below};
use mirror_tests::{Output, TestEnv, rows};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const NETWORK: &str = "\
seed: 7
model:
  id: standing
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fitness: 0.5, fail_rate: 0.0}}
  gating_model: RandomGatingModel
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  subtensor: {name: DummySubtensor, args: {epoch_length: 10}}
  metagraph: {name: DummyMetagraph, args: {num_nodes: 4}}
network: {validators: 2}
";

/// More steps than any test waits for.
const LONG_QUERY: &str = "query: {id: training, method: {name: train, args: {max_iter: 1000000}}}\n";

/// Runs a command while a network is running.
#[track_caller]
fn mirror(env: &TestEnv, words: &[&str]) -> Output {
    env.start(words).ends()
}

/// Runs a command that must succeed, and returns its standard output.
#[track_caller]
fn out(env: &TestEnv, words: &[&str]) -> String {
    let output = mirror(env, words);
    assert_eq!(output.status, Some(0), "{words:?}: {output:?}");
    output.out
}

/// Checks that a command fails with this status and a message that contains `message`.
#[track_caller]
fn fails(env: &TestEnv, status: i32, message: &str, words: &[&str]) {
    let output = mirror(env, words);
    assert_eq!(output.status, Some(status), "{words:?}: {output:?}");
    assert!(output.err.contains(message), "{message:?} not in {output:?}");
}

#[track_caller]
fn json(env: &TestEnv, words: &[&str]) -> Value {
    serde_json::from_str(&out(env, words)).expect("the output is JSON")
}

/// Starts a network in the background, and returns the folder of its run.
#[track_caller]
fn up(env: &TestEnv, content: &str) -> PathBuf {
    let file = env.file("network.yml", content);
    let printed = out(env, &["up", file, "--offline"]);
    let id = printed.lines().next().expect("the id of the run");
    env.runs_dir().join(id)
}

/// Shuts the network down, and checks that no process is left.
#[track_caller]
fn down(env: &TestEnv) -> String {
    let printed = out(env, &["down"]);
    assert_eq!(logging_below(env.path()), [] as [Process; 0]);
    printed
}

/// Returns the description of a node.
#[track_caller]
fn node(env: &TestEnv, name: &str) -> Value {
    let list = json(env, &["nodes", "last", "--json"]);
    let nodes = list["nodes"].as_array().expect("a list");
    let found = nodes.iter().find(|node| node["name"] == name);
    found.expect("the node is listed").clone()
}

/// Returns the name of the miner process with this uid.
#[track_caller]
fn miner_of(env: &TestEnv, uid: &str) -> String {
    let list = json(env, &["nodes", "last", "--json"]);
    let nodes = list["nodes"].as_array().expect("a list");
    let found = nodes.iter().find(|node| node["uids"] == uid);
    let name = &found.expect("the uid is listed")["name"];
    name.as_str().expect("a name").to_owned()
}

fn one_uid_each(rest: &str) -> String {
    NETWORK.replace("{validators: 2}", "{validators: 2, axons_per_process: 1}") + rest
}

#[test]
fn a_network_without_a_query_stays_until_it_is_shut_down() {
    let env = TestEnv::new();
    let folder = up(&env, &one_uid_each(""));
    let list = json(&env, &["nodes", "last", "--json"]);
    assert_eq!(list["phase"], "standing");
    let nodes = list["nodes"].as_array().expect("a list");
    // The chain, four miners and two validators.
    assert_eq!(nodes.len(), 7, "{list}");
    assert!(nodes.iter().all(|node| node["state"] == "running"), "{list}");

    let asked = json(
        &env,
        &["ask", "last", "1", "What is the capital of France?", "--json"],
    );
    assert_eq!(asked["return_code"], "Success", "{asked}");
    assert_eq!(asked["grpc_code"], "Ok", "{asked}");
    // A stranger that asks the same question gets the same answer.
    let again = out(&env, &["ask", "last", "1", "What is the capital of France?"]);
    let completion = asked["completion"].as_str().expect("a completion");
    assert!(again.starts_with(completion), "{again}");

    fails(&env, 2, "its uids are 0 to 5", &["ask", "last", "6", "Hello?"]);
    fails(&env, 2, "uid 4 serves no axon", &["ask", "last", "4", "Hello?"]);
    fails(
        &env,
        2,
        "hour",
        &["ask", "last", "1", "Hello?", "--timeout", "soon"],
    );

    // Steps never come.
    let in_steps = ["fault", "add", "last", "{pause: uid 2, for: 3 steps}"];
    fails(&env, 1, "write a time such as `for: 5s`", &in_steps);
    let paused = out(&env, &["fault", "add", "last", "{id: nap, pause: uid 2}"]);
    assert_eq!(paused, "nap: in effect\n");
    fails(
        &env,
        1,
        "did not reply within",
        &["ask", "last", "2", "Hello?", "--timeout", "300ms"],
    );
    assert_eq!(node(&env, &miner_of(&env, "2"))["faults"][0], "nap");
    assert_eq!(out(&env, &["fault", "clear", "last", "nap"]), "nap: over\n");
    out(&env, &["fault", "add", "last", "{kill: uid 3}"]);
    fails(&env, 1, "refused", &["ask", "last", "3", "Hello?"]);

    // A validator that dies starts again and has no query to resume.
    let validator = node(&env, "validator-0")["pid"].as_u64().expect("a pid");
    let pid = Pid::from_raw(i32::try_from(validator).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("the validator is running");
    eventually("the validator runs again", || {
        let node = node(&env, "validator-0");
        (node["state"] == "running" && node["restarts"] == 1).then_some(())
    });

    assert!(down(&env).ends_with("done\n"));
    assert_eq!(Run::state_of(&folder).ok(), Some(State::Done));
    assert!(Layout::new(&folder).report().exists());
    fails(&env, 1, "has ended, and its state is `done`", &["down"]);
}

#[test]
fn exported_faults_repeat_those_that_were_added() {
    let env = TestEnv::new();
    // Slow enough for the commands, and an end that a test can wait for.
    let content = one_uid_each("query: {id: training, method: {name: train, args: {max_iter: 200}}}\n")
        .replace(
            "network: {",
            "network: {miners: [{uids: 0-3, latency: {fixed: 10ms}}], ",
        );
    let folder = up(&env, &content);
    let added = out(
        &env,
        &["fault", "add", "last", "{kill: uid 1, restart_after: 20 steps}"],
    );
    assert!(added.contains(": in effect from step "), "{added}");
    let lossy = "{id: lossy, link: {from: validators, to: miners}, drop: 0.2}";
    out(&env, &["fault", "add", "last", lossy]);
    let copied =
        "{id: copied, inject: uid 2, behaviour: {name: copycat, args: {victims: 0}}, for: 500 steps}";
    out(&env, &["fault", "add", "last", copied]);
    let listed = json(&env, &["fault", "list", "last", "--json"]);
    let state = |id: &str| {
        let faults = listed.as_array().expect("a list");
        let fault = faults.iter().find(|fault| fault["id"] == id);
        fault.expect("the fault is listed")["state"].clone()
    };
    assert_eq!(state("lossy"), "in effect");
    assert_eq!(out(&env, &["fault", "clear", "last", "copied"]), "copied: over\n");
    assert_eq!(out(&env, &["fault", "clear", "last", "lossy"]), "lossy: over\n");
    eventually("the queries have ended", || {
        (json(&env, &["nodes", "last", "--json"])["phase"] == "standing").then_some(())
    });
    let running = out(&env, &["fault", "export", "last"]);
    down(&env);
    let exported = out(&env, &["fault", "export", "last"]);
    assert_eq!(exported, running);

    let first = Run::open(&folder).expect("the run opens");
    let second = env.done(env.file("again.yml", content + &exported), &[]);
    let key = |row: FaultRow| {
        (
            row.fault,
            row.occurrence,
            row.kind,
            row.who,
            row.change,
            row.step,
            row.block,
        )
    };
    let faults = |run: &Run| rows::<FaultRow>(run).into_iter().map(key).collect::<Vec<_>>();
    assert_eq!(faults(&first), faults(&second), "{exported}");
    assert_eq!(faults(&first).len(), 6, "{exported}");
    let diff = env.diff(&first, &second);
    assert_eq!(diff.status, Some(0), "{diff:?}");
    assert!(
        rows::<IncidentRow>(&second)
            .iter()
            .any(|row| row.what == "killed")
    );
}

#[test]
fn wrong_faults_and_requests_are_refused() {
    let env = TestEnv::new();
    let folder = up(&env, &(NETWORK.to_owned() + LONG_QUERY));
    let misspelt = ["fault", "add", "last", "{pase: uid 2}"];
    fails(&env, 2, "pase", &misspelt);
    fails(&env, 2, "uid 77", &["fault", "add", "last", "{kill: uid 77}"]);
    fails(&env, 2, "", &["fault", "add", "last", "{kill: [uid"]);
    // Standard input is empty.
    fails(&env, 2, "", &["fault", "add", "last", "-"]);
    fails(
        &env,
        2,
        "no fault has the id `nope`",
        &["fault", "clear", "last", "nope"],
    );
    fails(
        &env,
        1,
        "has begun",
        &["fault", "add", "last", "{kill: uid 1, at: step 0}"],
    );
    let planned = out(&env, &["fault", "add", "last", "{kill: uid 1, at: step 999999}"]);
    assert!(planned.ends_with(": planned for step 999999\n"), "{planned}");
    let listed = |arguments: &[&str]| json(&env, arguments).as_array().map(Vec::len);
    assert_eq!(listed(&["fault", "list", "last", "--active", "--json"]), Some(1));
    assert!(out(&env, &["fault", "clear", "last"]).ends_with(": over\n"));
    assert_eq!(listed(&["fault", "list", "last", "--json"]), Some(1));
    assert_eq!(listed(&["fault", "list", "last", "--active", "--json"]), Some(0));
    let none = out(&env, &["fault", "list", "last", "--active"]);
    assert!(none.starts_with("no faults planned or in effect"), "{none}");
    assert_eq!(
        out(&env, &["fault", "clear", "last"]),
        "no fault was in effect or planned\n"
    );

    let path = Layout::new(&folder).control();
    let right = fs::read_to_string(&path).expect("the control file");
    let key = Layout::new(&folder).certificates().join("operator.key");
    let right_key = fs::read_to_string(&key).expect("the key of the operator");
    write(&key, "no key");
    for words in [
        &["nodes", "last"][..],
        &["fault", "list", "last"],
        &["fault", "add", "last", "{kill: uid 1}"],
        &["down"],
    ] {
        fails(&env, 1, "cannot use the certificates", words);
    }
    write(&key, &right_key);
    write(&path, "{\"address\": 5");
    fails(
        &env,
        1,
        "it is not the file that the run wrote",
        &["nodes", "last"],
    );
    fs::remove_file(&path).expect("the control file is removed");
    fails(&env, 1, "is just starting or ending", &["nodes", "last"]);
    write(&path, &right);

    assert!(down(&env).ends_with("interrupted\n"));
    for words in [
        &["nodes", "last"][..],
        &["fault", "add", "last", "{kill: uid 1}"],
        &["ask", "last", "0", "Hello?"],
        &["down"],
    ] {
        fails(&env, 1, "has ended, and its state is `interrupted`", words);
    }
    fails(&env, 2, "nothing", &["nodes", "nothing"]);
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the control file is written");
}

#[test]
fn logs_are_printed_and_followed() {
    let env = TestEnv::new();
    up(&env, NETWORK);
    let listed = out(&env, &["logs", "last"]);
    for name in ["mirror", "subtensor", "validator-0", "validator-1"] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{listed}");
    }
    let whole = out(&env, &["logs", "last", "validator-0"]);
    let last = out(&env, &["logs", "last", "validator-0", "--lines", "1"]);
    assert_eq!(last.lines().next(), whole.lines().last());
    fails(&env, 2, "`validator-0`", &["logs", "last", "validatr-0"]);
    fails(&env, 2, "has no log of", &["logs", "last", "../manifest"]);
    let follower = env.start(&["logs", "last", "validator-0", "--follow"]);
    let all = env.start(&["logs", "last", "--follow", "--uid", "1"]);
    down(&env);
    let all = all.ends();
    assert_eq!(all.status, Some(0), "{all:?}");
    assert_eq!(all.out, out(&env, &["logs", "last", "--uid", "1"]));
    let miner = out(&env, &["logs", "last", "miner-1"]);
    for line in miner.lines() {
        assert!(
            all.out.contains(&format!("miner-1      {line}\n")),
            "{line}: {}",
            all.out
        );
    }
    let since = miner.split(' ').next().expect("a timestamp");
    let later = out(&env, &["logs", "last", "--since", since]);
    assert!(
        later.lines().all(|line| &line[13..13 + since.len()] >= since),
        "{later}"
    );
    fails(
        &env,
        2,
        "expected 4 to 32 hexadecimal digits",
        &["logs", "last", "--trace", "0af"],
    );
    let ended = follower.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.out, out(&env, &["logs", "last", "validator-0"]));
}

#[test]
fn a_killed_coordinator_leaves_no_node() {
    let env = TestEnv::new();
    let folder = up(&env, &(NETWORK.to_owned() + LONG_QUERY));
    let control = fs::read(Layout::new(&folder).control()).expect("the control file");
    let control: Value = serde_json::from_slice(&control).expect("JSON");
    let pid = control["pid"].as_i64().expect("a pid");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("the coordinator is running");
    eventually("no process is left", || {
        logging_below(env.path()).is_empty().then_some(())
    });
    for words in [
        &["nodes", "last"][..],
        &["fault", "add", "last", "{kill: uid 1}"],
        &["down"],
    ] {
        fails(&env, 1, "is no longer running: its coordinator was killed", words);
    }
}

#[test]
fn a_network_that_cannot_start_is_reported() {
    let env = TestEnv::new();
    let file = env.file("no_network.yml", "analysis: {id: nothing}\n");
    fails(&env, 2, "", &["up", file]);
    let file = env.file("wrong.yml", "sed: 5\n");
    fails(&env, 2, "sed", &["up", file]);
    let file = env.file("replicates.yml", format!("replicates: 3\n{NETWORK}"));
    fails(&env, 2, "replicates=1", &["up", file, "--offline"]);
}

#[test]
fn a_network_in_the_foreground_ends_with_an_interrupt() {
    let env = TestEnv::new();
    let file = env.file("network.yml", NETWORK);
    let mut running = env.start(&["up", file, "--offline", "--foreground"]);
    let folder = running.folder();
    eventually("the network is ready", || {
        let output = mirror(&env, &["nodes", "last", "--json"]);
        let list: Value = serde_json::from_str(&output.out).ok()?;
        (list["phase"] == "standing").then_some(())
    });
    running.send(Signal::TERM);
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(Run::state_of(folder).ok(), Some(State::Done));
}
