//! Axons over the wire: a miner as it runs, a chain that only listens, and a client of the v4 protocol.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures::{StreamExt, stream};
use mirror_config::component::{BehaviourSpec, HonestArgs};
use mirror_config::launch::{AxonLaunch, Launch, Listening, MinerLaunch};
use mirror_dataset::Row;
use mirror_identity::{Owner, SecretKey};
use mirror_net::{channel, metadata, server, signed};
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, ForwardTextPromptingRequest, ForwardTextPromptingResponse,
    MultiForwardTextPromptingRequest, ReturnCode,
};
use mirror_proto::mirror::v1::subtensor_server::{Subtensor, SubtensorServer};
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{
    BlockClosed, CurrentBlock, CurrentBlockRequest, Metagraph, MetagraphRequest, Nominators,
    NominatorsRequest, ServeAxon, SignedTransaction, StepReport, SubmitReply, Transaction, WatchRequest,
};
use mirror_seed::{CallId, Seed};
use mirror_telemetry::TraceContext;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

const BASE: &str = "Be of help.";
const ASK: &str = "Ask something.";
const SEED: u64 = 11;

/// Rows of the data set. Answers belong to one question each, and the first ones are short.
const ROWS: usize = 50;

fn rows() -> Vec<Row> {
    let row = |index| Row {
        question: format!("What is called number {index}?"),
        answers: vec![
            format!("N{index}"),
            format!("the thing that is called number {index}"),
        ],
    };
    (0..ROWS).map(row).collect()
}

fn question(index: usize) -> String {
    rows()[index].question.clone()
}

// --- the miner and its chain ---

/// Takes `serve_axon` and nothing else, and passes it on.
struct Chain(mpsc::UnboundedSender<Transaction>);

/// The block that the chain says has closed.
const BLOCK: u64 = 40;

#[async_trait]
impl Subtensor for Chain {
    type StepsStream = stream::Empty<Result<BlockClosed, Status>>;
    type WatchMetagraphStream = stream::Empty<Result<Metagraph, Status>>;

    async fn submit(&self, request: Request<SignedTransaction>) -> Result<Response<SubmitReply>, Status> {
        let transaction = signed::open(request.get_ref()).expect("miners sign");
        let sent = self.0.send(transaction);
        sent.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(SubmitReply::default()))
    }

    async fn get_current_block(
        &self,
        _: Request<CurrentBlockRequest>,
    ) -> Result<Response<CurrentBlock>, Status> {
        Ok(Response::new(CurrentBlock { block: BLOCK }))
    }

    async fn steps(&self, _: Request<Streaming<StepReport>>) -> Result<Response<Self::StepsStream>, Status> {
        Err(Status::unimplemented("miners have no steps"))
    }

    async fn get_metagraph(&self, _: Request<MetagraphRequest>) -> Result<Response<Metagraph>, Status> {
        Err(Status::unimplemented("miners do not ask"))
    }

    async fn watch_metagraph(
        &self,
        _: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchMetagraphStream>, Status> {
        Err(Status::unimplemented("miners do not ask"))
    }

    async fn get_nominators(&self, _: Request<NominatorsRequest>) -> Result<Response<Nominators>, Status> {
        Err(Status::unimplemented("miners do not ask"))
    }
}

/// Where a chain listens, and what is submitted to it.
async fn chain() -> (SocketAddr, mpsc::UnboundedReceiver<Transaction>) {
    let (tell, told) = mpsc::unbounded_channel();
    let listener = listener().await;
    let address = listener.local_addr().expect("it listens");
    let routes = Routes::new(SubtensorServer::new(Chain(tell)));
    tokio::spawn(server::serve(
        listener,
        routes,
        server::Limits::default(),
        std::future::pending(),
    ));
    (address, told)
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback has a free port")
}

fn data() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("answers");
    mirror_dataset::compile(&rows(), &path).expect("sound rows");
    (folder, path)
}

