//! The node's folder: a log that snapshots keep short, and the history. Also the folders that the node refuses.

mod network;

use mirror_node::Control;
use std::net::Ipv4Addr;
use std::path::Path;

use mirror_proto::mirror::v1::{BeginRequest, Metagraph, MetagraphRequest, Weight};
use mirror_spec::launch::SubtensorLaunch;
use network::{Clients, MINERS, Request, Steps, connect, hotkey, launch, launched, serve_axon, set_weights};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

struct Running {
    clients: Clients,
    steps: Steps,
    shutdown: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(launch: SubtensorLaunch) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(mirror_subtensor::serve(
            launched(launch, 0),
            listener,
            shutdown.clone(),
            Control::default(),
        ));
        let mut clients = connect(address).await.expect("the node listens");
        clients.control.begin(BeginRequest {}).await.expect("it begins");
        let steps = Steps::open(&mut clients.barrier, hotkey(MINERS))
            .await
            .expect("the stream opens");
        Self {
            clients,
            steps,
            shutdown,
            served,
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.served
            .await
            .expect("no panic")
            .expect("the node ends without an error");
    }

    /// Closes the blocks of these steps. The validator sets other weights in each step, and the axon moves to another
    /// port in every third step.
    async fn run(&mut self, steps: std::ops::Range<u64>) {
        for step in steps {
            let mut transactions = vec![weights_of(step)];
            if step % 3 == 0 {
                transactions.push(serve_axon(0, step + 1, 1_000 + step as u16));
            }
            for transaction in transactions {
                let (refusal, _) = self.clients.submit(transaction).await.expect("valid");
                assert_eq!(refusal, "");
            }
            self.steps.report(step).await.expect("the block closes");
        }
    }

