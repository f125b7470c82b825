//! Hostile clients and an axon-like server in a process of its own. Honest calls are made alongside each attack. They
//! keep at least half their rate, the memory of the server stays below 64 MiB, and the server has counted the attack.

#[path = "hostile/raw.rs"]
mod raw;
#[path = "hostile/server.rs"]
mod server;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mirror_net::channel;
use mirror_net::server::Bound;
use mirror_proto::bittensor::ForwardTextPromptingRequest;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Code;

use raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, field_of,
    frame, head, prefix,
};
use server::{Caller, Server};

/// Number of measurements of the rate, each with and without the attack.
const ROUNDS: usize = 5;

/// Maximum of the memory of the server, in MiB.
const MEMORY: u64 = 64;

/// Time in which an attack must be counted.
const PATIENCE: Duration = Duration::from_mins(1);

/// Attacks a server in rounds. `attack` runs in a thread until it is dropped. It is repeated when it ends.
async fn survives<A>(
    arguments: &[&str],
    bound: Bound,
    attack: impl Fn(SocketAddr) -> A + Copy + Send + 'static,
) where
    A: Future<Output = io::Result<()>>,
{
    let mut server = Server::start(arguments);
    let address = server.address;
    let caller = Caller::new(address);
    caller.call().await;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let alone = caller.answered().await;
        let attacking = Attack::start(address, attack);
        let alongside = caller.answered().await;
        attacking.stop();
        ratios.push(alongside as f64 / alone as f64);
    }
    let attacking = Attack::start(address, attack);
    let counted = async {
        while server.count(bound) == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await;
    attacking.stop();
    counted.unwrap_or_else(|_| panic!("{bound:?} counted nothing"));
    caller.call().await;
    ratios.sort_by(f64::total_cmp);
    let (median, memory) = (ratios[ROUNDS / 2], server.most_memory());
    println!(
        "{bound:?}: {} times, rates {ratios:.2?}, {memory} MiB",
        server.count(bound)
    );
    assert!(median >= 0.5, "honest calls have {median:.2} of their rate");
    assert!(memory <= MEMORY, "the server has used {memory} MiB");
}

/// An attack that runs in a thread.
struct Attack {
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Attack {
    fn start<A>(address: SocketAddr, attack: impl Fn(SocketAddr) -> A + Send + 'static) -> Self
    where
        A: Future<Output = io::Result<()>>,
    {
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let repeated = async {
                    loop {
                        // The server resets what it refuses, which ends the attack of a connection.
                        let _ = attack(address).await;
                        sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    () = repeated => {}
                    _ = ended => {}
                }
            });
        });
        Self { end, thread }
    }

    fn stop(self) {
        // The thread has panicked if it no longer listens, which the join reports.
        let _ = self.end.send(());
        self.thread.join().expect("the attack does not panic");
    }
}

/// Opens `count` connections with `open` and keeps those that the server admits.
async fn hold<O>(count: usize, open: impl Fn() -> O) -> io::Result<()>
where
    O: Future<Output = io::Result<Raw>>,
{
    let mut held = Vec::new();
    for _ in 0..count {
        held.extend(open().await.ok());
    }
    pending().await
}

#[tokio::test]
async fn half_open_connections() {
    let attack = |address| hold(1_000, move || Raw::silent(address));
    survives(&["preface_ms=1000"], Bound::Preface, attack).await;
}

#[tokio::test]
async fn more_connections_than_a_peer_may_have() {
    let attack = |address| hold(1_000, move || Raw::silent(address));
    survives(&[], Bound::PeerConnections, attack).await;
}

#[tokio::test]
async fn silent_connections() {
    let attack = |address| hold(1_000, move || Raw::open(address));
    survives(&["first_request_ms=1000"], Bound::FirstRequest, attack).await;
}

