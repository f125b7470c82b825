//! The honest behaviour, and the requests that every axon accepts or rejects.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use mirror_identity::Owner;
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, ForwardTextPromptingRequest, MultiForwardTextPromptingRequest, ReturnCode,
};
use mirror_spec::{BehaviourSpec, HonestArgs};
use tonic::{Code, Request};

use crate::test_env::{
    ASK, Miner, Process, ROWS, body, call, caller, chain, data, forward, messages, question, request, rows,
    said,
};

// --- answers of an honest miner ---

#[tokio::test]
async fn it_replies_with_a_question_of_the_data_set_when_asked_for_one() {
    let miner = Miner::one(0.0, 0.0).await;
    let known: BTreeSet<String> = rows().into_iter().map(|row| row.question).collect();
    let mut given = BTreeSet::new();
    for step in 0..200 {
        given.insert(said(&miner.ask(ASK, step).await).to_owned());
    }
    assert!(given.is_subset(&known));
    assert!(given.len() > ROWS / 2, "only {} of {ROWS} questions", given.len());
}

#[tokio::test]
async fn with_fitness_one_it_gives_each_of_the_accepted_answers() {
    let miner = Miner::one(0.0, 1.0).await;
    let accepted: BTreeSet<String> = rows()[4].answers.iter().cloned().collect();
    let mut given = BTreeSet::new();
    for step in 0..50 {
        given.insert(said(&miner.ask(&question(4), step).await).to_owned());
    }
    assert_eq!(given, accepted);
}

/// A wrong answer is drawn from all answers, so one in `ROWS` is right by chance.
#[tokio::test]
async fn with_fitness_zero_it_gives_any_answer() {
    let miner = Miner::one(0.0, 0.0).await;
    let all: BTreeSet<String> = rows().into_iter().flat_map(|row| row.answers).collect();
    let mut right = 0;
    for step in 0..500 {
        let reply = miner.ask(&question(4), step).await;
        assert!(all.contains(said(&reply)));
        right += usize::from(rows()[4].answers.iter().any(|answer| answer == said(&reply)));
    }
    // 10 expected, the chance of 27 or more is below 10⁻⁵
    assert!(right < 27, "{right} of 500 right");
}

#[tokio::test]
async fn a_question_outside_the_data_set_gets_any_answer() {
    let miner = Miner::one(0.0, 1.0).await;
    let reply = miner.ask("What does nobody know?", 0).await;
    assert!(
        rows()
            .iter()
            .any(|row| row.answers.iter().any(|answer| answer == said(&reply)))
    );
}

/// "N4" has two characters, and a completion counts from eleven.
#[tokio::test]
async fn short_answers_are_padded_until_they_count() {
    let miner = Miner::one(0.0, 1.0).await;
    let mut short = 0;
    for step in 0..50 {
        let reply = miner.ask(&question(4), step).await;
        if said(&reply) == "N4" {
            assert_eq!(reply.response, "N4         ");
            short += 1;
        }
    }
    assert!(short > 0);
}

#[tokio::test]
async fn with_fail_rate_one_it_answers_nothing() {
    let miner = Miner::one(1.0, 1.0).await;
    for step in 0..20 {
        let reply = miner.ask(&question(4), step).await;
        assert_eq!(reply.response, "");
        assert_eq!(reply.return_code, ReturnCode::EmptyResponse as i32);
    }
}

#[tokio::test]
async fn without_a_users_message_there_is_nothing_to_answer() {
    let miner = Miner::one(0.0, 1.0).await;
    for messages in [Vec::new(), messages("")[..1].to_vec()] {
        let body = ForwardTextPromptingRequest { messages, ..body("") };
        let reply = miner.client().forward(request(body, call(0, 0))).await;
        assert_eq!(reply.expect("the axon answers").into_inner().response, "");
    }
}

#[tokio::test]
async fn over_ten_thousand_calls_the_rates_are_as_configured() {
    const CALLS: u64 = 10_000;
    let miner = Miner::one(0.3, 0.6).await;
    let accepted = &rows()[4].answers;
    let replies = stream::iter(0..CALLS).map(|step| {
        let client = miner.client();
        async move { forward(client, &question(4), call(0, step)).await }
    });
    let replies: Vec<_> = replies.buffer_unordered(64).collect().await;
    let answered: Vec<_> = replies
        .iter()
        .filter(|reply| !reply.response.is_empty())
        .collect();
    let right = answered
        .iter()
        .filter(|reply| accepted.iter().any(|answer| answer == said(reply)));
    let right = right.count() as f64;
    within(answered.len() as f64, CALLS as f64, 0.7);
    // correct by fitness, or by chance with one row in ROWS
    within(right, answered.len() as f64, 0.6 + 0.4 / ROWS as f64);
}