fn launch(axons: &[(u32, HonestArgs)], dataset: &Path, subtensor: SocketAddr) -> Launch<MinerLaunch> {
    let axon = |(uid, args): &(u32, HonestArgs)| AxonLaunch {
        uid: *uid,
        behaviour: BehaviourSpec::Honest(*args),
    };
    Launch {
        node: "miner-0".to_owned(),
        incarnation: 3,
        parent: std::process::id(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        log: "warn".to_owned(),
        seed: SEED,
        role: MinerLaunch {
            axons: axons.iter().map(axon).collect(),
            dataset: dataset.to_owned(),
            base_prompt: BASE.to_owned(),
            question_prompt: ASK.to_owned(),
            subtensor,
        },
    }
}

/// A miner in this process, and clients of its axons. It lives as long as the test.
struct Miner {
    clients: Vec<TextPromptingClient<Channel>>,
    _data: TempDir,
}

impl Miner {
    async fn start(axons: &[(u32, HonestArgs)]) -> Self {
        let (folder, dataset) = data();
        let (subtensor, mut submitted) = chain().await;
        let launch = launch(axons, &dataset, subtensor);
        tokio::spawn(mirror_miner::serve(
            launch,
            listener().await,
            CancellationToken::new(),
        ));
        let mut clients = Vec::new();
        for (uid, _) in axons {
            let transaction = submitted.recv().await.expect("each axon is announced");
            let hotkey = SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(*uid)).public();
            assert_eq!(transaction.signer, hotkey.bytes());
            assert_eq!((transaction.nonce, transaction.from_block), (3, BLOCK));
            let Some(Call::ServeAxon(ServeAxon { ip, port })) = transaction.call else {
                panic!("{transaction:?} announces no axon")
            };
            let address = SocketAddr::new(ip.parse().expect("an address"), port as u16);
            clients.push(TextPromptingClient::new(channel::lazy(address)));
        }
        Self {
            clients,
            _data: folder,
        }
    }

    /// One axon, of uid 0.
    async fn one(fail_rate: f64, fitness: f64) -> Self {
        Self::start(&[(0, HonestArgs { fail_rate, fitness })]).await
    }

    fn client(&self) -> TextPromptingClient<Channel> {
        self.clients[0].clone()
    }

    async fn ask(&self, asked: &str, step: u64) -> ForwardTextPromptingResponse {
        forward(self.client(), asked, call(0, step)).await
    }
}

// --- the caller ---

fn caller() -> mirror_identity::Hotkey {
    SecretKey::hotkey(&Seed::root(SEED), Owner::Validator(0)).public()
}

fn call(uid: u32, step: u64) -> CallId {
    CallId {
        caller: caller().bytes(),
        step,
        half: 0,
        uid,
        call: 0,
    }
}

fn messages(asked: &str) -> Vec<String> {
    let message = |role, content| serde_json::json!({"role": role, "content": content}).to_string();
    vec![message("system", BASE), message("user", asked)]
}

fn body(asked: &str) -> ForwardTextPromptingRequest {
    ForwardTextPromptingRequest {
        version: 500,
        hotkey: caller().to_string(),
        messages: messages(asked),
        timeout: 30.0,
    }
}

fn request<T>(body: T, call: CallId) -> Request<T> {
    let mut request = Request::new(body);
    metadata::write(request.metadata_mut(), &call, &TraceContext::new([1; 16], [2; 8]));
    request
}

async fn forward(
    mut client: TextPromptingClient<Channel>,
    asked: &str,
    call: CallId,
) -> ForwardTextPromptingResponse {
    let reply = client.forward(request(body(asked), call)).await;
    reply.expect("the axon answers").into_inner()
}

/// A completion that counts, without what was added to make it count.
#[track_caller]
fn said(reply: &ForwardTextPromptingResponse) -> &str {
    assert_eq!(reply.return_code, ReturnCode::Success as i32, "{reply:?}");
    assert!(reply.response.chars().count() > 10, "{reply:?}");
    reply.response.trim()
}

// --- what an honest miner says ---

#[tokio::test]
async fn asked_for_a_question_it_gives_one_of_the_data() {
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
async fn with_fitness_one_it_gives_an_accepted_answer_and_each_in_its_turn() {
    let miner = Miner::one(0.0, 1.0).await;
    let accepted: BTreeSet<String> = rows()[4].answers.iter().cloned().collect();
    let mut given = BTreeSet::new();
    for step in 0..50 {
        given.insert(said(&miner.ask(&question(4), step).await).to_owned());
    }
    assert_eq!(given, accepted);
}

/// A wrong answer is any answer, so that one in `ROWS` is right by chance.
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
    // 10 expected; 27 and more has a chance below 10⁻⁵
    assert!(right < 27, "{right} of 500 right");
}

