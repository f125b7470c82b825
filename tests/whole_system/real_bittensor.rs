//! Tests with the real bittensor 5.0.0, which is not part of this project: its dendrite calls our axons, and our
//! validator its axons. If it is missing, the tests are skipped with a message, except in continuous integration, where
//! it is required.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use mirror_identity::{Owner, SecretKey};
use mirror_runs::tables::ResponseRow;
use mirror_seed::Seed;
use mirror_tests::{TestEnv, rows};
use serde_json::Value;

/// The folder next to this project with the scripts that start the real dendrite and the real axon.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/v4");

/// The script that starts an axon with the mini seed of its hotkey.
const AXON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bittensor_axon.py");

/// The checks of the real client's list that decide its result.
const CHECKS: usize = 19;

const NETWORK: &str = "\
seed: 7
model:
  id: standing
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin, fitness: 1.0}}
  gating_model: RandomGatingModel
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  metagraph: {name: DummyMetagraph, args: {num_nodes: 2}}
network: {validators: 1}
";

/// The real bittensor.
struct Bittensor {
    python: PathBuf,
    scripts: PathBuf,
}

impl Bittensor {
    /// Returns the Python that `MIRROR_BITTENSOR` names, which has the package. `None`, with a message, if it or the
    /// scripts are missing.
    fn find() -> Option<Self> {
        let python = env::var_os("MIRROR_BITTENSOR").map(PathBuf::from);
        let scripts = fs::canonicalize(SCRIPTS).ok();
        let Some((python, scripts)) = python.zip(scripts) else {
            let missing = format!("MIRROR_BITTENSOR is not set, or {SCRIPTS} does not exist");
            assert!(env::var_os("CI").is_none(), "{missing}");
            println!("skipped: {missing}");
            return None;
        };
        Some(Self { python, scripts })
    }

    /// Returns the command of a script. Bittensor writes its files to `home`.
    fn script(&self, name: &str, home: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(self.scripts.join(name))
            .env("BITTENSOR_HOME", home)
            .current_dir(home);
        command
    }
}

/// Returns the address of the axon of a uid of the running network.
fn axon(env: &TestEnv, uid: u32) -> SocketAddr {
    let asked = env
        .start(&["ask", "last", &uid.to_string(), "Ask something.", "--json"])
        .ends();
    let asked: Value = serde_json::from_str(&asked.out).expect("JSON");
    asked["axon"]
        .as_str()
        .expect("an address")
        .parse()
        .expect("an address")
}

/// The real client's list of checks of the signature and of replies.
#[test]
fn the_real_dendrites_checks_pass_against_our_axon() {
    let Some(bittensor) = Bittensor::find() else {
        return;
    };
    let env = TestEnv::new();
    let file = env.file("network.yml", NETWORK);
    let up = env.start(&["up", file, "--offline"]).ends();
    assert_eq!(up.status, Some(0), "{up:?}");
    let address = axon(&env, 1);
    let hotkey = SecretKey::hotkey(&Seed::root(7), Owner::Miner(1)).public();
    let checked = bittensor
        .script("real_dendrite.py", env.path())
        .args([
            "--host",
            &address.ip().to_string(),
            "--port",
            &address.port().to_string(),
        ])
        .args(["--hotkey", &hotkey.to_string(), "--conformance"])
        .output()
        .expect("Python starts");
    let printed = String::from_utf8_lossy(&checked.stdout).into_owned();
    let lines: Vec<Value> = printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let checks: Vec<&Value> = lines.iter().filter(|line| line["ok"].is_boolean()).collect();
    let failed: Vec<&&Value> = checks.iter().filter(|check| check["ok"] != true).collect();
    assert_eq!(
        (checks.len(), &failed[..]),
        (CHECKS, &[][..]),
        "{printed}\n{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    // These are printed by the client and decide nothing there.
    for name in ["unicode", "backward", "multi"] {
        let call = lines.iter().find(|line| line["check"] == name);
        assert!(call.is_some_and(|call| call["code"] == "1"), "{name}: {printed}");
    }
    assert_eq!(env.start(&["down"]).ends().status, Some(0));
}

/// Reads and writes key files with the functions of the real client. Its arguments: a key file of ours, a password, the
/// names of two files to write, one in plain text and one encrypted, and the folder of the scripts. It prints the
/// addresses of our key and of its own.
const KEY_FILES: &str = r"
import os, sys
ours, password, plain, encrypted, scripts = sys.argv[1:6]
sys.path.insert(0, scripts)
sys.argv = sys.argv[:1]
import btstub, bittensor
from bittensor._keyfile import keyfile_impl as files
data = open(ours, 'rb').read()
assert files.keyfile_data_is_encrypted_ansible(data)
read = files.deserialize_keypair_from_keyfile_data(files.decrypt_keyfile_data(data, password))
own = bittensor.Keypair.create_from_seed('0x' + '2a' * 32)
data = files.serialized_keypair_to_keyfile_data(own)
for path, content in [(plain, data), (encrypted, files.encrypt_keyfile_data(data, password))]:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), 'wb') as file:
        file.write(content)
print('ours', read.ss58_address)
print('own', own.ss58_address)
";