/// Asserts that a count is within four standard deviations of a binomial's mean. One in 16,000 is not.
#[track_caller]
fn within(count: f64, of: f64, chance: f64) {
    let deviation = (of * chance * (1.0 - chance)).sqrt();
    assert!(
        (count - of * chance).abs() < 4.0 * deviation,
        "{count} of {of} at {chance}"
    );
}

// --- identity ---

#[tokio::test]
async fn axons_of_one_process_draw_different_answers() {
    let honest = |fail_rate, fitness| HonestArgs { fail_rate, fitness };
    let miner = Miner::start(&[
        (5, honest(0.0, 0.0)),
        (6, honest(0.0, 0.0)),
        (7, honest(1.0, 0.0)),
    ])
    .await;
    let mut answers = vec![Vec::new(); 3];
    for step in 0..20 {
        for (uid, (client, answers)) in (5..).zip(miner.clients().into_iter().zip(&mut answers)) {
            answers.push(forward(client, ASK, call(uid, step)).await.response);
        }
    }
    assert_ne!(answers[0], answers[1]);
    assert!(answers[2].iter().all(String::is_empty));
}

/// The answer does not depend on the number of calls: another process with the calls in another order gives the same
/// answers.
#[tokio::test]
async fn a_call_has_the_same_answer_in_every_process_and_order() {
    let (_folder, dataset) = data();
    let (subtensor, _submitted) = chain().await;
    let half = BehaviourSpec::Honest(HonestArgs {
        fail_rate: 0.5,
        fitness: 0.5,
    });
    let (one, other) = (
        Process::start(vec![half.clone()], &dataset, subtensor).await,
        Process::start(vec![half], &dataset, subtensor).await,
    );
    let mut first = Vec::new();
    for step in 0..100 {
        first.push(forward(one.client(), &question(4), call(0, step)).await);
    }
    let mut second = Vec::new();
    for step in (0..100).rev() {
        second.push(forward(other.client(), &question(4), call(0, step)).await);
    }
    second.reverse();
    assert_eq!(first, second);
    assert!(first.iter().any(|reply| reply.response.is_empty()));
    assert!(
        first
            .iter()
            .collect::<Vec<_>>()
            .windows(2)
            .any(|two| two[0] != two[1])
    );
}

/// A call without an identity is identified by its messages: the same question gets the same answer.
#[tokio::test]
async fn calls_without_identity_are_answered() {
    let miner = Miner::one(0.0, 0.0).await;
    let mut answers = BTreeSet::new();
    for index in [3, 3, 3, 4, 5, 6, 7, 8] {
        let reply = miner.client().forward(Request::new(body(&question(index)))).await;
        let reply = reply.expect("the axon answers").into_inner();
        answers.insert((index, said(&reply).to_owned()));
    }
    assert_eq!(answers.len(), 6, "{answers:?}");
    let texts: BTreeSet<&String> = answers.iter().map(|(_, answer)| answer).collect();
    assert!(texts.len() > 1);
}

/// The hotkey in the body of a call must be the one that signed the call, so a neuron cannot call in the name of
/// another.
#[tokio::test]
async fn a_call_in_the_name_of_another_is_refused() {
    let miner = Miner::one(0.0, 1.0).await;
    let stranger = || miner.client_of(Owner::Validator(9));
    for hotkey in [caller().to_string(), String::new(), "x".to_owned()] {
        let forward = ForwardTextPromptingRequest {
            hotkey: hotkey.clone(),
            ..body(&question(4))
        };
        let backward = BackwardTextPromptingRequest {
            hotkey,
            rewards: vec![1.0],
            ..Default::default()
        };
        let refused = [
            stranger().forward(request(forward, call(0, 0))).await.map(drop),
            stranger().backward(request(backward, call(0, 0))).await.map(drop),
        ];
        for refused in refused {
            let status = refused.expect_err("the hotkey is not the caller's");
            assert_eq!(status.code(), Code::Unauthenticated);
        }
    }
}

