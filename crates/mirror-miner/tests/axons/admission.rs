//! Calls that an axon refuses or lets wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mirror_identity::{Owner, SecretKey};
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, ForwardTextPromptingRequest, ForwardTextPromptingResponse, ReturnCode,
};
use mirror_seed::Seed;
use mirror_spec::{AxonSettings, BehaviourSpec, Blacklist, HonestArgs, HotkeyText, Latency, SlowArgs};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tonic::{Request, Status};

use crate::test_env::*;

/// The validator of the test's chain, with a stake of 500 TAO.
const NEURON: Owner = Owner::Validator(0);

/// A key that is not registered.
const STRANGER: Owner = Owner::Validator(9);

fn hotkey(owner: Owner) -> mirror_identity::Hotkey {
    SecretKey::hotkey(&Seed::root(SEED), owner).public()
}

/// Returns the behaviours of an axon that answers after this time.
fn slow(seconds: f64) -> Vec<BehaviourSpec> {
    let honest = HonestArgs {
        fail_rate: 0.0,
        fitness: 1.0,
    };
    vec![
        BehaviourSpec::Slow(SlowArgs {
            latency: Latency::fixed(seconds),
        }),
        BehaviourSpec::Honest(honest),
    ]
}

/// Calls the first axon of a miner with the hotkey of `owner`.
async fn ask(miner: &Miner, owner: Owner, timeout: f32) -> Result<ForwardTextPromptingResponse, Status> {
    send(miner.client_of(owner), owner, timeout).await
}

/// Makes a call of `owner` with its client.
async fn send(
    mut client: AxonClient,
    owner: Owner,
    timeout: f32,
) -> Result<ForwardTextPromptingResponse, Status> {
    let request = ForwardTextPromptingRequest {
        hotkey: hotkey(owner).to_string(),
        timeout,
        ..body(&question(0))
    };
    Ok(client.forward(Request::new(request)).await?.into_inner())
}

/// Asserts that a call was refused with the return code Blacklisted and a reason that contains `reason`.
#[track_caller]
fn assert_blacklisted(reply: &Result<ForwardTextPromptingResponse, Status>, reason: &str) {
    let reply = reply
        .as_ref()
        .expect("the gRPC status is OK, as with the real axon");
    assert_eq!(reply.return_code(), ReturnCode::Blacklisted, "{reply:?}");
    assert!(
        reply.response.is_empty() && reply.return_message.contains(reason),
        "{reply:?}"
    );
}

fn settings(blacklist: Blacklist) -> AxonSettings {
    AxonSettings {
        blacklist,
        ..AxonSettings::default()
    }
}

#[tokio::test]
async fn a_blacklisted_hotkey_gets_the_reason_for_forward_and_backward() {
    let blacklist = Blacklist {
        hotkeys: vec![HotkeyText(hotkey(STRANGER))],
        ..Blacklist::default()
    };
    let miner = Miner::with(settings(blacklist), &[(0, slow(0.0))]).await;
    assert_blacklisted(&ask(&miner, STRANGER, 30.0).await, "the hotkey is blacklisted");
    let rewarded = BackwardTextPromptingRequest {
        version: 500,
        hotkey: hotkey(STRANGER).to_string(),
        messages: messages("Ask something."),
        rewards: vec![1.0],
        ..BackwardTextPromptingRequest::default()
    };
    let reply = miner.client_of(STRANGER).backward(Request::new(rewarded)).await;
    let reply = reply.expect("the gRPC status is OK").into_inner();
    assert_eq!(reply.return_code(), ReturnCode::Blacklisted);
    said(&ask(&miner, NEURON, 30.0).await.expect("the other key may call"));
}

#[tokio::test]
async fn a_caller_with_too_little_stake_is_refused() {
    for (min_stake, is_answered) in [(499.0, true), (500.0, true), (501.0, false)] {
        let blacklist = Blacklist {
            min_stake,
            ..Blacklist::default()
        };
        let miner = Miner::with(settings(blacklist), &[(0, slow(0.0))]).await;
        let reply = ask(&miner, NEURON, 30.0).await;
        if is_answered {
            said(&reply.expect("the stake is sufficient"));
        } else {
            assert_blacklisted(&reply, "a stake of 500 TAO");
        }
        assert_blacklisted(&ask(&miner, STRANGER, 30.0).await, "a stake of 0 TAO");
    }
}

#[tokio::test]
async fn a_key_that_calls_too_often_is_refused_and_others_are_not() {
    let limit = 5;
    let blacklist = Blacklist {
        calls_per_second: Some(limit),
        ..Blacklist::default()
    };
    let miner = Miner::with(settings(blacklist), &[(0, slow(0.0))]).await;
    let started = Instant::now();
    let mut answered: u32 = 0;
    for _ in 0..50 {
        let reply = ask(&miner, STRANGER, 30.0).await;
        if reply
            .as_ref()
            .is_ok_and(|reply| reply.return_code() == ReturnCode::Success)
        {
            answered += 1;
        } else {
            assert_blacklisted(&reply, "more than 5 calls in a second");
        }
    }
    let most = f64::from(limit) * (1.0 + started.elapsed().as_secs_f64());
    assert!(
        answered >= limit && f64::from(answered) <= most,
        "{answered} were answered, at most {most}"
    );
    said(
        &ask(&miner, NEURON, 30.0)
            .await
            .expect("the other key has not called"),
    );
}

