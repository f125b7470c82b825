//! Kills the real process with SIGKILL at random moments while clients submit and report. After each restart the node
//! has everything that it acknowledged. At the end its state and the records that its coordinator received equal those
//! of a node that was never killed.
//!
//! `MIRROR_KILLS` sets the number of kills, 20 by default. A snapshot replaces the log every 16 blocks, so that some
//! kills hit the writing of one.

mod network;

use mirror_node::Control;
use std::collections::BTreeMap;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{BeginRequest, BlockClosed, Metagraph, MetagraphRequest, Weight};
use mirror_seed::Seed;
use mirror_spec::launch::{Listening, SubtensorLaunch};
use mirror_test_support::coordinator;
use network::{Clients, Request, Steps, connect, hotkey, launch, launched, serve_axon, set_weights};
use rand::RngExt;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

const VALIDATORS: u8 = 2;

/// Steps per kill. A step has at least five replies, and there are fewer than sixty replies between two kills.
const STEPS: u64 = 15;

fn kills() -> u64 {
    let Ok(kills) = std::env::var("MIRROR_KILLS") else {
        return 20;
    };
    kills.parse().expect("MIRROR_KILLS is a number")
}

/// Number of epochs: one every five blocks.
fn epochs() -> u64 {
    STEPS * kills() / 5
}

/// A running process of the node.
struct Process {
    child: Child,
    address: SocketAddr,
    /// The node's lifeline.
    _stdin: ChildStdin,
}

impl Process {
    fn start(role: &SubtensorLaunch, incarnation: u32) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mirror-subtensor"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let launch = launched(role.clone(), incarnation);
        let mut stdin = child.stdin.take().expect("piped");
        let line = serde_json::to_string(&launch).expect("a launch config serializes to JSON");
        writeln!(stdin, "{line}").expect("the node reads its launch config");
        let mut answer = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut answer)
            .expect("the node prints its listen address");
        let Listening { address, .. } =
            serde_json::from_str(&answer).expect("the node prints its listen address");
        Self {
            child,
            address,
            _stdin: stdin,
        }
    }

    fn kill(mut self) {
        self.child.kill().expect("it is a child of this process");
        self.child.wait().expect("it is a child of this process");
    }
}

/// The blocks that a validator received, step by step.
type Received = Vec<BlockClosed>;

/// Runs all steps of `validator` and retries whenever the node has died. Calls `acted` after each reply.
async fn validate(validator: u8, address: watch::Receiver<SocketAddr>, acted: impl Fn()) -> Received {
    let mut address = address;
    let mut received = Received::new();
    // Number of acknowledged requests of this step, which are not sent again.
    let mut acknowledged = 0;
    // Present until the node dies.
    let mut connected: Option<(Clients, Steps)> = None;
    while (received.len() as u64) < STEPS * kills() {
        let step = received.len() as u64;
        let outcome = async {
            if connected.is_none() {
                let present = *address.borrow_and_update();
                let mut clients = connect(present).await?;
                clients.control.begin(BeginRequest {}).await?;
                let steps = Steps::open(&mut clients.barrier, hotkey(validator)).await?;
                connected = Some((clients, steps));
            }
            let (clients, steps) = connected.as_mut().expect("connected above");
            for asked in asked(validator, step).into_iter().skip(acknowledged) {
                let (refusal, _) = clients.submit(asked).await?;
                assert_eq!(refusal, "");
                acknowledged += 1;
                acted();
            }
            anyhow::Ok(steps.report(step).await?)
        };
        match outcome.await {
            Ok(closed) => {
                received.push(closed);
                acknowledged = 0;
                acted();
            }
            Err(_the_node_has_died) => {
                connected = None;
                // Returns immediately if the node was started again after this validator connected.
                address.changed().await.expect("the node is started again");
            }
        }
    }
    received
}

/// Returns the requests of a step: the validator's weights, which depend on the step, and for the first validator also
/// a miner's axon.
fn asked(validator: u8, step: u64) -> Vec<Request> {
    let weight = |uid, weight| Weight { uid, weight };
    let weights = [
        weight(0, 1 + (step as u32 * 7) % 100),
        weight(1, 1 + u32::from(validator)),
    ];
    let mut asked = vec![set_weights(validator, step + 1, &weights)];
    if validator == network::MINERS {
        asked.push(serve_axon(0, step + 1, port(step)));
    }
    asked
}