#[tokio::test]
async fn invalid_call_numbers_are_rejected() {
    let miner = Miner::one(0.0, 0.0).await;
    let mut asking = Request::new(body(ASK));
    asking
        .metadata_mut()
        .insert("mirror-call", "one.two".parse().expect("text"));
    let status = miner
        .client()
        .forward(asking)
        .await
        .expect_err("not call numbers");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("one.two"), "{status}");
}

// --- accepted and rejected requests ---

/// v4's axon does not catch the exception of its JSON parser, which gRPC reports as UNKNOWN.
#[tokio::test]
async fn malformed_messages_fail_with_unknown() {
    let miner = Miner::one(0.0, 0.0).await;
    for wrong in [
        "",
        "hello",
        "{",
        "[]",
        r#"{"role": "user"}"#,
        r#"{"role": 1, "content": "x"}"#,
    ] {
        let mut body = body(ASK);
        body.messages.push(wrong.to_owned());
        let status = miner
            .client()
            .forward(request(body, call(0, 0)))
            .await
            .expect_err(wrong);
        assert_eq!(status.code(), Code::Unknown, "{wrong}");
        assert!(status.message().contains("message 2"), "{status}");
    }
    let nested = "[".repeat(1 << 20);
    let body = ForwardTextPromptingRequest {
        messages: vec![nested],
        ..body(ASK)
    };
    let status = miner
        .client()
        .forward(request(body, call(0, 0)))
        .await
        .expect_err("too deep");
    assert_eq!(status.code(), Code::Unknown);
    said(&miner.ask(ASK, 0).await);
}

#[tokio::test]
async fn a_conversation_has_at_most_1024_messages() {
    let miner = Miner::one(0.0, 0.0).await;
    for (count, taken) in [(1_024, true), (1_025, false)] {
        let body = ForwardTextPromptingRequest {
            messages: vec![messages(ASK)[1].clone(); count],
            ..body(ASK)
        };
        let answered = miner.client().forward(request(body, call(0, 0))).await;
        match answered {
            Ok(reply) => assert!(taken && !reply.into_inner().response.is_empty()),
            Err(status) => assert!(!taken && status.code() == Code::InvalidArgument, "{status}"),
        }
    }
}

#[tokio::test]
async fn a_request_above_4_mebibytes_is_refused_and_the_next_is_answered() {
    let miner = Miner::one(0.0, 0.0).await;
    let large = body(&"x".repeat(4 << 20));
    assert!(miner.client().forward(request(large, call(0, 0))).await.is_err());
    said(&miner.ask(ASK, 0).await);
}

#[tokio::test]
async fn an_invalid_timeout_does_no_harm() {
    let miner = Miner::one(0.0, 0.0).await;
    for timeout in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MAX] {
        let body = ForwardTextPromptingRequest { timeout, ..body(ASK) };
        let reply = miner.client().forward(request(body, call(0, 0))).await;
        said(&reply.expect("the axon answers").into_inner());
    }
}

// --- the other methods ---

#[tokio::test]
async fn multi_forward_gives_the_completion_of_forward_in_a_list() {
    let miner = Miner::one(0.0, 0.5).await;
    for step in 0..10 {
        let ForwardTextPromptingRequest {
            version,
            hotkey,
            messages,
            timeout,
        } = body(&question(4));
        let body = MultiForwardTextPromptingRequest {
            version,
            hotkey,
            messages,
            timeout,
        };
        let reply = miner.client().multi_forward(request(body, call(0, step))).await;
        let reply = reply.expect("the axon answers").into_inner();
        assert_eq!(reply.return_code, ReturnCode::Success as i32);
        assert_eq!(
            reply.multi_completions,
            [miner.ask(&question(4), step).await.response]
        );
    }
}

#[tokio::test]
async fn a_reward_is_acknowledged() {
    let miner = Miner::one(0.0, 0.0).await;
    let body = BackwardTextPromptingRequest {
        version: 500,
        hotkey: caller().to_string(),
        rewards: vec![0.5, f32::NAN],
        messages: messages(ASK),
        response: "N4         ".to_owned(),
        timeout: 30.0,
    };
    let reply = miner.client().backward(request(body, call(0, 0))).await;
    assert_eq!(
        reply.expect("the axon answers").into_inner().return_code,
        ReturnCode::Success as i32
    );
}