#[tokio::test]
async fn a_call_that_waits_for_a_worker_until_its_timeout_gets_the_code_timeout() {
    let settings = AxonSettings {
        workers: 1,
        ..AxonSettings::default()
    };
    let miner = Miner::with(settings, &[(0, slow(2.0))]).await;
    let waited = async {
        // The first call has the worker long before, so this one waits for it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        ask(&miner, STRANGER, 0.3).await
    };
    let (answered, waited) = tokio::join!(ask(&miner, NEURON, 30.0), waited);
    said(&answered.expect("it has the worker"));
    let waited = waited.expect("the gRPC status is OK");
    assert_eq!(waited.return_code(), ReturnCode::Timeout, "{waited:?}");
}

#[tokio::test]
async fn a_full_queue_refuses_the_caller_with_the_least_stake_with_the_code_backoff() {
    let settings = AxonSettings {
        workers: 1,
        queue: 1,
        ..AxonSettings::default()
    };
    let miner = Miner::with(settings, &[(0, slow(3.0))]).await;
    let mut calls = JoinSet::new();
    for owner in [STRANGER, Owner::Validator(10), Owner::Validator(11), NEURON] {
        let sent = send(miner.client_of(owner), owner, 30.0);
        calls.spawn(async move { (owner, sent.await.expect("the gRPC status is OK")) });
    }
    let mut codes = Vec::new();
    while let Some(ended) = calls.join_next().await {
        let (owner, reply) = ended.expect("no call panics");
        codes.push((owner, reply.return_code()));
    }
    // One call has the worker and one the place in the queue. Whichever arrives first, the neuron has one of them.
    let count = |code| codes.iter().filter(|(_, of)| *of == code).count();
    assert!(codes.contains(&(NEURON, ReturnCode::Success)), "{codes:?}");
    assert_eq!(
        (count(ReturnCode::Success), count(ReturnCode::Backoff)),
        (2, 2),
        "{codes:?}"
    );
}

#[tokio::test]
async fn refused_calls_are_logged_with_their_cause_and_number_but_not_each() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log");
    let log = Arc::new(std::fs::File::create(&path)?);
    let subscriber = tracing_subscriber::fmt().with_writer(log).with_ansi(false);
    // The axon runs in the thread of the test.
    let _logged = tracing::subscriber::set_default(subscriber.finish());
    let rules = Blacklist {
        hotkeys: vec![HotkeyText(hotkey(STRANGER))],
        ..Blacklist::default()
    };
    let miner = Miner::with(settings(rules), &[(0, slow(0.0))]).await;
    let client = miner.client_of(STRANGER);
    let started = Instant::now();
    for _ in 0..20 {
        assert_blacklisted(
            &send(client.clone(), STRANGER, 30.0).await,
            "the hotkey is blacklisted",
        );
    }
    let longest = started.elapsed().as_secs() as usize + 1;
    let in_another_name = send(client, NEURON, 30.0).await;
    in_another_name.expect_err("the hotkey in the body is not the one that signed");
    let log = std::fs::read_to_string(path)?;
    let lines = |cause: &str| -> Vec<&str> { log.lines().filter(|line| line.contains(cause)).collect() };
    let of_blacklist = lines("cause=Blacklist");
    assert!((1..=longest).contains(&of_blacklist.len()), "{log}");
    let caller = format!("uid=0 cause=Blacklist times=1 caller={}", hotkey(STRANGER));
    assert!(of_blacklist[0].contains(&caller), "{log}");
    let of_signature = lines("cause=Signature times=1");
    assert!(
        matches!(of_signature[..], [line] if line.contains("is not the one that signed it")),
        "{log}"
    );
    Ok(())
}

/// Number of calls a second that the axon of the flood can answer: two workers with 40 ms for each call.
const CAPACITY: u32 = 50;

/// Returns the number of answers that a neuron gets within `time`, one call after the other.
async fn answers(client: &AxonClient, time: Duration) -> u32 {
    let started = Instant::now();
    let mut answers = 0;
    while started.elapsed() < time {
        said(
            &send(client.clone(), NEURON, 30.0)
                .await
                .expect("a call of a neuron is answered"),
        );
        answers += 1;
    }
    answers
}

#[tokio::test]
async fn a_flood_from_one_key_leaves_a_neuron_half_its_rate() {
    let settings = AxonSettings {
        workers: 2,
        queue: 50,
        ..AxonSettings::default()
    };
    let miner = Miner::with(settings, &[(0, slow(0.04))]).await;
    let (neuron, stranger) = (miner.client_of(NEURON), miner.client_of(STRANGER));
    let time = Duration::from_secs(1);
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let alone = answers(&neuron, time).await;
        let flooded = async {
            let mut flood = JoinSet::new();
            let mut clock = tokio::time::interval(Duration::from_secs(1) / (20 * CAPACITY));
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for _ in 0..20 * CAPACITY {
                clock.tick().await;
                flood.spawn(send(stranger.clone(), STRANGER, 0.5));
            }
            let mut refused = 0;
            while let Some(ended) = flood.join_next().await {
                let reply = ended.expect("no call panics").expect("the gRPC status is OK");
                refused += u32::from(reply.return_code() == ReturnCode::Backoff);
            }
            refused
        };
        let (alongside, refused) = tokio::join!(answers(&neuron, time), flooded);
        assert!(
            refused >= 10 * CAPACITY,
            "{refused} calls of the flood were refused"
        );
        ratios.push(f64::from(alongside) / f64::from(alone));
    }
    ratios.sort_by(f64::total_cmp);
    assert!(
        ratios[1] >= 0.5,
        "the neuron keeps these shares of its rate: {ratios:?}"
    );
}
