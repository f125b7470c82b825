//! Tests of a running validator from outside: its calls, its reports, its weights, and its waiting.

mod network;

use std::net::{Ipv4Addr, SocketAddr};

use futures::FutureExt;
use mirror_chain::{Commitment, Uid, Weights};
use mirror_identity::PublicKey;
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{
    DispatchError, ForwardEvent, ForwardRequest, Hello, InferenceRequest, Message as AxonRequest, Outcome,
    Purpose, QueryRequest, TrainRequest, Transaction, WeightsSet, node_report, record,
};
use mirror_seed::Seed;
use mirror_spec::TrainArgs;
use mirror_validator::learned;
use mirror_validator::reporter::{Reporter, reporter};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::Code;

use mirror_test_support::certificates;
use mirror_test_support::coordinator::{self, Session};
use network::{FIRST_BLOCK, Network, Says, equal_rewards, train};

const QUESTION: &str = "Which river flows through Lyon?";
const ANSWER: &str = "The Rhone, and the Saone before it joins";

/// Gives a question when asked for one, otherwise an answer.
const HONEST: Says = |asked| {
    if asked.starts_with("Think of a question") {
        QUESTION
    } else {
        ANSWER
    }
};
/// Gives a question when asked for one, otherwise an empty completion.
const ASKING: Says = |asked| {
    if asked.starts_with("Think of a question") {
        QUESTION
    } else {
        ""
    }
};
const SILENT: Says = |_| "";
const CURT: Says = |_| "yes";
const WORDY: Says = |_| "That is a question on which much could be said, and nothing is";

fn events(records: Vec<record::Kind>) -> Vec<ForwardEvent> {
    let event = |record| match record {
        record::Kind::Event(event) => Some(event),
        _ => None,
    };
    records.into_iter().filter_map(event).collect()
}

fn weights(records: Vec<record::Kind>) -> Vec<WeightsSet> {
    let weights = |record| match record {
        record::Kind::Weights(weights) => Some(weights),
        _ => None,
    };
    records.into_iter().filter_map(weights).collect()
}

fn asked(content: &str) -> Vec<AxonRequest> {
    vec![AxonRequest {
        role: "user".to_owned(),
        content: content.to_owned(),
    }]
}

// --- training steps ---

#[tokio::test]
async fn a_training_step_has_a_question_and_its_answer() {
    let mut network = Network::start(&[Some(HONEST), Some(HONEST)], |launch| {
        launch.query = Some(train(3, &TrainArgs::default()));
    })
    .await;
    let (progress, records) = network.query().await;
    assert_eq!((progress.steps_done, progress.steps_total), (3, 3));
    assert_eq!(progress.failed_forwards, 0);
    let events = events(records);
    let places: Vec<(u64, u32)> = events
        .iter()
        .map(|event| (event.step, event.forward_index))
        .collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    for halves in events.chunks(2) {
        let [question, answer] = halves else {
            panic!("{halves:?}")
        };
        assert!(question.is_question && !answer.is_question);
        assert_eq!(answer.message, QUESTION);
        assert!(answer.calls.iter().all(|call| call.completion == ANSWER));
        assert_eq!(question.trace_id, answer.trace_id);
        for event in halves {
            assert_eq!(
                (event.validator.as_str(), event.method.as_str()),
                ("validator-0", "train")
            );
            assert_eq!(event.purpose(), Purpose::Query);
            assert_eq!(event.scores, [0.0, 1.0]);
            assert_eq!(event.block, FIRST_BLOCK + event.step);
        }
    }
}

#[tokio::test]
async fn a_step_without_a_question_has_one_event() {
    let mut network = Network::start(&[Some(SILENT), Some(CURT)], |launch| {
        launch.query = Some(train(3, &TrainArgs::default()));
    })
    .await;
    let (progress, records) = network.query().await;
    assert_eq!((progress.steps_done, progress.failed_forwards), (3, 3));
    let events = events(records);
    let places: Vec<(u64, u32)> = events
        .iter()
        .map(|event| (event.step, event.forward_index))
        .collect();
    assert_eq!(places, [(0, 0), (1, 0), (2, 0)]);
    for event in events {
        assert_eq!(event.best, None);
        for call in &event.calls {
            let expected = if call.uid == 0 {
                Outcome::Empty
            } else {
                Outcome::TooShort
            };
            assert_eq!((call.outcome(), call.reward), (expected, None));
        }
    }
}