    async fn metagraph(&mut self, block: Option<u64>) -> Result<Metagraph, Status> {
        let request = MetagraphRequest { block, lite: false };
        let answer = self.clients.subtensor.get_metagraph(request).await;
        answer.map(tonic::Response::into_inner)
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn with_snapshots(state: &Path, snapshot_blocks: u64) -> SubtensorLaunch {
    SubtensorLaunch {
        snapshot_blocks,
        ..launch(state, 1)
    }
}

/// Returns the file names of the log, sorted.
fn log(state: &Path) -> Vec<String> {
    let files = std::fs::read_dir(state).expect("the folder exists");
    let names = files.map(|file| file.expect("listed").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|name| name.contains("journal")).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the disk has space");
    for file in std::fs::read_dir(from).expect("the folder exists") {
        let file = file.expect("listed");
        let to = to.join(file.file_name());
        if file.path().is_dir() {
            copy(&file.path(), &to);
        } else {
            std::fs::copy(file.path(), to).expect("the disk has space");
        }
    }
}

/// Returns the error with which a node refuses this state.
async fn refused(state: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let error = mirror_subtensor::serve(
        launched(with_snapshots(state, 16), 0),
        listener,
        CancellationToken::new(),
        Control::default(),
    )
    .await;
    format!("{:#}", error.expect_err("the node refuses to serve"))
}

#[track_caller]
fn assert_says(message: &str, words: &str) {
    assert!(message.contains(words), "expected `{words}` in: {message}");
}

/// Returns the weights that the validator sets in a step.
fn weights_of(step: u64) -> Request {
    let weight = |uid, weight| Weight { uid, weight };
    let weights = [weight(0, 1 + (step as u32 * 7) % 100), weight(1, 50)];
    set_weights(MINERS, step + 1, &weights)
}

#[tokio::test]
async fn a_snapshot_replaces_the_log() {
    let (short, long) = (folder(), folder());
    let mut with = Running::start(with_snapshots(short.path(), 16)).await;
    let mut without = Running::start(with_snapshots(long.path(), u64::MAX)).await;
    for part in [0..40, 40..80, 80..120] {
        with.run(part.clone()).await;
        without.run(part).await;
        // The first block belongs to no step.
        with.end().await;
        without.end().await;
        assert_eq!(log(short.path()).len(), 1);
        assert_eq!(log(long.path()), ["000001.journal"]);
        with = Running::start(with_snapshots(short.path(), 16)).await;
        without = Running::start(with_snapshots(long.path(), u64::MAX)).await;
        assert_eq!(
            with.metagraph(None).await.expect("now"),
            without.metagraph(None).await.expect("now")
        );
    }
    // There are 121 blocks; the seventh snapshot was taken after 112 of them.
    assert_eq!(log(short.path()), ["000008.journal"]);
    // A repeated transaction is recognised across snapshots, and a closed step is answered again.
    let again = with.clients.submit(weights_of(119)).await.expect("valid");
    assert_eq!(again, (String::new(), 121));
    assert_eq!(with.steps.report(60).await.expect("answered again").block, 62);
}

#[tokio::test]
async fn every_past_metagraph_is_available_after_restarts() {
    let state = folder();
    let mut seen = Vec::new();
    for part in 0..6 {
        let mut node = Running::start(with_snapshots(state.path(), 10)).await;
        for step in part * 25..(part + 1) * 25 {
            node.run(step..step + 1).await;
            seen.push(node.metagraph(None).await.expect("now"));
        }
        for metagraph in &seen {
            assert_eq!(
                &node.metagraph(Some(metagraph.block)).await.expect("kept"),
                metagraph
            );
        }
        let before = node.metagraph(Some(0)).await.expect("the genesis");
        assert_eq!((before.version, before.neurons[0].port), (1, 0));
        let ahead = node
            .metagraph(Some(seen.len() as u64 + 2))
            .await
            .expect_err("the block has not closed");
        assert_eq!(ahead.code(), Code::FailedPrecondition);
        node.end().await;
    }
}

#[tokio::test]
async fn blocks_before_the_history_are_refused() {
    let state = folder();
    let mut node = Running::start(with_snapshots(state.path(), 10)).await;
    node.run(0..25).await;
    node.end().await;
    std::fs::remove_dir_all(state.path().join("history")).expect("the file exists");
    let mut node = Running::start(with_snapshots(state.path(), 10)).await;
    // The snapshot is of block 20.
    assert_eq!(node.metagraph(Some(20)).await.expect("kept").block, 20);
    let forgotten = node
        .metagraph(Some(19))
        .await
        .expect_err("the history begins later");
    assert_eq!(forgotten.code(), Code::OutOfRange);
    assert_says(forgotten.message(), "the oldest block held is 20");
}

#[tokio::test]
async fn a_node_killed_while_writing_a_snapshot_resumes() {
    let (before, after, killed) = (folder(), folder(), folder());
    let mut node = Running::start(with_snapshots(before.path(), u64::MAX)).await;
    node.run(0..30).await;
    let expected = node.metagraph(None).await.expect("now");
    node.end().await;
    // A node that starts with a long log replaces it at its first call.
    copy(before.path(), after.path());
    Running::start(with_snapshots(after.path(), 30)).await.end().await;
    assert_eq!(log(after.path()), ["000002.journal"]);
    let snapshot = std::fs::read(after.path().join("000002.journal")).expect("the file exists");

    for (written, left) in [
        // The segment was begun; its first record was written in part; only the old segment was not yet removed.
        (0, "000001.journal"),
        (7, "000001.journal"),
        (snapshot.len() / 2, "000001.journal"),
        (snapshot.len() - 1, "000001.journal"),
        (snapshot.len(), "000001.journal"),
    ] {
        let state = killed.path().join(written.to_string());
        copy(before.path(), &state);
        assert_eq!(log(&state), [left]);
        std::fs::write(state.join("000002.journal"), &snapshot[..written]).expect("the disk has space");
        let mut node = Running::start(with_snapshots(&state, 1_000)).await;
        assert_eq!(node.metagraph(None).await.expect("now"), expected);
        node.run(30..35).await;
        node.end().await;
        assert_eq!(log(&state), ["000002.journal"]);
        let mut node = Running::start(with_snapshots(&state, 1_000)).await;
        assert_eq!(node.metagraph(None).await.expect("now").block, expected.block + 5);
        assert_eq!(
            node.metagraph(Some(expected.block)).await.expect("kept").neurons,
            expected.neurons
        );
        node.end().await;
    }
}

#[tokio::test]
async fn a_damaged_state_is_refused_and_left_unchanged() {
    let sound = folder();
    let mut node = Running::start(with_snapshots(sound.path(), 16)).await;
    node.run(0..20).await;
    node.end().await;
    let segment = "000002.journal";
    assert_eq!(log(sound.path()), [segment]);
    let whole = std::fs::read(sound.path().join(segment)).expect("the file exists");

    // The snapshot is damaged: its length, its checksum, its content.
    for harmed in (0..40).chain((40..whole.len() / 2).step_by(97)) {
        let state = folder();
        copy(sound.path(), state.path());
        let mut bytes = whole.clone();
        bytes[harmed] ^= 0x41;
        std::fs::write(state.path().join(segment), &bytes).expect("the disk has space");
        let message = refused(state.path()).await;
        assert_says(&message, "damaged");
        assert_says(&message, "restore an intact copy, choose another folder");
        assert_eq!(
            std::fs::read(state.path().join(segment)).expect("the file exists"),
            bytes
        );
    }
    // The only snapshot is cut off.
    for left in [0, 9, 200] {
        let state = folder();
        copy(sound.path(), state.path());
        std::fs::write(state.path().join(segment), &whole[..left]).expect("the disk has space");
        assert_says(&refused(state.path()).await, "damaged");
    }
    // The log is missing and the history remains.
    let state = folder();
    copy(sound.path(), state.path());
    std::fs::remove_file(state.path().join(segment)).expect("the file exists");
    assert_says(&refused(state.path()).await, "no chain log");
    // A segment between two others is missing.
    let state = folder();
    copy(sound.path(), state.path());
    std::fs::write(state.path().join("000004.journal"), &whole).expect("the disk has space");
    assert_says(
        &refused(state.path()).await,
        "000003.journal of the journal is missing",
    );
    // The log is older than the history.
    let state = folder();
    let mut node = Running::start(with_snapshots(state.path(), 1_000)).await;
    node.run(0..3).await;
    node.end().await;
    std::fs::remove_dir_all(state.path().join("history")).expect("the file exists");
    copy(&sound.path().join("history"), &state.path().join("history"));
    assert_says(&refused(state.path()).await, "is newer than the log");
}

#[tokio::test]
async fn a_state_of_another_version_or_of_something_else_is_refused() {
    let foreign = folder();
    std::fs::write(foreign.path().join("thesis.tex"), "years of work").expect("the disk has space");
    assert_says(
        &refused(foreign.path()).await,
        "the folder contains files, but no chain log",
    );
    // The first record is a genesis of format 2: field 1 of the record contains field 1.
    let old = folder();
    let opened = mirror_journal::Writer::open(old.path(), 1 << 20).expect("the folder is new");
    let mut writer = opened.writer;
    writer
        .append_batch(&[[0x0a, 2, 0x08, 2]])
        .expect("the disk has space");
    drop(writer);
    let message = refused(old.path()).await;
    assert_says(&message, "the log has format 2, but this version reads format 7");
    assert_says(&message, "use the version that wrote it");
}
