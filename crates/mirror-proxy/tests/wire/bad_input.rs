//! Tests of invalid requests: refused as a whole, with a message that names the rule.

use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{
    WireBandwidth, WireCut, WireDelay, WireReset, WireRule, WireSlice, WireSlowClose,
};
use tonic::Code;

use crate::test_env::{ALICE, TestEnv, is_unimpeded, of, rule};

fn cut(id: &str) -> WireRule {
    rule(id, Effect::Cut(WireCut {}))
}

#[tokio::test]
async fn an_invalid_rule_refuses_the_whole_set() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let bandwidth = |bytes_per_second| Effect::Bandwidth(WireBandwidth { bytes_per_second });
    let delay = |seconds| Effect::Delay(WireDelay { seconds });
    let slow_close = |seconds| Effect::SlowClose(WireSlowClose { seconds });
    let slice = |bytes, pause_seconds| Effect::Slice(WireSlice { bytes, pause_seconds });
    let no_effect = WireRule {
        effect: None,
        ..cut("bad")
    };
    let no_direction = WireRule {
        direction: 7,
        ..cut("bad")
    };
    let no_address = WireRule {
        sources: vec![ALICE.to_string(), "127.1.0".to_owned()],
        ..cut("bad")
    };
    let invalid = [
        (no_effect, "it has no effect"),
        (no_direction, "its direction 7 does not exist"),
        (no_address, "its source `127.1.0` is not an IP address"),
        (rule("bad", bandwidth(0.0)), "its bandwidth is 0"),
        (rule("bad", bandwidth(-1.0)), "its bandwidth is -1"),
        (rule("bad", bandwidth(f64::NAN)), "its bandwidth is NaN"),
        (rule("bad", bandwidth(f64::INFINITY)), "its bandwidth is inf"),
        (rule("bad", delay(-0.001)), "its delay is -0.001 seconds"),
        (rule("bad", delay(f64::NAN)), "its delay is NaN seconds"),
        (rule("bad", delay(1e300)), "expected 0 to 3600"),
        (rule("bad", slow_close(-1.0)), "its delay is -1 seconds"),
        (rule("bad", slice(0, 0.0)), "its slices have 0 bytes"),
        (
            rule("bad", slice(1, f64::NEG_INFINITY)),
            "its pause is -inf seconds",
        ),
    ];
    for (bad, problem) in invalid {
        let refused = env.set(&[cut("good"), bad]).await.expect_err(problem);
        assert_eq!(refused.code(), Code::InvalidArgument);
        let message = refused.message();
        assert!(
            message.contains("rule `bad`") && message.contains(problem),
            "{message}"
        );
    }
    let refused = env.set(&[cut("good"), cut("")]).await.expect_err("an empty id");
    assert!(
        refused.message().contains("rule number 2 has 0 bytes"),
        "{refused}"
    );
    let refused = env
        .set(&[cut("same"), cut("same")])
        .await
        .expect_err("an id twice");
    assert_eq!(refused.message(), "the id `same` occurs twice");
    let (caller, served) = target.connect(ALICE).await;
    is_unimpeded(caller, served).await;
    assert!(env.traffic().await.rules.is_empty());
}

#[tokio::test]
async fn ten_thousand_rules_are_the_most() {
    let env = TestEnv::new();
    let target = env.target("uid 3").await;
    let mut rules: Vec<WireRule> = (0..10_000)
        .map(|number| {
            let effect = Effect::Reset(WireReset {
                after_bytes: u64::MAX,
            });
            of(ALICE, rule(&format!("rule {number}"), effect))
        })
        .collect();
    assert_eq!(env.set(&rules).await.expect("10,000 rules"), 1);
    let (caller, served) = target.connect(ALICE).await;
    rules.push(cut("one too many"));
    let refused = env.set(&rules).await.expect_err("10,001 rules");
    assert!(
        refused.message().contains("`one too many` is number 10001"),
        "{refused}"
    );
    is_unimpeded(caller, served).await;
    assert_eq!(env.traffic().await.rules.len(), 10_000);
}

#[tokio::test]
async fn a_rule_may_name_a_target_that_comes_later() {
    let env = TestEnv::new();
    let later = WireRule {
        targets: vec!["uid 9".to_owned()],
        ..rule("later", Effect::Reset(WireReset { after_bytes: 0 }))
    };
    env.rules(&[later]).await;
    let (other, target) = (env.target("uid 3").await, env.target("uid 9").await);
    let (caller, served) = other.connect(ALICE).await;
    is_unimpeded(caller, served).await;
    target.resets(ALICE).await;
}

#[tokio::test]
async fn an_invalid_target_is_refused() {
    let env = TestEnv::new();
    let own = env.target("uid 3").await.for_callers.to_string();
    for (name, address, problem) in [
        ("", "127.0.0.1:1", "has 0 bytes"),
        (&"n".repeat(65), "127.0.0.1:1", "has 65 bytes"),
        ("uid 4", "localhost:1", "is not an IP address with a port"),
        ("uid 4", "127.0.0.1", "is not an IP address with a port"),
        ("uid 4", "127.0.0.1:0", "no connection can be made"),
        ("uid 4", "0.0.0.0:1", "no connection can be made"),
        ("uid 4", &own, "is an address of this proxy"),
    ] {
        let refused = env.serve(name, address).await.expect_err(problem);
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(problem), "{refused}");
    }
}
