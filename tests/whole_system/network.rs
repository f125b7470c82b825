//! Tests that a validator answers manual calls while its run is in progress.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use mirror_net::channel;
use mirror_proto::mirror::v1::neuron_client::NeuronClient;
use mirror_proto::mirror::v1::{
    ForwardReply, ForwardRequest, InferenceReply, InferenceRequest, Message, TrainRequest,
};
use mirror_runs::tables::{EventRow, MANUAL};
use mirror_runs::{Layout, Run};
use mirror_tests::{RunningCommand, TestEnv, eventually, rows};
use rustix::process::Signal;
use tonic::Code;
use tonic::transport::Channel;

use crate::experiment::TRAINING;
use crate::operator::operator;

/// Returns the listen address of a node, from its log.
pub(crate) fn address(running: &mut RunningCommand, node: &str) -> String {
    let log = Layout::new(running.folder()).log(node);
    eventually("the log contains the listen address", || {
        let text = fs::read_to_string(&log).ok()?;
        let (_, after) = text.split_once("listening address=")?;
        Some(after.split_ascii_whitespace().next()?.to_owned())
    })
}

fn question(text: &str) -> Vec<Message> {
    let message = Message {
        role: "user".to_owned(),
        content: text.to_owned(),
    };
    vec![message]
}

/// Runs `work` with a client of `validator-0` of the run in a folder, and closes the connection afterwards. The client
/// shows the certificate of the operator.
fn with_client<T>(run: &Path, address: &str, work: impl AsyncFnOnce(&mut NeuronClient<Channel>) -> T) -> T {
    let identity = operator(run);
    let address: SocketAddr = address.parse().expect("an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let channel = channel::secure(address, identity.connecting_to("validator-0"));
        work(&mut NeuronClient::new(channel)).await
    })
}

/// The replies to manual calls: a forward, the forwards of two training steps, and an inference.
struct Got {
    forward: ForwardReply,
    training: Vec<ForwardReply>,
    inference: InferenceReply,
}

async fn ask(client: &mut NeuronClient<Channel>) -> Result<Got, tonic::Status> {
    let forward = ForwardRequest {
        messages: question("what is the symbol of iron"),
        topk: Some(3),
        random_sample_uids: true,
        train_gating_model: false,
        train_network: true,
        timeout: Some(10.0),
    };
    let inference = InferenceRequest {
        messages: question("what is the symbol of gold"),
        timeout: Some(10.0),
        use_reward_model: false,
    };
    let forward = client.forward(forward).await?.into_inner();
    let mut halves = client.train(TrainRequest { max_iter: 2 }).await?.into_inner();
    let mut training = Vec::new();
    while let Some(half) = halves.message().await? {
        training.push(half);
    }
    let inference = client.inference(inference).await?.into_inner();
    Ok(Got {
        forward,
        training,
        inference,
    })
}

/// Manual calls of Forward, Train and Inference are processed between two steps of an endless query, and recorded with
/// their methods.
#[test]
fn a_validator_answers_manual_calls_while_its_query_is_running() {
    let env = TestEnv::new();
    let file = env.file("endless.yml", TRAINING);
    let mut running = env.start_run(
        file,
        &["query.method.args.max_iter=1000000", "network.validators=2"],
    );
    let folder = running.folder();
    running.until_acknowledged("validator-0", 20);
    let address = address(&mut running, "validator-0");
    let Got {
        forward,
        training,
        inference,
    } = with_client(&folder, &address, ask).expect("the validator answers");
    assert_eq!(forward.asked_uids.len(), 3, "{forward:?}");
    for half in training.iter().chain([&forward]) {
        assert_eq!(half.successful_uids.len(), half.rewards.len(), "{half:?}");
        assert_eq!(half.successful_uids.len(), half.completions.len(), "{half:?}");
        assert!(
            half.successful_uids
                .iter()
                .all(|uid| half.asked_uids.contains(uid)),
            "{half:?}"
        );
        assert_eq!(
            half.completion.is_empty(),
            half.successful_uids.is_empty(),
            "{half:?}"
        );
        assert_eq!(half.completion.is_empty(), !half.problem.is_empty(), "{half:?}");
    }
    assert!((2..=4).contains(&training.len()), "{training:?}");
    assert_eq!(
        inference.completion.is_empty(),
        inference.uid.is_none(),
        "{inference:?}"
    );

    running.until_acknowledged("validator-0", 200);
    running.send(Signal::INT);
    let ended = running.ends();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let events: Vec<EventRow> = rows(&Run::open(folder).expect("the run opens"));
    let manual = |method: &str| {
        let of_method = events
            .iter()
            .filter(|event| event.purpose == MANUAL && event.method == method);
        of_method
            .inspect(|event| assert_eq!(event.validator, "validator-0"))
            .count()
    };
    assert_eq!(
        (manual("forward"), manual("train"), manual("inference")),
        (1, training.len(), 1)
    );
}

/// An invalid call is rejected with a reason, and the run continues.
#[test]
fn an_invalid_manual_call_is_refused() {
    let env = TestEnv::new();
    let file = env.file("endless.yml", TRAINING);
    let mut running = env.start_run(file, &["query.method.args.max_iter=1000000"]);
    let folder = running.folder();
    running.until_acknowledged("validator-0", 20);
    let address = address(&mut running, "validator-0");
    let nothing = with_client(&folder, &address, async |client| {
        client.forward(ForwardRequest::default()).await
    });
    let nothing = nothing.expect_err("the request has no message");
    assert_eq!(nothing.code(), Code::InvalidArgument, "{nothing}");
    let timeless = InferenceRequest {
        messages: question("when"),
        timeout: Some(f32::NAN),
        ..InferenceRequest::default()
    };
    let timeless = with_client(&folder, &address, async |client| client.inference(timeless).await);
    let timeless = timeless.expect_err("NaN is not a valid timeout");
    assert_eq!(timeless.code(), Code::InvalidArgument, "{timeless}");
    assert!(timeless.message().contains("timeout"), "{timeless}");

    running.until_acknowledged("validator-0", 100);
    running.send(Signal::INT);
    assert_eq!(running.ends().status, Some(1));
}