fn port(step: u64) -> u16 {
    1_000 + (step / 3 % 50_000) as u16
}

async fn final_metagraph(address: SocketAddr) -> Metagraph {
    let mut clients = connect(address).await.expect("the node listens");
    let request = MetagraphRequest {
        block: None,
        lite: false,
    };
    clients
        .subtensor
        .get_metagraph(request)
        .await
        .expect("there is a metagraph")
        .into_inner()
}

/// Transactions by block and results by epoch. A record that is received again must be unchanged.
#[derive(Debug, Default, PartialEq)]
struct ChainHistory {
    blocks: BTreeMap<u64, Kind>,
    epochs: BTreeMap<u64, Kind>,
}

impl ChainHistory {
    fn enter(&mut self, kind: &Kind) {
        let (entries, number) = match kind {
            Kind::Transactions(closed) => (&mut self.blocks, closed.block),
            Kind::Epoch(epoch) => (&mut self.epochs, epoch.epoch),
            other => panic!("{other:?} is not a record of the chain"),
        };
        let first = entries.entry(number).or_insert_with(|| kind.clone());
        assert_eq!(first, kind);
    }

    /// Collects records until the last epoch and the last block of the run have arrived.
    async fn of(mut records: mpsc::UnboundedReceiver<Kind>) -> Self {
        let mut history = Self::default();
        while !history.epochs.contains_key(&epochs()) || !history.blocks.contains_key(&(STEPS * kills() + 1))
        {
            history.enter(&records.recv().await.expect("the coordinator runs"));
        }
        history
    }
}

/// Runs a node without kills. Returns the blocks that its validators received, its last metagraph and the records that
/// its coordinator received.
async fn uninterrupted(state: &Path) -> (Vec<Received>, Metagraph, ChainHistory) {
    let (coordinator, records) = coordinator::records().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(mirror_subtensor::serve(
        launched(role(state, coordinator), 0),
        listener,
        shutdown.clone(),
        Control::default(),
    ));
    let (_sender, address_watch) = watch::channel(address);
    let validators =
        (0..VALIDATORS).map(|index| validate(network::MINERS + index, address_watch.clone(), || {}));
    let received = futures::future::join_all(validators).await;
    let metagraph = final_metagraph(address).await;
    shutdown.cancel();
    served
        .await
        .expect("no panic")
        .expect("the node ends without an error");
    (received, metagraph, ChainHistory::of(records).await)
}

fn role(state: &Path, coordinator: SocketAddr) -> SubtensorLaunch {
    SubtensorLaunch {
        coordinator: Some(coordinator),
        ..launch(state, VALIDATORS)
    }
}

#[tokio::test]
async fn acknowledged_changes_survive_every_kill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (expected, expected_metagraph, history) = uninterrupted(&folder.path().join("twin")).await;
    assert_eq!(
        expected_metagraph.neurons[0].port,
        u32::from(port(STEPS * kills() - 1))
    );

    let (coordinator, records) = coordinator::records().await;
    let role = role(&folder.path().join("killed"), coordinator);
    let mut process = Process::start(&role, 0);
    let (address_sender, address) = watch::channel(process.address);
    let (answers, answered) = (AtomicU64::new(0), Notify::new());
    let acted = || {
        answers.fetch_add(1, Ordering::Relaxed);
        answered.notify_one();
    };
    let validators = (0..VALIDATORS).map(|index| validate(network::MINERS + index, address.clone(), acted));
    let killer = async {
        let mut generator = Seed::root(7).child("kills").generator();
        for incarnation in 1..=kills() as u32 {
            // Waits for a random number of replies, while other calls are in progress.
            let moment = answers.load(Ordering::Relaxed) + generator.random_range(1..60);
            while answers.load(Ordering::Relaxed) < moment {
                answered.notified().await;
            }
            process.kill();
            process = Process::start(&role, incarnation);
            address_sender.send_replace(process.address);
        }
        process
    };
    let (received, process) = tokio::join!(futures::future::join_all(validators), killer);
    assert_eq!(received, expected);
    assert_eq!(final_metagraph(process.address).await, expected_metagraph);
    assert_eq!(ChainHistory::of(records).await, history);
    process.kill();
}