#[tokio::test]
async fn a_question_that_is_not_in_the_data_gets_any_answer() {
    let miner = Miner::one(0.0, 1.0).await;
    let reply = miner.ask("What does nobody know?", 0).await;
    assert!(
        rows()
            .iter()
            .any(|row| row.answers.iter().any(|answer| answer == said(&reply)))
    );
}

/// "N4" has two characters, and eleven are needed to count.
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
async fn over_ten_thousand_calls_the_rates_are_those_asked_for() {
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
    // right by fitness, or by chance as one row in ROWS
    within(right, answered.len() as f64, 0.6 + 0.4 / ROWS as f64);
}

/// Within four standard deviations of a binomial's mean, which one in 16,000 is not.
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
async fn axons_of_one_process_are_told_apart() {
    let honest = |fail_rate, fitness| HonestArgs { fail_rate, fitness };
    let miner = Miner::start(&[
        (5, honest(0.0, 0.0)),
        (6, honest(0.0, 0.0)),
        (7, honest(1.0, 0.0)),
    ])
    .await;
    let mut answers = vec![Vec::new(); 3];
    for step in 0..20 {
        for (uid, (client, answers)) in (5..).zip(miner.clients.iter().zip(&mut answers)) {
            answers.push(forward(client.clone(), ASK, call(uid, step)).await.response);
        }
    }
    assert_ne!(answers[0], answers[1]);
    assert!(answers[2].iter().all(String::is_empty));
}

/// No process counts calls: another one, asked in another order, says the same to the same call.
#[tokio::test]
async fn a_call_has_the_same_answer_in_every_process_and_order() {
    let (_folder, dataset) = data();
    let (subtensor, _submitted) = chain().await;
    let (one, other) = (
        Process::start(&dataset, subtensor).await,
        Process::start(&dataset, subtensor).await,
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

/// `mirror-miner` itself, with one axon that fails and errs half of the time.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    async fn start(dataset: &Path, subtensor: SocketAddr) -> Self {
        let half = HonestArgs {
            fail_rate: 0.5,
            fitness: 0.5,
        };
        let mut line = serde_json::to_vec(&launch(&[(0, half)], dataset, subtensor)).expect("plain data");
        line.push(b'\n');
        let mut child = Command::new(env!("CARGO_BIN_EXE_mirror-miner"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo built it");
        child
            .stdin
            .as_mut()
            .expect("piped")
            .write_all(&line)
            .expect("it reads");
        let stdout = child.stdout.take().expect("piped");
        let listening = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = listening
            .await
            .expect("no panic")
            .expect("it says where it listens");
        let Listening { address } = serde_json::from_str(&line).expect("a line of JSON");
        Self { child, address }
    }

    fn client(&self) -> TextPromptingClient<Channel> {
        TextPromptingClient::new(channel::lazy(self.address))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stranger's call is known by what it says: the same question has the same answer.
#[tokio::test]
async fn strangers_without_identity_are_answered() {
    let miner = Miner::one(0.0, 0.0).await;
    for hotkey in [caller().to_string(), String::new(), "nobody".to_owned()] {
        let mut answers = BTreeSet::new();
        for index in [3, 3, 3, 4, 5, 6, 7, 8] {
            let body = ForwardTextPromptingRequest {
                hotkey: hotkey.clone(),
                ..body(&question(index))
            };
            let reply = miner.client().forward(Request::new(body)).await;
            let reply = reply.expect("the axon answers").into_inner();
            answers.insert((index, said(&reply).to_owned()));
        }
        assert_eq!(answers.len(), 6, "{answers:?}");
        assert!(
            answers
                .iter()
                .map(|(_, answer)| answer)
                .collect::<BTreeSet<_>>()
                .len()
                > 1
        );
    }
}

#[tokio::test]
async fn numbers_that_are_none_are_refused() {
    let miner = Miner::one(0.0, 0.0).await;
    let mut asking = Request::new(body(ASK));
    asking
        .metadata_mut()
        .insert("mirror-call", "one.two".parse().expect("text"));
    let status = miner.client().forward(asking).await.expect_err("no numbers");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("one.two"), "{status}");
}

// --- what it must take or refuse ---

/// v4's axon lets its JSON parser's exception through, which gRPC calls UNKNOWN.
#[tokio::test]
async fn messages_that_are_no_messages_are_unknown() {
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
async fn a_timeout_that_is_none_does_no_harm() {
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
