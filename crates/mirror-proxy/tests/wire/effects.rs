//! Tests of the effects on bytes that pass, and of targets.

use std::time::{Duration, Instant};

use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{WireBandwidth, WireDelay, WireReset, WireSlice, WireSlowClose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::test_env::{
    ALICE, BOB, TestEnv, is_unimpeded, of, of_replies, of_requests, passes, pattern, receive, receive_all,
    rule,
};

fn delay(seconds: f64) -> Effect {
    Effect::Delay(WireDelay { seconds })
}

fn bandwidth(bytes_per_second: f64) -> Effect {
    Effect::Bandwidth(WireBandwidth { bytes_per_second })
}

#[tokio::test]
async fn without_rules_connections_pass_and_are_counted() {
    let env = TestEnv::new();
    let target = env.target("chain").await;
    for source in [ALICE, BOB, ALICE] {
        let (caller, served) = target.connect(source).await;
        assert_eq!(served.peer_addr().expect("a socket").ip(), source);
        is_unimpeded(caller, served).await;
    }
    let link = env.link(ALICE, "chain").await;
    assert_eq!((link.connections, link.request_bytes), (2, 200_000));
    assert_eq!(link.reply_bytes, 2 * (300_000 + 20));
    assert_eq!(env.link(BOB, "chain").await.connections, 1);
}

#[tokio::test]
async fn many_connections_pass_at_the_same_time() {
    let env = TestEnv::new();
    let target = env.target("chain").await;
    let mut pairs = Vec::new();
    for _ in 0..200 {
        pairs.push(target.connect(ALICE).await);
    }
    assert_eq!(env.traffic().await.open_connections, 200);
    let checks: Vec<_> = pairs
        .into_iter()
        .map(|(caller, served)| tokio::spawn(is_unimpeded(caller, served)))
        .collect();
    for check in checks {
        check.await.expect("the connection is unimpeded");
    }
    while env.traffic().await.open_connections > 0 {}
}

/// Four connections of one link share its limit. The first bytes, which may have been saved, do not count.
#[tokio::test]
async fn the_bandwidth_of_a_link_is_within_five_percent() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    for rate in [400_000.0, 5_000_000.0] {
        env.rules(&[of_requests(rule("limit", bandwidth(rate)))]).await;
        let mut receivers = Vec::new();
        for _ in 0..4 {
            let (mut caller, served) = target.connect(ALICE).await;
            tokio::spawn(async move { while caller.write_all(&[0; 8_192]).await.is_ok() {} });
            receivers.push(served);
        }
        let started = Instant::now();
        let until = started + Duration::from_secs(2);
        let counts = receivers.into_iter().map(|mut served| {
            tokio::spawn(async move {
                let (mut count, mut buffer) = (0, vec![0; 65_536]);
                while let Ok(Ok(bytes @ 1..)) =
                    tokio::time::timeout_at(until.into(), served.read(&mut buffer)).await
                {
                    count += bytes;
                }
                count
            })
        });
        let mut shares = Vec::new();
        for count in counts.collect::<Vec<_>>() {
            shares.push(count.await.expect("a count") as f64);
        }
        let measured = shares.iter().sum::<f64>() / started.elapsed().as_secs_f64();
        println!("{rate} bytes per second: measured {measured:.0}, shares {shares:?}");
        assert!((measured / rate - 1.0).abs() < 0.05, "{measured} of {rate}");
        let fair = rate * 2.0 / 4.0;
        assert!(
            shares
                .iter()
                .all(|share| (fair * 0.7..fair * 1.3).contains(share)),
            "{shares:?}"
        );
        env.rules(&[]).await;
    }
}

#[tokio::test]
async fn a_delay_is_kept_in_each_direction_and_delays_add() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    let rules = [
        of_requests(rule("one", delay(0.030))),
        of_requests(rule("two", delay(0.020))),
    ];
    env.rules(&rules).await;
    let mut late = Vec::new();
    for _ in 0..50 {
        let started = Instant::now();
        passes(&mut caller, &mut served, b"request").await;
        late.push(started.elapsed().as_secs_f64() - 0.050);
        passes(&mut served, &mut caller, b"reply").await;
    }
    late.sort_by(f64::total_cmp);
    println!(
        "measured minus set: median {:.6} s, maximum {:.6} s",
        late[25], late[49]
    );
    assert!(late[0] >= 0.0, "{late:?}");
    assert!(late[25] < 0.005, "{late:?}");
}