#[tokio::test]
async fn slow_headers() {
    let attack = async |address| {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head());
        let mut connections = Vec::new();
        for _ in 0..50 {
            connections.push(Raw::open(address).await?);
        }
        for byte in head {
            for connection in &mut connections {
                connection.write(&[byte]).await?;
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    survives(&["first_request_ms=1000"], Bound::FirstRequest, attack).await;
}

/// Opens a connection and sends the head of a call on each of `streams`.
async fn calls(address: SocketAddr, streams: impl Iterator<Item = u32>) -> io::Result<Raw> {
    let mut connection = Raw::open(address).await?;
    for stream in streams {
        connection.frame(HEADERS, END_HEADERS, stream, &head()).await?;
    }
    Ok(connection)
}

/// Returns the identifiers of the first `count` streams of a client.
fn streams(count: u32) -> impl Iterator<Item = u32> + Clone {
    (0..count).map(|index| 2 * index + 1)
}

#[tokio::test]
async fn slow_bodies() {
    let attack = async |address| {
        let mut connections = Vec::new();
        for _ in 0..50 {
            let mut connection = calls(address, streams(4)).await?;
            for stream in streams(4) {
                connection.frame(DATA, 0, stream, &prefix(100)).await?;
            }
            connections.push(connection);
        }
        loop {
            sleep(Duration::from_millis(50)).await;
            for connection in &mut connections {
                connection.skip()?;
                connection.frame(DATA, 0, 1, &[7]).await?;
            }
        }
    };
    survives(&["body_ms=1000"], Bound::Body, attack).await;
}

#[tokio::test]
async fn a_message_of_a_gigabyte() {
    let attack = async |address| {
        let mut connection = calls(address, streams(1)).await?;
        connection.frame(DATA, 0, 1, &prefix(1 << 30)).await?;
        connection.drain().await
    };
    survives(&[], Bound::MessageBytes, attack).await;
}

/// Sends 4 MiB on each of `count` streams, as fast as the windows of the server allow.
async fn large_messages(address: SocketAddr, count: u32) -> io::Result<()> {
    let mut connection = calls(address, streams(count)).await?;
    let piece = vec![7; 16 << 10];
    for stream in streams(count) {
        connection.frame(DATA, 0, stream, &prefix((4 << 20) - 5)).await?;
    }
    while connection.has_open_streams() {
        for stream in streams(count) {
            connection.skip()?;
            if connection.grants(stream, piece.len()) {
                connection.frame(DATA, 0, stream, &piece).await?;
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

#[tokio::test]
async fn four_hundred_streams_of_four_mebibytes() {
    survives(&[], Bound::ConnectionBytes, async |address| {
        large_messages(address, 400).await
    })
    .await;
}

#[tokio::test]
async fn messages_in_pieces_of_one_byte() {
    let attack = async |address| {
        let count = 100;
        let mut connection = calls(address, streams(count)).await?;
        for stream in streams(count) {
            connection.frame(DATA, 0, stream, &prefix((4 << 20) - 5)).await?;
        }
        while connection.has_open_streams() {
            for stream in streams(count) {
                connection.skip()?;
                let mut pieces = Vec::new();
                for _ in 0..1_000 {
                    if connection.grants(stream, 1) {
                        pieces.extend(frame(DATA, 0, stream, &[7]));
                    }
                }
                connection.write(&pieces).await?;
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    survives(&[], Bound::Floods, attack).await;
}

#[tokio::test]
async fn large_messages_on_many_connections() {
    let attack = async |address| {
        let attacks: JoinSet<_> = (0..20).map(|_| large_messages(address, 1)).collect();
        attacks.join_all().await;
        Ok(())
    };
    survives(&[], Bound::PeerBytes, attack).await;
}

#[tokio::test]
async fn ten_thousand_streams() {
    let attack = async |address| {
        let mut connection = Raw::open(address).await?;
        for stream in streams(10_000) {
            connection.skip()?;
            connection.frame(HEADERS, END_HEADERS, stream, &head()).await?;
        }
        connection.drain().await
    };
    survives(&[], Bound::Streams, attack).await;
}

#[tokio::test]
async fn rapid_resets() {
    let attack = async |address| {
        let mut connection = Raw::open(address).await?;
        for stream in streams(1_000) {
            connection.skip()?;
            let mut frames = frame(HEADERS, END_HEADERS, stream, &head());
            frames.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
            connection.write(&frames).await?;
        }
        connection.drain().await
    };
    survives(&[], Bound::Floods, attack).await;
}

#[tokio::test]
async fn a_flood_of_continuations() {
    let attack = async |address| {
        let mut connection = Raw::open(address).await?;
        connection.frame(HEADERS, 0, 1, &head()).await?;
        for _ in 0..1_000 {
            connection.skip()?;
            connection.frame(CONTINUATION, 0, 1, &field_of("x", "y")).await?;
        }
        connection.drain().await
    };
    survives(&[], Bound::Floods, attack).await;
}

#[tokio::test]
async fn header_lists_that_are_too_large() {
    let attack = async |address| {
        let mut connection = Raw::open(address).await?;
        let mut block = head();
        for _ in 0..130 {
            block.extend(field_of("x", &"y".repeat(100)));
        }
        for stream in streams(100) {
            connection.skip()?;
            connection.frame(HEADERS, END_HEADERS, stream, &block).await?;
        }
        connection.drain().await
    };
    survives(&[], Bound::HeaderLists, attack).await;
}

#[tokio::test]
async fn compressed_messages() {
    let attack = async |address| {
        let mut connection = calls(address, streams(100)).await?;
        for stream in streams(100) {
            // The beginning of a message that claims to be compressed.
            connection
                .frame(DATA, END_STREAM, stream, &[1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0])
                .await?;
        }
        connection.drain().await
    };
    survives(&[], Bound::Compression, attack).await;
}

#[tokio::test]
async fn a_process_with_a_hundred_descriptors() {
    let attack = |address| hold(200, move || Raw::open(address));
    survives(&["descriptors=100"], Bound::Descriptors, attack).await;
}

/// A client that never grants the server a window cannot have more than its part of the calls.
#[tokio::test]
async fn responses_that_are_never_read() {
    let attack = async |address| {
        let mut connections = Vec::new();
        for _ in 0..5 {
            let mut connection = Raw::open(address).await?;
            // SETTINGS_INITIAL_WINDOW_SIZE (4) of 0.
            connection.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await?;
            for stream in streams(400) {
                connection.frame(HEADERS, END_HEADERS, stream, &head()).await?;
                connection.frame(DATA, END_STREAM, stream, &prefix(0)).await?;
            }
            connections.push(connection);
        }
        pending().await
    };
    survives(&[], Bound::PeerCalls, attack).await;
}

/// Asks for 400 answers of 256 KiB, for each of which the server may send `window` bytes, and reads nothing.
async fn never_read(address: SocketAddr, window: u8) -> io::Result<()> {
    // The first field of the request, with the value 2^18: a request for an answer of 256 KiB.
    let request = [&prefix(4)[..], &[0x08, 0x80, 0x80, 0x10]].concat();
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut connection = Raw::open(address).await?;
        connection.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, window]).await?;
        for stream in streams(80) {
            connection.frame(HEADERS, END_HEADERS, stream, &head()).await?;
            connection.frame(DATA, END_STREAM, stream, &request).await?;
        }
        connections.push(connection);
    }
    pending().await
}

#[tokio::test]
async fn large_answers_that_are_never_read() {
    survives(&[], Bound::PeerAnswers, |address| never_read(address, 0)).await;
}

#[tokio::test]
async fn large_answers_of_which_only_the_first_byte_is_read() {
    survives(&[], Bound::PeerAnswers, |address| never_read(address, 1)).await;
}

/// One address may have half of the 16 MiB, so another attempt would fail too, and the status must not say otherwise.
#[tokio::test]
async fn an_answer_that_no_caller_can_receive_is_out_of_range() {
    let mut server = Server::start(&[]);
    let mut client =
        TextPromptingClient::new(channel::lazy(server.address)).max_decoding_message_size(usize::MAX);
    let mut asked = async |bytes| {
        let request = ForwardTextPromptingRequest {
            version: bytes,
            ..ForwardTextPromptingRequest::default()
        };
        client.forward(request).await
    };
    let refused = asked(8 << 20)
        .await
        .expect_err("it is longer than 8 MiB with its other fields");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(!channel::is_passing(&refused));
    let answered = asked((8 << 20) - 1_000).await.expect("there is room");
    assert_eq!(answered.into_inner().response.len(), (8 << 20) - 1_000);
    assert_eq!(server.count(Bound::PeerAnswers), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_later_call_makes_another() {
    let mut server = Server::start(&["idle_ms=300", "first_request_ms=300"]);
    let caller = Caller::new(server.address);
    caller.call().await;
    let mut idle = calls(server.address, streams(1))
        .await
        .expect("the server listens");
    idle.frame(DATA, END_STREAM, 1, &prefix(0))
        .await
        .expect("the server listens");
    idle.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])
        .await
        .expect("the server listens");
    idle.drain().await.expect_err("the server closes the connection");
    assert!(server.count(Bound::Idle) >= 1);
    assert_eq!(server.count(Bound::FirstRequest), 0);
    caller.call().await;
}
