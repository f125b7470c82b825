//! What the node keeps in its folder: a log that snapshots keep short, and the history; and which folders it refuses.

mod network;

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
            .expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(mirror_subtensor::serve(
            launched(launch, 0),
            listener,
            shutdown.clone(),
        ));
        let mut clients = connect(address).await.expect("the node listens");
        clients.control.begin(BeginRequest {}).await.expect("it begins");
        let steps = Steps::open(&mut clients.subtensor, hotkey(MINERS))
            .await
            .expect("streams");
        Self {
            clients,
            steps,
            shutdown,
            served,
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.served.await.expect("no panic").expect("the node ends well");
    }

    /// Closes the blocks of these steps; in each the validator has other weights, in each third the axon another port.
    async fn run(&mut self, steps: std::ops::Range<u64>) {
        for step in steps {
            let mut transactions = vec![weights_of(step)];
            if step % 3 == 0 {
                transactions.push(serve_axon(0, step + 1, 1_000 + step as u16));
            }
            for transaction in transactions {
                let (refusal, _) = self.clients.submit(transaction).await.expect("sound");
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
    tempfile::tempdir().expect("there is a place for temporary files")
}

fn with_snapshots(state: &Path, snapshot_blocks: u64) -> SubtensorLaunch {
    SubtensorLaunch {
        snapshot_blocks,
        ..launch(state, 1)
    }
}

/// The files of the log, by name.
fn log(state: &Path) -> Vec<String> {
    let files = std::fs::read_dir(state).expect("it is a folder");
    let names = files.map(|file| file.expect("listed").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|name| name.contains("journal")).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("there is room");
    for file in std::fs::read_dir(from).expect("it is a folder") {
        let file = file.expect("listed");
        let to = to.join(file.file_name());
        if file.path().is_dir() {
            copy(&file.path(), &to);
        } else {
            std::fs::copy(file.path(), to).expect("there is room");
        }
    }
}

/// Why a node does not go on with this state.
async fn refused(state: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback has a port");
    let error = mirror_subtensor::serve(
        launched(with_snapshots(state, 16), 0),
        listener,
        CancellationToken::new(),
    )
    .await;
    format!("{:#}", error.expect_err("the node refuses to serve"))
}

#[track_caller]
fn assert_says(message: &str, words: &str) {
    assert!(message.contains(words), "expected `{words}` in: {message}");
}

/// What the validator says in a step.
fn weights_of(step: u64) -> Request {
    let weight = |uid, weight| Weight { uid, weight };
    let weights = [weight(0, 1 + (step as u32 * 7) % 100), weight(1, 50)];
    set_weights(MINERS, step + 1, &weights)
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_the_log() {
    let (short, long) = (folder(), folder());
    let mut with = Running::start(with_snapshots(short.path(), 16)).await;
    let mut without = Running::start(with_snapshots(long.path(), u64::MAX)).await;
    for part in [0..40, 40..80, 80..120] {
        with.run(part.clone()).await;
        without.run(part).await;
        // The first block is of no step.
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
    // 121 blocks, and the seventh snapshot after 112 of them.
    assert_eq!(log(short.path()), ["000008.journal"]);
    // A repeated call is known across snapshots, and a step that has closed is answered again.
    let again = with.clients.submit(weights_of(119)).await.expect("sound");
    assert_eq!(again, (String::new(), 121));
    assert_eq!(with.steps.report(60).await.expect("answered again").block, 62);
}

#[tokio::test]
async fn the_metagraph_of_every_past_block_is_told_however_often_the_node_starts() {
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
            .expect_err("it is to come");
        assert_eq!(ahead.code(), Code::FailedPrecondition);
        node.end().await;
    }
}

#[tokio::test]
async fn the_history_goes_back_to_where_it_begins() {
    let state = folder();
    let mut node = Running::start(with_snapshots(state.path(), 10)).await;
    node.run(0..25).await;
    node.end().await;
    std::fs::remove_dir_all(state.path().join("history")).expect("it is there");
    let mut node = Running::start(with_snapshots(state.path(), 10)).await;
    // The snapshot is of block 20.
    assert_eq!(node.metagraph(Some(20)).await.expect("kept").block, 20);
    let forgotten = node.metagraph(Some(19)).await.expect_err("nobody has it");
    assert_eq!(forgotten.code(), Code::OutOfRange);
    assert_says(forgotten.message(), "the oldest block held is 20");
}

#[tokio::test]
async fn a_node_that_was_killed_while_it_wrote_a_snapshot_goes_on() {
    let (before, after, killed) = (folder(), folder(), folder());
    let mut node = Running::start(with_snapshots(before.path(), u64::MAX)).await;
    node.run(0..30).await;
    let expected = node.metagraph(None).await.expect("now");
    node.end().await;
    // A start that finds a long log replaces it with its first call.
    copy(before.path(), after.path());
    Running::start(with_snapshots(after.path(), 30)).await.end().await;
    assert_eq!(log(after.path()), ["000002.journal"]);
    let snapshot = std::fs::read(after.path().join("000002.journal")).expect("it is there");

    for (written, left) in [
        // The segment was begun; its first record was written in part; all but the old segment's removal.
        (0, "000001.journal"),
        (7, "000001.journal"),
        (snapshot.len() / 2, "000001.journal"),
        (snapshot.len() - 1, "000001.journal"),
        (snapshot.len(), "000001.journal"),
    ] {
        let state = killed.path().join(written.to_string());
        copy(before.path(), &state);
        assert_eq!(log(&state), [left]);
        std::fs::write(state.join("000002.journal"), &snapshot[..written]).expect("there is room");
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
async fn a_state_that_is_not_whole_is_refused_and_stays_as_it_is() {
    let sound = folder();
    let mut node = Running::start(with_snapshots(sound.path(), 16)).await;
    node.run(0..20).await;
    node.end().await;
    let segment = "000002.journal";
    assert_eq!(log(sound.path()), [segment]);
    let whole = std::fs::read(sound.path().join(segment)).expect("it is there");

    // The snapshot is damaged: in its length, its checksum, what it says.
    for harmed in (0..40).chain((40..whole.len() / 2).step_by(97)) {
        let state = folder();
        copy(sound.path(), state.path());
        let mut bytes = whole.clone();
        bytes[harmed] ^= 0x41;
        std::fs::write(state.path().join(segment), &bytes).expect("there is room");
        let message = refused(state.path()).await;
        assert_says(&message, "damaged");
        assert_says(&message, "put back a sound copy of it, choose another folder");
        assert_eq!(
            std::fs::read(state.path().join(segment)).expect("it is there"),
            bytes
        );
    }
    // Cut off within the snapshot, which nothing else can replace.
    for left in [0, 9, 200] {
        let state = folder();
        copy(sound.path(), state.path());
        std::fs::write(state.path().join(segment), &whole[..left]).expect("there is room");
        assert_says(&refused(state.path()).await, "damaged");
    }
    // The log is gone, and what is beside it is not.
    let state = folder();
    copy(sound.path(), state.path());
    std::fs::remove_file(state.path().join(segment)).expect("it is there");
    assert_says(&refused(state.path()).await, "no log of a chain");
    // A segment between two others is gone.
    let state = folder();
    copy(sound.path(), state.path());
    std::fs::write(state.path().join("000004.journal"), &whole).expect("there is room");
    assert_says(
        &refused(state.path()).await,
        "000003.journal of the journal is missing",
    );
    // The log is older than the history.
    let state = folder();
    let mut node = Running::start(with_snapshots(state.path(), 1_000)).await;
    node.run(0..3).await;
    node.end().await;
    std::fs::remove_dir_all(state.path().join("history")).expect("it is there");
    copy(&sound.path().join("history"), &state.path().join("history"));
    assert_says(&refused(state.path()).await, "goes beyond the log");
}

#[tokio::test]
async fn a_state_of_another_version_or_of_something_else_is_refused() {
    let foreign = folder();
    std::fs::write(foreign.path().join("thesis.tex"), "years of work").expect("there is room");
    assert_says(
        &refused(foreign.path()).await,
        "it holds files, and no log of a chain among them",
    );
    // A genesis of format 2, as the first record: field 1 of the record, in it field 1.
    let old = folder();
    let opened = mirror_journal::Writer::open(old.path(), 1 << 20).expect("the folder is new");
    let mut writer = opened.writer;
    writer.append_batch(&[[0x0a, 2, 0x08, 2]]).expect("there is room");
    drop(writer);
    let message = refused(old.path()).await;
    assert_says(&message, "the log has format 2, and this version reads 6");
    assert_says(&message, "go on with the version that wrote it");
}
