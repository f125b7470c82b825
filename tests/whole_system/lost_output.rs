//! Programs whose messages cannot be written: standard error is `/dev/full`, where every write fails, or a pipe whose
//! reader has ended.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use mirror_tests::TestEnv;

/// Exit status of a program that panicked.
const PANICKED: i32 = 101;

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it")
        .into()
}

/// Returns the exit status of a program of the project, with its standard error full.
fn status(env: &TestEnv, program: &str, words: &[&str]) -> Option<i32> {
    let mut command = Command::new(env.programs().join(program));
    command.args(words).current_dir(env.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full());
    command.status().expect("the program starts").code()
}

#[test]
fn a_node_without_a_launch_config_ends_with_its_own_status() {
    let env = TestEnv::new();
    for node in [
        "mirror-subtensor",
        "mirror-miner",
        "mirror-validator",
        "mirror-proxy",
    ] {
        let mut command = Command::new(env.programs().join(node));
        let said = command.stdin(Stdio::null()).output().expect("the node starts");
        assert_ne!(said.status.code(), Some(PANICKED));
        assert!(
            String::from_utf8_lossy(&said.stderr).contains("cannot read the launch config"),
            "{said:?}"
        );
        assert_eq!(status(&env, node, &[]), said.status.code(), "{node}");
    }
}

#[test]
fn commands_end_with_their_status_when_messages_are_lost() {
    let env = TestEnv::new();
    env.file("bad.yml", "seed: many\n");
    for words in [
        &["check", "bad.yml"][..],
        &["run", "bad.yml", "--offline"],
        &["check", "missing.yml"],
        &["report", "last"],
        &["ask", "last", "0", "Ask something."],
        &["fault", "list", "last"],
        &["metagraph", "check", "missing.json"],
        &["runs", "recover", "missing"],
        &["nonsense"],
    ] {
        let shown = env.mirror(words);
        assert_ne!(shown.status, Some(0), "{words:?}: {shown:?}");
        assert_eq!(
            status(&env, "mirror", words),
            shown.status,
            "{words:?}: {shown:?}"
        );
        assert_ne!(shown.status, Some(PANICKED), "{words:?}");
    }
}

#[test]
fn a_run_completes_when_its_messages_are_lost() {
    let env = TestEnv::new();
    env.file(
        "run.yml",
        "\
seed: 3
model:
  id: lost
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fitness: 1.0}}
  gating_model: RandomGatingModel
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  metagraph: {name: DummyMetagraph, args: {num_nodes: 4}}
query: {id: training, method: {name: train, args: {max_iter: 20}}}
faults:
  - {at: step 5, kill: uid 1, restart_after: 5 steps}
",
    );
    assert_eq!(status(&env, "mirror", &["run", "run.yml", "--offline"]), Some(0));
    let runs: Vec<_> = fs::read_dir(env.runs_dir()).expect("the folder exists").collect();
    assert!(!runs.is_empty());
}
