//! Tests with miners whose programs are not part of this project: at an `address`, or started by a `command`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;

use mirror_identity::{MiniSecret, Owner, SecretKey};
use mirror_runs::Run;
use mirror_runs::tables::{IncidentRow, ResponseRow};
use mirror_seed::Seed;
use mirror_tests::{TestEnv, rows};

const MINER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/python_miner.py");

/// Size in bytes to which the log of a program may grow while nothing shortens it.
const LONGEST_LOG: u64 = 64 << 20;

/// Returns a file with these miners and the entries of `network`. Every miner is asked in each of the five steps.
fn file(miners: u32, network: &str) -> String {
    format!(
        "\
seed: 7
model:
  id: outside
  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin, fitness: 1.0}}}}
  gating_model: RandomGatingModel
  reward_model: {{name: DummyRewardModel, args: {{reward_type: num_words}}}}
  metagraph: {{name: DummyMetagraph, args: {{num_nodes: {miners}}}}}
query:
  id: training
  method: {{name: train, args: {{max_iter: 5}}}}
network:
{network}"
    )
}

/// Returns the responses of a uid.
fn of(run: &Run, uid: u32) -> Vec<ResponseRow> {
    let mut responses = rows::<ResponseRow>(run);
    responses.retain(|response| response.uid == uid);
    responses
}

/// Returns the incidents of a node.
fn incidents(run: &Run, node: &str) -> Vec<IncidentRow> {
    let mut incidents = rows::<IncidentRow>(run);
    incidents.retain(|incident| incident.node == node);
    incidents
}

#[test]
fn a_miner_in_python_answers() {
    let Some(python) = std::env::var_os("MIRROR_PYTHON").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "MIRROR_PYTHON is not set");
        println!("skipped: MIRROR_PYTHON is not set");
        return;
    };
    let env = TestEnv::new();
    let network = format!(
        "  axons_per_process: 4\n  proxy: true\n  miners:\n    - {{uids: 1-2, label: python, command: [{python:?}, {MINER:?}, '{{port}}', '{{hotkey}}']}}\n",
    );
    let run = env.done(env.file("python.yml", file(4, &network)), &[]);
    for uid in [1, 2] {
        let responses = of(&run, uid);
        assert!(!responses.is_empty());
        for response in responses {
            assert_eq!(response.outcome, "success", "{response:?}");
            assert!(
                response.completion.starts_with("Python answers: "),
                "{response:?}"
            );
        }
        let log = fs::read_to_string(run.layout().log(&format!("miner-{uid}"))).expect("a log");
        assert!(log.contains("signatures are verified"), "{log}");
    }
    // The miners of this project share a process, which the others are not part of.
    for uid in [0, 3] {
        let responses = of(&run, uid);
        let is_answered = responses.iter().all(|response| response.grpc_code == 0);
        assert!(is_answered && !responses.is_empty(), "{responses:?}");
    }
    assert!(run.layout().log("miners-0-3").exists());
}

#[test]
fn bad_commands_are_reported() {
    let network = "  ready_timeout: 15
  miners:
    - {uids: 1, command: [sh, -c, 'echo the last words of {uid} >&2; exit 3']}
    - {uids: 2, command: [sh, -c, 'setsid sleep 3600 & exit 0']}
    - {uids: 3, command: [sh, -c, 'yes 12345678901234567890123456789 | head -c 30000000; echo the end; exit 4']}
    - {uids: 4, command: [sleep, '3600']}
    - {uids: 5, command: [a-program-that-does-not-exist, '{seed}']}
";
    let env = TestEnv::new();
    let mut running = env.start_run(env.file("bad.yml", file(6, network)), &[]);
    let folder = running.folder();
    let ended = running.ends();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    // Also the process that the second program left behind.
    assert_eq!(mirror_tests::logging_below(env.path()), [], "{ended:?}");
    let run = Run::open(folder).expect("a run that has ended opens");
    let expected = [
        (
            1,
            "exited",
            "exited with status 3 before it was ready, started with `sh -c ",
            "the last words of 1",
        ),
        (2, "exited", "exited with status 0 before it was ready", ""),
        (3, "exited", "exited with status 4 before it was ready", "the end"),
        (
            4,
            "unready",
            "was not ready within 15s: nothing accepts connections",
            "",
        ),
        (
            5,
            "exited",
            "exited with status 127 before it was ready",
            "cannot run a-program",
        ),
    ];
    for (uid, what, detail, last_log) in expected {
        let node = format!("miner-{uid}");
        let found = incidents(&run, &node);
        let whats: Vec<&str> = found.iter().map(|incident| incident.what.as_str()).collect();
        assert_eq!(whats, [what, "left"], "{found:?}");
        assert!(found[0].detail.contains(detail), "{found:?}");
        let log = found[0].last_log.as_deref().unwrap_or_default();
        assert!(log.contains(last_log), "{found:?}");
        // The person at the terminal sees the node, the exit and the last lines.
        assert!(
            ended.err.contains(&node) && ended.err.contains(last_log),
            "{ended:?}"
        );
    }
    let log = fs::metadata(run.layout().log("miner-3")).expect("a log");
    assert!(log.len() < LONGEST_LOG, "{log:?}");
    // The command is shown as it is in the file, without the secret.
    let secret = MiniSecret::hotkey(&Seed::root(7), Owner::Miner(5)).hex();
    let found = incidents(&run, "miner-5");
    assert!(found[0].detail.contains("{seed}"), "{found:?}");
    assert!(!ended.err.contains(&secret) && !format!("{found:?}").contains(&secret));
}

/// Starts a server that answers every connection as an HTTP/1 server does, and returns its address.
fn http1_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 1024];
            // A caller that has gone away is no concern of the server.
            let _ = stream.read(&mut request);
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn calls_to_an_address_that_is_no_axon_fail_with_a_reason() {
    let server = http1_server();
    let unused = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nothing = unused.local_addr().expect("an address");
    drop(unused);
    let [first, second] = [1, 2].map(|uid| SecretKey::hotkey(&Seed::root(99), Owner::Miner(uid)).public());
    let network = format!(
        "  miners:
    - {{uids: 1, address: {nothing}, hotkey: {first}}}
    - {{uids: 2, address: {server}, hotkey: {second}}}
"
    );
    let env = TestEnv::new();
    let run = env.done(env.file("nobody.yml", file(3, &network)), &[]);
    for uid in [1, 2] {
        let responses = of(&run, uid);
        assert!(!responses.is_empty());
        for response in responses {
            assert_eq!(response.outcome, "unreachable", "{response:?}");
            assert!(!response.return_message.is_empty(), "{response:?}");
        }
    }
    let responses = of(&run, 0);
    let is_answered = responses.iter().all(|response| response.grpc_code == 0);
    assert!(is_answered && !responses.is_empty(), "{responses:?}");
    // No process of these miners was started.
    assert!(!run.layout().log("miner-1").exists() && !run.layout().log("miner-2").exists());
}