#[test]
fn key_files_are_exchanged_with_the_real_client() {
    let Some(bittensor) = Bittensor::find() else {
        return;
    };
    let env = TestEnv::new();
    env.file("password", "correct horse battery\n");
    let with_password = ["--password-file", "password"];
    let created = env.mirror(&[&["key", "new", "ours"][..], &with_password].concat());
    assert_eq!(created.status, Some(0), "{created:?}");
    let mut python = Command::new(&bittensor.python);
    let exchanged = python
        .args([
            "-c",
            KEY_FILES,
            "ours",
            "correct horse battery",
            "plain",
            "encrypted",
        ])
        .arg(&bittensor.scripts)
        .env("BITTENSOR_HOME", env.path())
        .current_dir(env.path())
        .output()
        .expect("Python starts");
    let printed = String::from_utf8_lossy(&exchanged.stdout).into_owned();
    let address = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        let errors = || panic!("{printed}\n{}", String::from_utf8_lossy(&exchanged.stderr));
        line.unwrap_or_else(errors).trim().to_owned()
    };
    assert_eq!(address("ours "), created.out.trim());
    let plain = env.mirror(&["key", "show", "plain"]);
    let encrypted = env.mirror(&[&["key", "show", "encrypted"][..], &with_password].concat());
    assert_eq!(plain.out.trim(), address("own "), "{plain:?}");
    assert_eq!(encrypted.out.trim(), address("own "), "{encrypted:?}");
    let unopened = env.mirror(&["key", "show", "encrypted"]);
    assert!(
        unopened.status == Some(1) && unopened.err.contains("a password is required"),
        "{unopened:?}"
    );
}

/// A real axon at an address, which ends when it is dropped.
struct RealAxon {
    child: Child,
    address: SocketAddr,
    hotkey: String,
}

impl RealAxon {
    /// Starts an axon with a development key of Substrate and further options, and waits until it serves.
    fn start(bittensor: &Bittensor, home: &Path, key: &str, options: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let mut child = bittensor
            .script("real_axon.py", home)
            .args(["--port", &address.port().to_string(), "--uri", key])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let printed = child.stdout.take().expect("a pipe");
        let mut axon = Self {
            child,
            address,
            hotkey: String::new(),
        };
        let mut printed = BufReader::new(printed);
        let mut line = String::new();
        printed.read_line(&mut line).expect("the output can be read");
        // Its log is read to the end, because the axon prints errors about a closed pipe.
        thread::spawn(move || io::copy(&mut printed, &mut io::sink()));
        let ready: Value = serde_json::from_str(&line).expect("the axon serves");
        ready["hotkey"]
            .as_str()
            .expect("a hotkey")
            .clone_into(&mut axon.hotkey);
        axon
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its status is known").is_none()
    }
}

impl Drop for RealAxon {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our validator trains against a plain axon that the run starts, and three at addresses: one that is slower than the
/// timeout, one that raises, and one that refuses every caller. Each failure has bittensor's return code and reason.
#[test]
fn our_validator_trains_against_real_bittensor_axons() {
    let Some(bittensor) = Bittensor::find() else {
        return;
    };
    let mut env = TestEnv::new();
    let home = env.path().to_owned();
    env.set("BITTENSOR_HOME", &home);
    let mut axons = [
        ("//Bob", &["--delay", "5"][..]),
        ("//Charlie", &["--raise"]),
        ("//Dave", &["--blacklist"]),
    ]
    .map(|(key, options)| RealAxon::start(&bittensor, &home, key, options));
    let python = &bittensor.python;
    let mut file = format!(
        "\
seed: 7
model:
  id: real
  dendrite_pool: {{name: DummyDendritePool, args: {{data_path: builtin}}}}
  gating_model: RandomGatingModel
  reward_model: {{name: DummyRewardModel, args: {{reward_type: num_words}}}}
  subtensor: {{name: DummySubtensor, args: {{epoch_length: 2}}}}
  metagraph: {{name: DummyMetagraph, args: {{num_nodes: 4}}}}
  neuron: {{training_timeout: 2}}
query:
  id: training
  method: {{name: train, args: {{max_iter: 4}}}}
network:
  ready_timeout: 300
  miners:
    - {{uids: 0, label: plain, command: [{python:?}, {AXON:?}, '{{port}}', '{{seed}}']}}
"
    );
    for (uid, axon) in (1..).zip(&axons) {
        let (address, hotkey) = (axon.address, &axon.hotkey);
        let entry = format!("    - {{uids: {uid}, address: {address}, hotkey: {hotkey}}}\n");
        file.push_str(&entry);
    }
    let run = env.done(env.file("real.yml", file), &[]);
    assert!(
        axons.iter_mut().all(RealAxon::is_running),
        "the run ended an axon"
    );

    let responses = rows::<ResponseRow>(&run);
    let of = |uid| responses.iter().filter(move |response| response.uid == uid);
    for uid in 0..4 {
        // Four steps with two forwards each.
        assert_eq!(of(uid).count(), 8, "uid {uid}: {responses:?}");
    }
    for plain in of(0) {
        let given = (plain.outcome.as_str(), plain.return_code);
        assert_eq!(given, ("success", 1), "{plain:?}");
        assert!(plain.completion.starts_with("bittensor answers: "), "{plain:?}");
    }
    for slow in of(1) {
        assert_eq!(slow.outcome, "timeout", "{slow:?}");
    }
    for raising in of(2) {
        let given = (raising.return_code, raising.return_message.as_str());
        assert_eq!(given, (22, "boom"), "{raising:?}");
    }
    for refusing in of(3) {
        let given = (refusing.return_code, refusing.return_message.as_str());
        assert_eq!(given, (25, "test blacklist"), "{refusing:?}");
    }
    // Substrate derives the same hotkey from the mini seed.
    let log = fs::read_to_string(run.layout().log("miner-0")).expect("a log");
    let hotkey = SecretKey::hotkey(&Seed::root(7), Owner::Miner(0)).public();
    assert!(log.contains(&hotkey.to_string()), "{log}");
}
