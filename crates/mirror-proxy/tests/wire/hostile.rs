//! Tests of callers that exhaust the proxy's resources.

use std::net::IpAddr;

use mirror_proto::mirror::v1::WireDelay;
use mirror_proto::mirror::v1::wire_rule::Effect;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;

use crate::test_env::{ALICE, BOB, TestEnv, is_unimpeded, of, pattern, receive, receive_all, rule};

/// Maximum number of open connections of the proxy.
const MOST: usize = 4_096;

/// 5,000 callers connect and send nothing. The proxy keeps 4,096 connections and resets the others. It serves
/// new callers when the old ones have closed their connections.
#[tokio::test]
async fn five_thousand_connections() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the limit may be raised to its maximum");
    if limit.maximum.is_some_and(|files| files < 12_000) {
        eprintln!("skipped: this machine allows only {:?} open files", limit.maximum);
        return;
    }
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let mut kept = Vec::new();
    for _ in 0..MOST {
        kept.push(target.connect(ALICE).await);
    }
    for _ in MOST..5_000 {
        target.resets(BOB).await;
    }
    let traffic = env.traffic().await;
    assert_eq!(traffic.open_connections, MOST as u64);
    assert_eq!(traffic.refused_connections, 5_000 - MOST as u64);
    let (caller, served) = kept.pop().expect("a connection");
    is_unimpeded(caller, served).await;
    drop(kept);
    while env.traffic().await.open_connections > 0 {}
    let (caller, served) = target.connect(ALICE).await;
    is_unimpeded(caller, served).await;
}

/// A caller sends into a long delay. The proxy stops reading at its limit, so the sender waits, and other callers are
/// served.
#[tokio::test]
async fn a_flood_is_held_back() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (caller, mut served) = target.connect(ALICE).await;
    let late = Effect::Delay(WireDelay { seconds: 3_600.0 });
    env.rules(&[of(ALICE, rule("late", late))]).await;
    let block = pattern(65_536);
    let (mut sent, mut blocked) = (0, 0);
    // The proxy reads between its replies, so a sender that is blocked during many replies remains so.
    while sent < 200_000_000 && blocked < 200 {
        match caller.try_write(&block) {
            Ok(bytes) => (sent, blocked) = (sent + bytes, 0),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                blocked += 1;
                env.traffic().await;
            }
        }
    }
    // The sockets hold a few megabytes, and the proxy one.
    assert!(sent < 50_000_000, "{sent} bytes were accepted");
    let (bob, bob_served) = target.connect(BOB).await;
    is_unimpeded(bob, bob_served).await;
    env.rules(&[]).await;
    receive(&mut served, sent).await;
    is_unimpeded(caller, served).await;
}

#[tokio::test]
async fn half_closed_connections_stay_open() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let mut halves = Vec::new();
    for number in 0..100_u8 {
        let source = IpAddr::from([127, 1, 1, number]);
        let (mut caller, mut served) = target.connect(source).await;
        caller.shutdown().await.expect("the connection is open");
        assert_eq!(receive_all(&mut served).await, (Vec::new(), false));
        halves.push((caller, served));
    }
    for (number, (caller, served)) in halves.iter_mut().enumerate() {
        let reply = format!("reply {number}");
        served
            .write_all(reply.as_bytes())
            .await
            .expect("the connection is open");
        served.shutdown().await.expect("the connection is open");
        assert_eq!(receive_all(caller).await, (reply.into_bytes(), false));
    }
    while env.traffic().await.open_connections > 0 {}
}
