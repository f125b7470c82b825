//! Measures signed calls. In microseconds: a signature and its check, and a call of bare tonic with and without them.
//! In calls per second with 64 calls in flight to one process: the dendrite pool and an axon, compared with bare tonic
//! that signs and checks, and with the real dendrite and axon of bittensor 5.0.0 if `MIRROR_BITTENSOR` names a Python
//! that has it.

use std::env;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use mirror_auth::{Verifier, VerifierState};
use mirror_benches::bare::{Servers, Signatures};
use mirror_benches::caller::Caller;
use mirror_benches::figures::{self, Pair, median};
use mirror_benches::network::{Data, Network, SEED, signer};
use mirror_identity::{Owner, SecretKey};
use mirror_seed::Seed;
use serde_json::Value;
use tonic::metadata::MetadataMap;

const IN_FLIGHT: usize = 64;

/// Number of signatures in a trial.
const SIGNATURES: u32 = 2_000;

/// Duration of each measurement of a pair, and number of pairs.
const MEASURE: Duration = Duration::from_millis(1_500);
const PAIRS: usize = 7;

/// Number of calls of the real dendrite in a trial.
const REAL_CALLS: u32 = 2_000;

/// Timeout of the start of the real axon.
const START: Duration = Duration::from_mins(1);

/// Size of the payload of bare tonic in bytes: about that of a request to an axon.
const PAYLOAD: usize = 512;

/// The folder next to this project with the scripts that start the real dendrite and the real axon.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/v4");

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    signatures()?;
    runtime.block_on(calls())
}

/// Prints the time of a signature and of its check.
fn signatures() -> anyhow::Result<()> {
    let signer = Arc::new(signer()?);
    let axon = SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(0)).public();
    let verifier = Verifier::new(axon, Arc::new(VerifierState::default()));
    let (mut signing, mut checking) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let lane = signer.lane(axon);
        let mut calls = Vec::with_capacity(SIGNATURES as usize);
        let started = Instant::now();
        for _ in 0..SIGNATURES {
            let mut entries = MetadataMap::with_capacity(8);
            lane.sign(&mut entries);
            calls.push(entries);
        }
        signing.push(microseconds(started.elapsed() / SIGNATURES));
        let started = Instant::now();
        for entries in &calls {
            black_box(verifier.check(entries)?);
        }
        checking.push(microseconds(started.elapsed() / SIGNATURES));
    }
    println!(
        "a signature: {:.1} us, its check: {:.1} us",
        median(signing.into_iter()),
        median(checking.into_iter())
    );
    Ok(())
}

async fn calls() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = Data::prepare(folder.path())?;
    let network = Network::start(1, &data).await?;
    let caller = Caller::new(&network.start_miners(1).await?)?;
    let bare_echo = env!("CARGO_BIN_EXE_bare-echo");
    let mut unsigned = Servers::start(bare_echo, 1, 1).await?;
    let mut signed = Servers::start_with(bare_echo, 1, 1, Signatures::Checked).await?;
    unsigned.carry(PAYLOAD);
    signed.carry(PAYLOAD);

    figures::head(
        "a call of bare tonic, one after the other, signed and checked or not",
        "us",
    );
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        pairs.push(Pair {
            ours: 1e6 / signed.calls_per_second(1, MEASURE).await?,
            reference: 1e6 / unsigned.calls_per_second(1, MEASURE).await?,
        });
    }
    figures::line("signed (reference: not signed)", &pairs);

    figures::head("64 calls in flight to one process", "calls/s");
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        pairs.push(Pair {
            ours: caller.calls_per_second(IN_FLIGHT, MEASURE).await?,
            reference: signed.calls_per_second(IN_FLIGHT, MEASURE).await?,
        });
    }
    figures::line("our pair (reference: bare tonic, signed)", &pairs);
    if let Some(real) = Bittensor::find() {
        let axon = real.axon(folder.path())?;
        let mut pairs = Vec::with_capacity(PAIRS);
        for _ in 0..PAIRS {
            pairs.push(Pair {
                ours: caller.calls_per_second(IN_FLIGHT, MEASURE).await?,
                reference: real.calls_per_second(&axon, folder.path())?,
            });
        }
        figures::line("our pair (reference: bittensor 5.0.0)", &pairs);
    }
    network.end(1).await
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The real bittensor.
struct Bittensor {
    python: PathBuf,
}

/// A running axon of the real bittensor, which is killed when this is dropped.
struct RealAxon {
    process: Child,
    hotkey: String,
    port: u64,
}

impl Bittensor {
    fn find() -> Option<Self> {
        let python = env::var_os("MIRROR_BITTENSOR").map(PathBuf::from);
        if python.is_none() || !Path::new(SCRIPTS).exists() {
            println!(
                "not compared with bittensor 5.0.0: MIRROR_BITTENSOR is not set, or {SCRIPTS} does not exist"
            );
            return None;
        }
        python.map(|python| Self { python })
    }

    fn script(&self, name: &str, home: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(Path::new(SCRIPTS).join(name))
            .env("BITTENSOR_HOME", home)
            .current_dir(home)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn axon(&self, home: &Path) -> anyhow::Result<RealAxon> {
        // The axon accepts only a port that it is given.
        let free = std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port();
        let mut command = self.script("real_axon.py", home);
        let process = command
            .args(["--port", &free.to_string()])
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.context("cannot start Python")?;
        let output = process.stdout.take().context("standard output is a pipe")?;
        let mut axon = RealAxon {
            process,
            hotkey: String::new(),
            port: free.into(),
        };
        // The output is read until its end, so that the axon never waits for a reader.
        let (ready, hotkeys) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok()) {
                if let Some(hotkey) = line["hotkey"].as_str() {
                    let _ = ready.send(hotkey.to_owned());
                }
            }
        });
        axon.hotkey = hotkeys
            .recv_timeout(START)
            .context("the real axon did not start")?;
        Ok(axon)
    }

    fn calls_per_second(&self, axon: &RealAxon, home: &Path) -> anyhow::Result<f64> {
        let mut command = self.script("real_dendrite.py", home);
        let printed = command
            .args(["--hotkey", &axon.hotkey, "--port", &axon.port.to_string()])
            .args([
                "--bench",
                &REAL_CALLS.to_string(),
                "--concurrency",
                &IN_FLIGHT.to_string(),
            ])
            .output()?;
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        let lines = printed
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let rates: Vec<f64> = lines.filter_map(|line| line["rps"].as_f64()).collect();
        rates
            .first()
            .copied()
            .with_context(|| format!("the real dendrite printed no rate: {printed}"))
    }
}

impl Drop for RealAxon {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            eprintln!("cannot end the real axon: {error}");
        }
    }
}