#[tokio::test]
async fn a_validator_records_and_survives_a_network_without_axons() {
    let mut network = Network::start(&[None, None], |launch| {
        launch.query = Some(train(2, &TrainArgs::default()));
    })
    .await;
    let reply = network.client.forward(ForwardRequest {
        messages: asked("why?"),
        ..ForwardRequest::default()
    });
    assert_eq!(
        reply.await.expect("the validator replies").into_inner().problem,
        "no axon is serving"
    );
    let (progress, records) = network.query().await;
    assert_eq!((progress.steps_done, progress.failed_forwards), (2, 2));
    let events = events(records);
    assert_eq!(events.len(), 3);
    assert!(
        events
            .iter()
            .all(|event| event.calls.is_empty() && event.best.is_none())
    );
}

#[tokio::test]
async fn axons_receive_their_rewards_when_the_network_is_trained() {
    let mut network = Network::start(&[Some(HONEST), Some(SILENT)], |launch| {
        let args = TrainArgs {
            train_network: true,
            ..TrainArgs::default()
        };
        launch.query = Some(train(1, &args));
    })
    .await;
    network.query().await;
    let mut received = Vec::new();
    while let Ok(reward) = network.rewards.try_recv() {
        received.push(reward);
    }
    // a reward of one per character, for the question and the answer
    assert_eq!(received, [QUESTION.len() as f32, ANSWER.len() as f32]);
}

/// A client that lost the stream of a query may call again, which does not start the query again.
#[tokio::test]
async fn a_query_runs_once_however_often_it_is_requested() {
    let mut network = Network::start(&[Some(HONEST)], |launch| {
        launch.query = Some(train(1, &TrainArgs::default()));
    })
    .await;
    let (first, records) = network.query().await;
    assert_eq!(events(records).len(), 2);
    let (again, records) = network.query().await;
    assert_eq!(again, first);
    assert_eq!(records, []);
}

#[tokio::test]
async fn a_query_call_without_a_query_fails() {
    let mut network = Network::start(&[Some(HONEST)], |_| {}).await;
    let status = network
        .client
        .query(QueryRequest {})
        .await
        .expect_err("the validator has no query");
    assert_eq!(status.code(), Code::FailedPrecondition);
}

// --- manual calls ---

#[tokio::test]
async fn topk_is_clamped_to_the_serving_axons_best_scores_first() {
    let says = [Some(HONEST), None, Some(HONEST), Some(HONEST)];
    let mut network = Network::start(&says, |_| {}).await;
    for (topk, expected) in [
        (Some(1), vec![3]),
        (Some(2), vec![3, 2]),
        (Some(99), vec![3, 2, 0]),
        (Some(-1), vec![3, 2, 0]),
        (None, vec![3, 2, 0]),
    ] {
        let reply = network.client.forward(ForwardRequest {
            messages: asked("why?"),
            topk,
            ..ForwardRequest::default()
        });
        let reply = reply.await.expect("the validator replies").into_inner();
        assert_eq!(reply.asked_uids, expected, "{topk:?}");
        assert_eq!(reply.successful_uids, expected);
        assert_eq!(reply.completion, ANSWER);
    }
}

#[tokio::test]
async fn a_topk_that_is_no_number_of_axons_is_refused() {
    let mut network = Network::start(&[Some(HONEST)], |_| {}).await;
    for topk in [0, -5, i32::MIN, 65_537] {
        let reply = network.client.forward(ForwardRequest {
            messages: asked("why?"),
            topk: Some(topk),
            ..ForwardRequest::default()
        });
        let status = reply.await.expect_err("the number is out of range");
        assert_eq!(status.code(), Code::InvalidArgument);
        let range =
            format!("topk is {topk}: expected -1 for all axons that serve, or a number from 1 to 65536");
        assert_eq!(status.message(), range);
    }
}

