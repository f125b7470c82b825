//! Tests that rules can be lifted in any order and leave nothing behind.

use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{
    WireBandwidth, WireCut, WireDelay, WireDirection, WireRule, WireSlice, WireSlowClose, WireStall,
};
use mirror_seed::Seed;
use rand::{Rng, RngExt};
use tokio::io::AsyncWriteExt;

use crate::test_env::{ALICE, BOB, TestEnv, is_unimpeded, of, pattern, receive, rule};

/// Number of random sequences, and of sets of rules in each.
const SEQUENCES: u64 = 20;
const SETS: usize = 30;

/// Returns a random rule that loses no bytes.
fn random(random: &mut impl Rng, number: usize) -> WireRule {
    let effect = match random.random_range(0..6) {
        0 => Effect::Cut(WireCut {}),
        1 => Effect::Stall(WireStall {}),
        2 => Effect::Delay(WireDelay {
            seconds: random.random_range(0.0..3_600.0),
        }),
        3 => Effect::Bandwidth(WireBandwidth {
            bytes_per_second: random.random_range(1.0..100_000.0),
        }),
        4 => Effect::Slice(WireSlice {
            bytes: random.random_range(1..100),
            pause_seconds: random.random_range(0.0..3_600.0),
        }),
        _ => Effect::SlowClose(WireSlowClose { seconds: 3_600.0 }),
    };
    let direction = [
        WireDirection::Both,
        WireDirection::Requests,
        WireDirection::Replies,
    ];
    WireRule {
        direction: direction[random.random_range(0..3)].into(),
        ..of(
            if random.random_bool(0.7) { ALICE } else { BOB },
            rule(&format!("rule {number}"), effect),
        )
    }
}

/// Bytes are sent in both directions while random rules come and go. When all are lifted, they arrive in order, and the
/// old connection and a new one are unimpeded.
#[tokio::test]
async fn random_rules_lift_in_any_order() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    for sequence in 0..SEQUENCES {
        let mut draws = Seed::root(sequence).child("rules").generator();
        let (mut caller, mut served) = target.connect(ALICE).await;
        let sent = pattern(SETS * 500);
        let mut rules: Vec<WireRule> = Vec::new();
        for (number, bytes) in sent.chunks(500).enumerate() {
            if rules.len() < 2 || draws.random_bool(0.5) {
                let place = draws.random_range(0..=rules.len());
                rules.insert(place, random(&mut draws, number));
            } else {
                rules.remove(draws.random_range(0..rules.len()));
            }
            env.rules(&rules).await;
            caller.write_all(bytes).await.expect("the connection is open");
            served.write_all(bytes).await.expect("the connection is open");
        }
        while !rules.is_empty() {
            rules.remove(draws.random_range(0..rules.len()));
            env.rules(&rules).await;
        }
        assert!(
            receive(&mut served, sent.len()).await == sent,
            "sequence {sequence}"
        );
        assert!(
            receive(&mut caller, sent.len()).await == sent,
            "sequence {sequence}"
        );
        is_unimpeded(caller, served).await;
        let (caller, served) = target.connect(ALICE).await;
        is_unimpeded(caller, served).await;
    }
    let traffic = env.traffic().await;
    assert!(traffic.rules.is_empty());
}
