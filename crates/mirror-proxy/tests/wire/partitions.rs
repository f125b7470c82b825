//! Tests of the effects that stop a stream: `cut`, `stall` and `silence`.

use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{WireCut, WireSilence, WireStall};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::test_env::{
    ALICE, BOB, Target, TestEnv, arrived, is_unimpeded, of, of_replies, of_requests, passes, pattern,
    receive, receive_all, rule,
};

/// Passes bytes over another link in both directions many times. What the proxy may pass on over the first link in the
/// meantime has then arrived.
async fn a_while(target: &Target) {
    let (mut caller, mut served) = target.connect(BOB).await;
    for _ in 0..200 {
        passes(&mut caller, &mut served, b"request").await;
        passes(&mut served, &mut caller, b"reply").await;
    }
}

async fn send(from: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).await.expect("the connection is open");
}

#[tokio::test]
async fn a_cut_in_both_directions_lets_no_byte_through_and_heals() {
    let env = TestEnv::new();
    let (target, other) = (env.target("uid 3").await, env.target("uid 4").await);
    let (mut caller, mut served) = target.connect(ALICE).await;
    passes(&mut caller, &mut served, b"before").await;
    env.rules(&[of(ALICE, rule("cut", Effect::Cut(WireCut {})))])
        .await;
    let sent = pattern(50_000);
    send(&mut caller, &sent).await;
    send(&mut served, &sent).await;
    a_while(&other).await;
    assert_eq!((arrived(&served), arrived(&caller)), (0, 0));
    let link = env.link(ALICE, "uid 3").await;
    assert_eq!((link.request_bytes, link.reply_bytes), (6, 0));
    env.rules(&[]).await;
    assert!(receive(&mut served, sent.len()).await == sent);
    assert!(receive(&mut caller, sent.len()).await == sent);
    is_unimpeded(caller, served).await;
}

#[tokio::test]
async fn a_cut_in_one_direction_leaves_the_other_open() {
    let env = TestEnv::new();
    let (target, other) = (env.target("uid 3").await, env.target("uid 4").await);
    let sent = pattern(50_000);
    for of_direction in [of_requests, of_replies] {
        let (mut caller, mut served) = target.connect(ALICE).await;
        let cut = of_direction(of(ALICE, rule("cut", Effect::Cut(WireCut {}))));
        let is_of_requests = cut == of_requests(cut.clone());
        env.rules(&[cut]).await;
        let (cut_from, cut_to) = if is_of_requests {
            (&mut caller, &mut served)
        } else {
            (&mut served, &mut caller)
        };
        send(cut_from, &sent).await;
        passes(cut_to, cut_from, &sent).await;
        a_while(&other).await;
        assert_eq!(arrived(cut_to), 0);
        env.rules(&[]).await;
        assert!(receive(cut_to, sent.len()).await == sent);
        is_unimpeded(caller, served).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_made_during_a_cut_reaches_the_target_afterwards() {
    let env = TestEnv::new();
    let (target, other) = (env.target("uid 3").await, env.target("uid 4").await);
    env.rules(&[of(ALICE, rule("cut", Effect::Cut(WireCut {})))])
        .await;
    let mut caller = target.call(ALICE).await;
    send(&mut caller, b"held").await;
    a_while(&other).await;
    // The first connection that the target sees is the one of a caller that is not cut off.
    let (bob, served) = target.connect(BOB).await;
    assert_eq!(served.peer_addr().expect("a socket").ip(), BOB);
    is_unimpeded(bob, served).await;
    env.rules(&[]).await;
    let mut served = target.accept().await;
    assert_eq!(served.peer_addr().expect("a socket").ip(), ALICE);
    assert_eq!(receive(&mut served, 4).await, b"held");
    is_unimpeded(caller, served).await;
}

/// More bytes than the sockets and the proxy hold: the sender waits, and none is lost.
#[tokio::test]
async fn a_cut_holds_back_the_sender() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    let sent = pattern(20_000_000);
    let sending = async {
        send(&mut caller, &sent).await;
        caller.shutdown().await.expect("the connection is open");
    };
    let receiving = async {
        let start = receive(&mut served, 1_000_000).await;
        for _ in 0..5 {
            env.rules(&[rule("cut", Effect::Cut(WireCut {}))]).await;
            env.rules(&[]).await;
        }
        let (rest, is_reset) = receive_all(&mut served).await;
        assert!(!is_reset && [start, rest].concat() == sent);
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_stall_freezes_only_the_connections_that_are_open() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut old, mut old_served) = target.connect(ALICE).await;
    let stall = rule("stall", Effect::Stall(WireStall {}));
    env.rules(std::slice::from_ref(&stall)).await;
    send(&mut old, b"frozen").await;
    a_while(&target).await;
    assert_eq!(arrived(&old_served), 0);
    let (new, new_served) = target.connect(ALICE).await;
    is_unimpeded(new, new_served).await;
    // The rule stays the same when another one is added, so a connection made since then is not frozen.
    let (new, new_served) = target.connect(ALICE).await;
    let other = of(BOB, rule("other", Effect::Cut(WireCut {})));
    env.rules(&[other, stall]).await;
    is_unimpeded(new, new_served).await;
    env.rules(&[]).await;
    assert_eq!(receive(&mut old_served, 6).await, b"frozen");
    is_unimpeded(old, old_served).await;
}

#[tokio::test]
async fn a_silence_discards_and_resets_what_lost_bytes_when_it_is_lifted() {
    let env = TestEnv::new();
    let (target, other) = (env.target("uid 3").await, env.target("uid 4").await);
    let (mut caller, mut served) = target.connect(ALICE).await;
    let (idle, idle_served) = target.connect(ALICE).await;
    let silence = of_requests(of(ALICE, rule("silence", Effect::Silence(WireSilence {}))));
    env.rules(&[silence]).await;
    // The caller is not held back.
    send(&mut caller, &pattern(20_000_000)).await;
    passes(&mut served, &mut caller, b"the other direction is open").await;
    let mut unheard = target.call(ALICE).await;
    send(&mut unheard, b"never heard").await;
    a_while(&other).await;
    assert_eq!(arrived(&served), 0);
    env.rules(&[]).await;
    for end in [&mut caller, &mut served, &mut unheard] {
        assert!(receive_all(end).await.1, "a connection that lost bytes is reset");
    }
    is_unimpeded(idle, idle_served).await;
}

/// A caller that vanishes in a silence is not noticed by the target, which is what a half-open connection is.
#[tokio::test]
async fn the_end_of_a_connection_is_silenced_too() {
    let env = TestEnv::new();
    let (target, other) = (env.target("uid 3").await, env.target("uid 4").await);
    let (caller, mut served) = target.connect(ALICE).await;
    env.rules(&[of(ALICE, rule("silence", Effect::Silence(WireSilence {})))])
        .await;
    drop(caller);
    a_while(&other).await;
    assert_eq!(arrived(&served), 0);
    send(&mut served, b"into the void").await;
    a_while(&other).await;
    assert_eq!(arrived(&served), 0);
    env.rules(&[]).await;
    assert!(receive_all(&mut served).await.1);
}