#[tokio::test]
async fn manual_forwards_are_events_with_separate_numbers() {
    let mut network = Network::start(&[Some(HONEST)], |_| {}).await;
    let replies = network
        .client
        .train(TrainRequest { max_iter: 2 })
        .await
        .expect("the validator trains");
    let mut replies = replies.into_inner();
    let mut messages = Vec::new();
    while let Some(reply) = replies.message().await.expect("training succeeds") {
        messages.push(reply.completion);
    }
    assert_eq!(messages, [QUESTION, ANSWER, QUESTION, ANSWER]);
    let mut numbers = Vec::new();
    while numbers.len() < 4 {
        let Some(record::Kind::Event(event)) = network.records.recv().await else {
            panic!("no event")
        };
        assert_eq!(event.purpose(), Purpose::Manual);
        numbers.push((event.step, event.forward_index));
    }
    assert_eq!(numbers, [(1, 0), (1, 1), (2, 0), (2, 1)]);
}

#[tokio::test]
async fn inference_returns_the_best_scored_completion_that_is_not_empty() {
    let says = [Some(WORDY), Some(HONEST), Some(CURT), Some(SILENT)];
    let mut network = Network::start(&says, |_| {}).await;
    for (use_reward_model, uid, completion) in [(false, 2, CURT("")), (true, 0, WORDY(""))] {
        let reply = network.client.inference(InferenceRequest {
            messages: asked("why?"),
            timeout: None,
            use_reward_model,
        });
        let reply = reply.await.expect("the validator replies").into_inner();
        assert_eq!((reply.uid, reply.completion.as_str()), (Some(uid), completion));
        assert_eq!(reply.problem, "");
    }
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let mut network = Network::start(&[Some(HONEST)], |_| {}).await;
    let forward = |messages, timeout| ForwardRequest {
        messages,
        timeout,
        ..ForwardRequest::default()
    };
    for wrong in [
        forward(Vec::new(), None),
        forward(vec![asked("why?").remove(0); 1_025], None),
        forward(asked("why?"), Some(0.0)),
        forward(asked("why?"), Some(f32::NAN)),
        forward(asked("why?"), Some(1e9)),
    ] {
        let status = network
            .client
            .forward(wrong)
            .await
            .expect_err("the request is rejected");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

// --- the chain ---

#[tokio::test]
async fn the_metagraph_is_fetched_every_ten_blocks_at_the_closed_block() {
    let mut network = Network::start(&[Some(HONEST)], |launch| {
        launch.query = Some(train(25, &TrainArgs::default()));
    })
    .await;
    network.query().await;
    let asked = network.chain.state().asked.clone();
    assert_eq!(asked, [None, Some(FIRST_BLOCK + 10), Some(FIRST_BLOCK + 20)]);
}

/// Two miners get equal rewards, the third gives no completion. The weights apply when the next block closes.
#[tokio::test]
async fn weights_are_set_at_the_epoch_and_recorded_when_they_apply() {
    let mut network = Network::start(&[Some(HONEST), Some(HONEST), Some(SILENT)], |launch| {
        launch.reward_model = equal_rewards();
        launch.query = Some(train(12, &TrainArgs::default()));
    })
    .await;
    network.chain.state().epoch_length = 5;
    let (_, records) = network.query().await;
    let set = weights(records);
    // block 1 is open first, so the epochs end at the blocks 6 and 11, which the steps 4 and 9 close
    let places: Vec<(u64, u64)> = set.iter().map(|set| (set.step, set.block)).collect();
    assert_eq!(places, [(4, 6), (9, 11)]);
    for set in set {
        assert_eq!(
            (set.uids.as_slice(), set.weights.as_slice()),
            ([0, 1].as_slice(), [0.5, 0.5].as_slice())
        );
        assert_eq!(set.refusal, None);
    }
    let applied = network.chain.state().applied.clone();
    let blocks: Vec<u64> = applied.iter().map(|(block, _)| *block).collect();
    assert_eq!(blocks, [7, 12]);
    for (_, transaction) in applied {
        let Some(Call::SetWeights(set)) = transaction.call else {
            panic!("{transaction:?}")
        };
        assert_eq!((set.uids, set.weights), (vec![0, 1], vec![65_535, 65_535]));
    }
}

#[tokio::test]
async fn weights_that_the_chain_rejects_are_recorded_with_the_reason() {
    let mut network = Network::start(&[Some(HONEST)], |launch| {
        launch.query = Some(train(6, &TrainArgs::default()));
    })
    .await;
    {
        let mut state = network.chain.state();
        state.epoch_length = 5;
        state.refusal = Some(DispatchError::NoValidatorPermit);
    }
    let (_, records) = network.query().await;
    let refusals: Vec<DispatchError> = weights(records).iter().map(WeightsSet::refusal).collect();
    assert_eq!(refusals, [DispatchError::NoValidatorPermit]);
}

/// With netuid 1 and a tempo of 5, an epoch has six blocks: 4 … 9, 10 … 15, 16 … 21.
#[tokio::test]
async fn committed_weights_are_revealed_in_the_next_epoch() {
    let mut network = Network::start(&[Some(HONEST), Some(HONEST), Some(SILENT)], |launch| {
        launch.reward_model = equal_rewards();
        launch.query = Some(train(15, &TrainArgs::default()));
    })
    .await;
    {
        let mut state = network.chain.state();
        state.epoch_length = 5;
        state.commits = true;
    }
    let (_, records) = network.query().await;
    let applied = network.chain.state().applied.clone();
    let mut commitments = Vec::new();
    let mut reveals = Vec::new();
    for (block, Transaction { signer, call, .. }) in applied {
        match call {
            Some(Call::CommitWeights(commit)) => commitments.push((block, commit.commitment)),
            Some(Call::RevealWeights(reveal)) => {
                let set = reveal.weights.expect("weights are revealed");
                let weights = Weights {
                    uids: set.uids.iter().map(|uid| Uid(*uid as u16)).collect(),
                    weights: set.weights.iter().map(|weight| *weight as u16).collect(),
                    version_key: set.version_key,
                };
                assert_eq!((set.uids, set.weights), (vec![0, 1], vec![65_535, 65_535]));
                let salt: Vec<u16> = reveal.salt.iter().map(|number| *number as u16).collect();
                let hotkey = PublicKey::try_from(&signer[..]).expect("a key");
                let revealed = Commitment::new(&hotkey, 1, &weights, &salt);
                reveals.push((block, revealed.0.to_vec()));
            }
            other => panic!("{other:?}"),
        }
    }
    // The same weights with another salt are another commitment.
    let [(7, one), (12, two), (17, three)] = &commitments[..] else {
        panic!("{commitments:?}")
    };
    assert!(one != two && two != three);
    assert_eq!(reveals, [(10, one.clone()), (16, two.clone())]);
    // Weights that were not revealed were not set.
    let steps: Vec<u64> = weights(records).iter().map(|set| set.step).collect();
    assert_eq!(steps, [4, 9]);
}

/// v4 resets the average of a changed hotkey after the event, so the newcomer's reward in that event is lost as well.
#[tokio::test]
async fn a_newcomer_starts_with_an_empty_average() {
    let mut network = Network::start(&[Some(ASKING), Some(ASKING)], |launch| {
        launch.reward_model = equal_rewards();
        launch.neuron.epoch_length_override = 1;
        launch.query = Some(train(5, &TrainArgs::default()));
    })
    .await;
    // the block that step 2 closes
    network.chain.state().newcomer = Some((1, FIRST_BLOCK + 3));
    let (_, records) = network.query().await;
    let set = weights(records);
    assert_eq!(
        set.iter().map(|set| set.step).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    assert!(set[..3].iter().all(|set| set.weights == [0.5, 0.5]), "{set:?}");
    assert_eq!(
        (set[3].uids.as_slice(), set[3].weights.as_slice()),
        ([0].as_slice(), [1.0].as_slice())
    );
    // each of the two rewards counts with 0.99, and the previous average with 0.01
    let [old, new] = set[4].weights.as_slice() else {
        panic!("{set:?}")
    };
    assert!((new / old - 0.99).abs() < 1e-3, "{set:?}");
}

// --- reports ---

/// A report stream whose coordinator is under the control of the test.
struct ReportStream {
    reporter: Reporter,
    sessions: mpsc::UnboundedReceiver<Session>,
    working: JoinHandle<anyhow::Result<()>>,
    folder: tempfile::TempDir,
    _subtensor: watch::Receiver<SocketAddr>,
}

impl ReportStream {
    async fn open() -> Self {
        let (coordinator, sessions) = coordinator::sessions().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (_, memory) = learned::open(&folder.path().join("memory")).expect("a new journal");
        let (moved, subtensor) = watch::channel((Ipv4Addr::LOCALHOST, 1).into());
        let hello = Hello {
            node: "validator-3".to_owned(),
            incarnation: 2,
        };
        let tracer = Tracer::new(&Seed::root(5), &hello.node, hello.incarnation)
            .identified(certificates::identity(&hello.node));
        let acknowledged = folder.path().join("acknowledged");
        let opened = reporter(
            coordinator,
            tracer,
            hello,
            moved,
            memory,
            Some(acknowledged.as_path()),
        );
        let (reporter, report_stream) = opened.expect("the directory is writable");
        Self {
            reporter,
            sessions,
            working: tokio::spawn(report_stream.work()),
            folder,
            _subtensor: subtensor,
        }
    }

    /// Returns the next session, after its hello.
    async fn session(&mut self) -> Session {
        let mut session = self.sessions.recv().await.expect("the reporter opens a stream");
        let Some(node_report::Report::Hello(hello)) = session.next().await else {
            panic!("no hello")
        };
        assert_eq!((hello.node.as_str(), hello.incarnation), ("validator-3", 2));
        session
    }

    fn acknowledged(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("acknowledged"));
        text.expect("the file exists")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

fn event(step: u64) -> record::Kind {
    record::Kind::Event(ForwardEvent {
        validator: "validator-3".to_owned(),
        purpose: Purpose::Query.into(),
        step,
        ..ForwardEvent::default()
    })
}

#[tokio::test]
async fn the_reporter_waits_when_1024_records_are_unacknowledged() {
    let mut report_stream = ReportStream::open().await;
    for step in 0..1_024 {
        report_stream
            .reporter
            .report(event(step), None)
            .await
            .expect("there is room");
    }
    let mut session = report_stream.session().await;
    for sequence in 1..=1_024 {
        assert_eq!(session.record().await.sequence, sequence);
    }
    assert!(
        report_stream
            .reporter
            .report(event(1_024), None)
            .now_or_never()
            .is_none()
    );
    session.acknowledge(1).await;
    report_stream
        .reporter
        .report(event(1_024), None)
        .await
        .expect("there is room again");
    assert_eq!(session.record().await.sequence, 1_025);
    assert!(report_stream.reporter.drained().now_or_never().is_none());
    session.acknowledge(1_025).await;
    report_stream
        .reporter
        .drained()
        .await
        .expect("everything is acknowledged");
    let expected: Vec<String> = (0..=1_024)
        .map(|step| format!("validator-3 query {step} 0"))
        .collect();
    assert_eq!(report_stream.acknowledged(), expected);
}

#[tokio::test]
async fn unacknowledged_records_are_sent_again_after_a_broken_stream() {
    let mut report_stream = ReportStream::open().await;
    for step in 0..5 {
        report_stream
            .reporter
            .report(event(step), None)
            .await
            .expect("there is room");
    }
    let mut session = report_stream.session().await;
    let mut records = Vec::new();
    for _ in 0..5 {
        records.push(session.record().await);
    }
    // not acknowledged when the stream breaks: 3, 4 and 5
    session.acknowledge(2).await;
    while report_stream.acknowledged().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(session);
    let mut session = report_stream.session().await;
    for record in &records[2..] {
        assert_eq!(session.record().await, *record);
    }
    session.acknowledge(5).await;
    report_stream
        .reporter
        .drained()
        .await
        .expect("everything is acknowledged");
    assert_eq!(report_stream.acknowledged().len(), 5);
}

#[tokio::test]
async fn an_acknowledgement_of_an_unsent_record_ends_the_reporter() {
    let mut report_stream = ReportStream::open().await;
    let session = report_stream.session().await;
    session.acknowledge(7).await;
    let ended = (&mut report_stream.working).await.expect("no panic");
    ended.expect_err("the acknowledgement is invalid");
    report_stream
        .reporter
        .report(event(0), None)
        .await
        .expect_err("the report stream has ended");
}
