//! The real process under a client that submits and reports, killed with SIGKILL at random moments: it comes back with
//! The real process under a client that submits and reports, killed with SIGKILL at random moments: it comes back with
//! all that it acknowledged, in the state that a node has which was never killed, and its coordinator is told the same.
//!
//! Twenty kills, or as many as `MIRROR_KILLS` says. A snapshot takes the log's place each 16 blocks, so that some fall
//! into the writing of one.

mod network;

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

/// Steps a kill. Each has five answers at least, and a kill waits for less than sixty.
const STEPS: u64 = 15;

fn kills() -> u64 {
    let Ok(kills) = std::env::var("MIRROR_KILLS") else {
        return 20;
    };
    kills.parse().expect("MIRROR_KILLS is a number")
}

/// One each five blocks.
fn epochs() -> u64 {
    STEPS * kills() / 5
}

/// A running process of the node.
struct Process {
    child: Child,
    address: SocketAddr,
    /// Its lifeline.
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
        let line = serde_json::to_string(&launch).expect("a launch description is JSON");
        writeln!(stdin, "{line}").expect("the node reads its launch description");
        let mut answer = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut answer)
            .expect("the node says where it listens");
        let Listening { address, .. } =
            serde_json::from_str(&answer).expect("the node says where it listens");
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

/// What a validator heard, step by step.
type Received = Vec<BlockClosed>;

/// Does all that `validator` has to do, asking again whenever the node has died; `acted` is told of each answer.
async fn validate(validator: u8, address: watch::Receiver<SocketAddr>, acted: impl Fn()) -> Received {
    let mut address = address;
    let mut heard = Received::new();
    // What is asked in this step and acknowledged, and so is not sent again.
    let mut acknowledged = 0;
    // Until the node dies.
    let mut connected: Option<(Clients, Steps)> = None;
    while (heard.len() as u64) < STEPS * kills() {
        let step = heard.len() as u64;
        let outcome = async {
            if connected.is_none() {
                let present = *address.borrow_and_update();
                let mut clients = connect(present).await?;
                clients.control.begin(BeginRequest {}).await?;
                let steps = Steps::open(&mut clients.subtensor, hotkey(validator)).await?;
                connected = Some((clients, steps));
            }
            let (clients, steps) = connected.as_mut().expect("connected just now, if not before");
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
                heard.push(closed);
                acknowledged = 0;
                acted();
            }
            Err(_the_node_has_died) => {
                connected = None;
                // At once if it has been started again since this validator connected.
                address.changed().await.expect("the node is started again");
            }
        }
    }
    heard
}

/// What is submitted in a step: a validator's weights that depend on it, and beside the first validator's a miner's
/// axon.
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
        .expect("there is one")
        .into_inner()
}

/// What became of blocks and what epochs found, by number. What is told again must be the same again.
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
            other => panic!("{other:?} is nothing of the chain's"),
        };
        let first = entries.entry(number).or_insert_with(|| kind.clone());
        assert_eq!(first, kind);
    }

    /// All that was told until the last epoch of the run has been.
    async fn of(mut told: mpsc::UnboundedReceiver<Kind>) -> Self {
        let mut chronicle = Self::default();
        while !chronicle.epochs.contains_key(&epochs())
            || !chronicle.blocks.contains_key(&(STEPS * kills() + 1))
        {
            chronicle.enter(&told.recv().await.expect("the coordinator is there"));
        }
        chronicle
    }
}

/// What validators hear from a node that nobody kills, where it ends, and what its coordinator is told.
async fn uninterrupted(state: &Path) -> (Vec<Received>, Metagraph, ChainHistory) {
    let (coordinator, told) = coordinator::records().await;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(mirror_subtensor::serve(
        launched(role(state, coordinator), 0),
        listener,
        shutdown.clone(),
    ));
    let (_sender, address_watch) = watch::channel(address);
    let validators =
        (0..VALIDATORS).map(|index| validate(network::MINERS + index, address_watch.clone(), || {}));
    let heard = futures::future::join_all(validators).await;
    let metagraph = final_metagraph(address).await;
    shutdown.cancel();
    served.await.expect("no panic").expect("the node ends well");
    (heard, metagraph, ChainHistory::of(told).await)
}

fn role(state: &Path, coordinator: SocketAddr) -> SubtensorLaunch {
    SubtensorLaunch {
        coordinator: Some(coordinator),
        ..launch(state, VALIDATORS)
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_however_often_the_node_is_killed() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let (expected, expected_metagraph, chronicle) = uninterrupted(&folder.path().join("twin")).await;
    assert_eq!(
        expected_metagraph.neurons[0].port,
        u32::from(port(STEPS * kills() - 1))
    );

    let (coordinator, told) = coordinator::records().await;
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
            // After so many answers more, while other calls are on their way.
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
    let (heard, process) = tokio::join!(futures::future::join_all(validators), killer);
    assert_eq!(heard, expected);
    assert_eq!(final_metagraph(process.address).await, expected_metagraph);
    assert_eq!(ChainHistory::of(told).await, chronicle);
    process.kill();
}