/// 10 MB over a link with a delay of 10 ms take less than the 14,000 delays that their segments would take in turn.
#[tokio::test]
async fn a_delay_does_not_limit_the_throughput() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    env.rules(&[rule("late", delay(0.010))]).await;
    let started = Instant::now();
    passes(&mut caller, &mut served, &pattern(10_000_000)).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn slices_are_small_and_apart() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    let slice = WireSlice {
        bytes: 100,
        pause_seconds: 0.005,
    };
    env.rules(&[rule("slice", Effect::Slice(slice))]).await;
    let started = Instant::now();
    let sent = pattern(2_000);
    caller.write_all(&sent).await.expect("the connection is open");
    assert!(receive(&mut served, sent.len()).await == sent);
    // 20 writes with 19 pauses.
    assert!(
        started.elapsed() >= Duration::from_millis(95),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_connection_is_reset_after_its_bytes() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    passes(&mut caller, &mut served, b"does not count").await;
    let reset = |after_bytes| Effect::Reset(WireReset { after_bytes });
    let after = of_requests(of(ALICE, rule("after", reset(1_000))));
    env.rules(std::slice::from_ref(&after)).await;
    passes(&mut served, &mut caller, &pattern(5_000)).await;
    passes(&mut caller, &mut served, &pattern(999)).await;
    // The rule is part of the next set too, so it continues to count.
    env.rules(&[after, of(BOB, rule("now", reset(0)))]).await;
    caller.write_all(b"ab").await.expect("the connection is open");
    assert_eq!(receive_all(&mut served).await, (b"a".to_vec(), true));
    assert!(receive_all(&mut caller).await.1);
    target.resets(BOB).await;
    let rules = env.traffic().await.rules;
    assert_eq!(
        (rules[0].id.as_str(), rules[0].resets, rules[0].bytes),
        ("after", 1, 1_000)
    );
    assert_eq!((rules[1].id.as_str(), rules[1].resets), ("now", 1));
    env.rules(&[rule("all", reset(0))]).await;
    env.rules(&[]).await;
    let (caller, served) = target.connect(BOB).await;
    is_unimpeded(caller, served).await;
}

#[tokio::test]
async fn an_open_connection_is_reset_immediately() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    env.rules(&[of_replies(rule(
        "now",
        Effect::Reset(WireReset { after_bytes: 0 }),
    ))])
    .await;
    assert!(receive_all(&mut caller).await.1);
    assert!(receive_all(&mut served).await.1);
}

#[tokio::test]
async fn a_slow_close_delays_only_the_end_and_until_it_is_lifted() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let slow = |seconds| rule("slow", Effect::SlowClose(WireSlowClose { seconds }));
    env.rules(&[slow(0.1)]).await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    let started = Instant::now();
    caller.write_all(b"last").await.expect("the connection is open");
    caller.shutdown().await.expect("the connection is open");
    assert_eq!(receive(&mut served, 4).await, b"last");
    assert_eq!(receive_all(&mut served).await, (Vec::new(), false));
    assert!(started.elapsed() >= Duration::from_millis(100));
    env.rules(&[slow(3_600.0)]).await;
    let (caller, mut served) = target.connect(ALICE).await;
    drop(caller);
    env.rules(&[]).await;
    assert_eq!(receive_all(&mut served).await, (Vec::new(), false));
}

#[tokio::test]
async fn a_reset_of_one_end_is_a_reset_of_the_other() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let break_off = |end: TcpStream| end.set_zero_linger().expect("a socket");
    let (caller, mut served) = target.connect(ALICE).await;
    break_off(caller);
    assert!(receive_all(&mut served).await.1);
    let (mut caller, served) = target.connect(ALICE).await;
    break_off(served);
    assert!(receive_all(&mut caller).await.1);
}

#[tokio::test]
async fn a_target_that_moves_keeps_its_address_for_callers() {
    let env = TestEnv::new();
    let mut target = env.target("uid 3").await;
    let (mut caller, mut served) = target.connect(ALICE).await;
    passes(&mut caller, &mut served, b"before").await;
    target.listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = target.listener.local_addr().expect("it listens").to_string();
    let for_callers = env.serve(&target.name, &address).await.expect("a valid target");
    assert_eq!(for_callers, target.for_callers);
    let (moved, moved_served) = target.connect(ALICE).await;
    is_unimpeded(moved, moved_served).await;
    is_unimpeded(caller, served).await;
}

#[tokio::test]
async fn a_target_that_refuses_connections_resets_its_callers() {
    let env = TestEnv::new();
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = closed.local_addr().expect("it listens").to_string();
    drop(closed);
    let target = env.target("uid 3").await;
    env.serve("uid 3", &address).await.expect("a valid target");
    target.resets(ALICE).await;
}
