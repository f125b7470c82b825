//! Tests of the dendrite pool against axons that lie, stall, break off and send invalid data.
//!
//! Each axon is a real HTTP/2 server on a separate port, whose replies are built byte by byte.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use mirror_auth::{DendriteId, Signer};
use mirror_identity::{Owner, SecretKey};
use mirror_links::Links;
use mirror_net::server::{self, Limits, Services};
use mirror_proto::bittensor::{ForwardTextPromptingRequest, ForwardTextPromptingResponse, ReturnCode};
use mirror_proto::mirror::v1::Outcome;
use mirror_proto::protocol::BITTENSOR_VERSION;
use mirror_seed::{CallId, CallNumber, Seed};
use mirror_spec::launch::{LinkLaunch, LinkRule};
use mirror_spec::{CodedError, ErrorReply, Latency, LinkEffects, ResetAfter, StatusCode, StreamReset};
use mirror_test_support::loopback::listen;
use mirror_validator::dendrite::{Backward, DendritePool, FanOut, Reply, ServedAxon};
use prost::Message;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::service::AxumBody;

/// A timeout that does not expire in any test.
const LONG: Duration = Duration::from_mins(1);

/// A timeout that expires in tests.
const SHORT: Duration = Duration::from_millis(200);

const SAID: &str = "The Loire is the longest river of France.";

// --- axons ---

/// Starts an axon that answers every request with the result of `answer`.
async fn axon<A, F>(answer: A) -> SocketAddr
where
    A: Fn(Request<AxumBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<AxumBody>> + Send + 'static,
{
    let (listener, address) = listen().await;
    serve(listener, answer);
    address
}

fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<AxumBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<AxumBody>> + Send + 'static,
{
    let services = Services::default().open(Answering(answer));
    tokio::spawn(server::serve(listener, services, Limits::default(), pending()));
}

/// The service of an axon that answers every request with the result of a function.
#[derive(Clone)]
struct Answering<A>(A);

impl<A> NamedService for Answering<A> {
    const NAME: &'static str = "TextPrompting";
}

impl<A, F> Service<Request<Body>> for Answering<A>
where
    A: Fn(Request<AxumBody>) -> F,
    F: Future<Output = Response<AxumBody>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = (self.0)(request.map(AxumBody::new));
        Box::pin(async move { Ok(answer.await.map(Body::new)) })
    }
}

/// Returns a gRPC message as it is sent: the flag for no compression, the length, the bytes.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame.into()
}

fn response(body: AxumBody) -> Response<AxumBody> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body)
        .expect("a valid header")
}

/// Returns a complete reply: a message and the status OK.
fn message(bytes: &[u8]) -> Response<AxumBody> {
    let well = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), 0.into())]);
    let body = Full::new(framed(bytes)).with_trailers(ready(Some(Ok(well))));
    response(AxumBody::new(body))
}

fn completion(text: &str) -> Response<AxumBody> {
    coded(text, ReturnCode::Success)
}

fn coded(text: &str, code: ReturnCode) -> Response<AxumBody> {
    let said = ForwardTextPromptingResponse {
        response: text.to_owned(),
        return_code: code.into(),
        ..Default::default()
    };
    message(&said.encode_to_vec())
}

/// Returns a reply without a body that fails the call.
fn status(code: i32, words: &str) -> Response<AxumBody> {
    let mut response = response(AxumBody::empty());
    let headers = response.headers_mut();
    headers.insert("grpc-status", code.into());
    headers.insert("grpc-message", words.parse().expect("a valid header"));
    response
}

// --- the pool ---

fn pool(axons: &[Option<SocketAddr>], links: &[LinkLaunch]) -> DendritePool {
    disturbed_pool(axons, links, &[])
}

/// Returns a pool of uid 9 whose calls are disturbed by these rules.
fn disturbed_pool(axons: &[Option<SocketAddr>], links: &[LinkLaunch], rules: &[LinkRule]) -> DendritePool {
    let seed = Seed::root(1);
    let key = SecretKey::hotkey(&seed, Owner::Validator(0));
    let signer = Signer::new(key, DendriteId::new([9; 16]), BITTENSOR_VERSION);
    let links = Links::new(seed, axons.len() as u32, links, 1.0);
    links.set_rules(rules).expect("there are few rules");
    let mut pool = DendritePool::new(signer, 9, seed, 0, Arc::new(links));
    let hotkey = SecretKey::hotkey(&seed, Owner::Miner(0)).public();
    let served = axons
        .iter()
        .map(|axon| axon.map(|address| ServedAxon { hotkey, address }));
    pool.resync(served);
    pool
}

fn fan_out(pool: &DendritePool, uids: &[u32], timeout: Duration) -> FanOut {
    FanOut {
        forward: CallId {
            caller: pool.hotkey(),
            step: 7,
            forward_index: 1,
            uid: 0,
            call: CallNumber::QUERY,
        },
        messages: vec![r#"{"role": "user", "content": "Which river?"}"#.to_owned()],
        uids: uids.to_vec(),
        timeout,
    }
}

/// Calls one axon once.
async fn ask(address: SocketAddr, timeout: Duration) -> Reply {
    let pool = pool(&[Some(address)], &[]);
    let mut replies = pool.forward(&fan_out(&pool, &[0], timeout)).await;
    assert_eq!(replies.len(), 1);
    replies.remove(0)
}

/// Calls an axon that always gives this reply, and returns the result.
async fn ending(answer: impl Fn() -> Response<AxumBody> + Clone + Send + Sync + 'static) -> Reply {
    let address = axon(move |_| ready(answer())).await;
    ask(address, LONG).await
}

// --- replies ---

#[tokio::test]
async fn a_completion_counts_above_ten_characters_and_spaces_are_characters() {
    for (said, outcome) in [
        ("", Outcome::Empty),
        ("ten chars.", Outcome::TooShort),
        ("ten chars..", Outcome::Success),
        // ten characters of two bytes each
        ("éééééééééé", Outcome::TooShort),
        ("ééééééééééé", Outcome::Success),
        ("          ", Outcome::TooShort),
        ("           ", Outcome::Success),
    ] {
        let reply = ending(move || completion(said)).await;
        assert_eq!(reply.outcome, outcome, "{said:?}");
        assert_eq!((reply.grpc_code, reply.completion.as_str()), (Code::Ok, said));
    }
}

/// v4 reads the completion and ignores the return code.
#[tokio::test]
async fn the_return_code_does_not_affect_the_outcome() {
    let reply = ending(|| coded(SAID, ReturnCode::UnknownException)).await;
    assert_eq!(reply.outcome, Outcome::Success);
    assert_eq!(reply.return_code, 22);
    assert_eq!(reply.completion, SAID);
}

#[tokio::test]
async fn an_undecodable_reply_is_malformed() {
    let unreadable: [(&str, Response<AxumBody>); 6] = [
        (
            "field 3 a string of invalid UTF-8",
            message(&[0x1a, 2, 0xc3, 0x28]),
        ),
        ("field 3 a number", message(&[0x18, 1])),
        ("field 3 longer than the message", message(&[0x1a, 100, b'a'])),
        (
            "half of a frame",
            response(framed(SAID.as_bytes()).slice(..10).into()),
        ),
        ("no frame at all", response(AxumBody::from("<html>hello</html>"))),
        ("nothing", response(AxumBody::empty())),
    ];
    for (what, answer) in unreadable {
        let answer = Arc::new(std::sync::Mutex::new(Some(answer)));
        let reply = ending(move || {
            answer
                .lock()
                .expect("no thread panicked with the lock")
                .take()
                .expect("the axon is called once")
        })
        .await;
        assert_eq!(reply.outcome, Outcome::Malformed, "{what}: {reply:?}");
        assert_eq!(reply.return_code, 15, "{what}: {reply:?}");
        assert_ne!(reply.grpc_code, Code::Ok, "{what}");
        assert_eq!(reply.completion, "", "{what}");
        assert!(!reply.timing_dependent, "{what}");
    }
}

/// The length in the frame's header is sufficient to reject the reply.
#[tokio::test]
async fn a_completion_of_100_megabytes_is_rejected_before_it_is_read() {
    const SIZE: usize = 100_000_000;
    let left = Arc::new(AtomicUsize::new(0));
    let leaving = left.clone();
    let address = axon(move |_| {
        let leaving = leaving.clone();
        let mut head = vec![0];
        head.extend((SIZE as u32).to_be_bytes());
        let piece = Bytes::from(vec![b' '; 16 << 10]);
        let pieces = stream::repeat(piece)
            .take(SIZE / (16 << 10))
            .inspect(move |piece| {
                leaving.fetch_add(piece.len(), Ordering::Relaxed);
            });
        let body = stream::once(ready(Bytes::from(head)))
            .chain(pieces)
            .map(Ok::<_, Infallible>);
        ready(response(AxumBody::from_stream(body)))
    })
    .await;
    let before = peak_memory();
    let reply = ask(address, LONG).await;
    assert_eq!(reply.outcome, Outcome::Oversized);
    assert_eq!(reply.return_code, 8);
    assert_eq!(reply.grpc_code, Code::OutOfRange);
    assert_eq!(reply.completion, "");
    // no more than HTTP/2 flow control allows
    let left = left.load(Ordering::Relaxed);
    assert!(left < SIZE / 10, "{left} bytes left the axon");
    let grown = peak_memory() - before;
    assert!(grown < SIZE / 2, "the process grew by {grown} bytes");
}

/// Returns the peak memory of this process in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kilobytes
        .and_then(|number| number.parse::<usize>().ok())
        .expect("a number")
}

// --- failures ---

#[tokio::test]
async fn every_status_of_an_axon_is_a_refusal_with_its_code() {
    // The return code of each gRPC status, from CANCELLED to UNAUTHENTICATED, by the numbers of the v4 protocol.
    let return_codes = [2, 22, 9, 2, 22, 22, 23, 3, 22, 22, 9, 5, 22, 4, 22, 23];
    for (code, return_code) in (1..=16).zip(return_codes) {
        let reply = ending(move || status(code, "go away")).await;
        assert_eq!(reply.return_code, return_code, "{reply:?}");
        assert_eq!(reply.outcome, Outcome::Refused, "{reply:?}");
        assert_eq!(reply.grpc_code, Code::from_i32(code));
        assert_eq!(reply.return_message, "go away");
        assert!(!reply.timing_dependent, "{reply:?}");
    }
}

/// A status that resembles a local error does not prove that the error occurred.
#[tokio::test]
async fn a_status_that_claims_a_bad_message_is_a_refusal() {
    for (code, words) in [
        (13, "failed to decode Protobuf message: invalid wire type"),
        (13, "Unexpected EOF decoding stream."),
        (2, "protocol error: missing grpc-status trailer"),
        (
            11,
            "Error, decoded message length too large: found 9 bytes, the limit is: 1 bytes",
        ),
    ] {
        let reply = ending(move || status(code, words)).await;
        assert_eq!(reply.outcome, Outcome::Refused, "{reply:?}");
    }
}

/// A status that claims a timeout before the deadline does not excuse the failure as slowness.
#[tokio::test]
async fn a_status_that_claims_a_timeout_is_a_refusal() {
    for (code, words) in [(4, "too slow, sorry"), (1, "Timeout expired")] {
        let reply = ending(move || status(code, words)).await;
        assert_eq!(reply.outcome, Outcome::Refused, "{reply:?}");
        assert!(!reply.timing_dependent, "{reply:?}");
    }
}

#[tokio::test]
async fn a_very_long_status_message_is_not_read() {
    let reply = ending(|| status(13, &"x".repeat(1 << 20))).await;
    assert_ne!(reply.outcome, Outcome::Success);
    assert!(reply.return_message.len() < 64 << 10);
}

#[tokio::test]
async fn silence_is_a_timeout_at_the_deadline() {
    let address = axon(|_| pending()).await;
    let reply = ask(address, SHORT).await;
    assert_eq!(reply.outcome, Outcome::Timeout);
    assert_eq!(reply.return_code, 2);
    assert_eq!(reply.grpc_code, Code::DeadlineExceeded);
    assert!(reply.timing_dependent);
    assert_eq!(reply.drawn_delay, None);
}

/// Neither headers nor a trickle of bytes extend the deadline.
#[tokio::test]
async fn a_reply_that_drips_past_the_deadline_is_a_timeout() {
    let address = axon(|_| {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(SHORT / 20).await;
            Some((Bytes::from_static(b" "), ()))
        });
        let head = Bytes::from_static(&[0, 0, 0, 255, 255]);
        let body = stream::once(ready(head)).chain(drops).map(Ok::<_, Infallible>);
        ready(response(AxumBody::from_stream(body)))
    })
    .await;
    let reply = ask(address, SHORT).await;
    assert_eq!(reply.outcome, Outcome::Timeout);
    assert!(reply.timing_dependent);
    assert_eq!(reply.completion, "");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_unreachable() {
    let address = axon(|_| {
        let half = framed(SAID.as_bytes()).slice(..20);
        let body = stream::iter([Ok(half), Err(std::io::Error::other("the axon broke off"))]);
        ready(response(AxumBody::from_stream(body)))
    })
    .await;
    let reply = ask(address, LONG).await;
    assert_eq!(reply.outcome, Outcome::Unreachable, "{reply:?}");
    assert_eq!(reply.return_code, 4, "{reply:?}");
    assert!(!reply.timing_dependent);
}

#[tokio::test]
async fn an_axon_that_closes_every_connection_is_unreachable() {
    let (listener, address) = listen().await;
    tokio::spawn(async move { while close_first(&listener).await {} });
    let reply = ask(address, LONG).await;
    assert_eq!(reply.outcome, Outcome::Unreachable, "{reply:?}");
}

/// Whether a dead connection is noticed before or during the call makes no difference.
#[tokio::test]
async fn a_call_is_repeated_after_its_connection_closes_once() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        assert!(close_first(&listener).await);
        serve(listener, |_| ready(completion(SAID)));
    });
    let reply = ask(address, LONG).await;
    assert_eq!(reply.outcome, Outcome::Success, "{reply:?}");
}

/// Accepts a connection, waits for the call on it, and closes it. Returns `false` if no client can connect any more.
async fn close_first(listener: &TcpListener) -> bool {
    let Ok((mut connection, _)) = listener.accept().await else {
        return false;
    };
    connection.read(&mut [0; 1024]).await.is_ok()
}

#[tokio::test]
async fn an_address_without_a_server_is_unreachable() {
    let (_, address) = listen().await;
    let reply = ask(address, LONG).await;
    assert_eq!(reply.outcome, Outcome::Unreachable);
    assert_eq!(reply.return_code, 4, "{reply:?}");
    assert_eq!(reply.grpc_code, Code::Unavailable);
}

#[tokio::test]
async fn a_uid_without_an_axon_is_unreachable() {
    let pool = pool(&[None], &[]);
    let replies = pool.forward(&fan_out(&pool, &[0, 9], LONG)).await;
    for reply in replies {
        assert_eq!(reply.outcome, Outcome::Unreachable, "{reply:?}");
        assert_eq!(
            (reply.return_code, &*reply.return_message),
            (24, "serves no axon")
        );
    }
}

// --- drawn delays ---

fn delayed(seconds: f64) -> LinkLaunch {
    LinkLaunch {
        first_uid: 0,
        last_uid: 0,
        latency: Latency::lognormal(seconds, seconds),
    }
}

/// The drawn delay decides, so another run times out as well: the outcome does not depend on timing, and the axon is
/// not called.
#[tokio::test]
async fn a_drawn_delay_over_the_deadline_is_a_reproducible_timeout() {
    let (asked, mut heard) = mpsc::unbounded_channel();
    let address = axon(move |_| {
        asked.send(()).expect("the test receives");
        ready(completion(SAID))
    })
    .await;
    let pool = pool(&[Some(address)], &[delayed(100.0)]);
    let replies = pool.forward(&fan_out(&pool, &[0], SHORT)).await;
    let [reply] = replies.as_slice() else {
        panic!("{replies:?}")
    };
    assert_eq!(reply.outcome, Outcome::Timeout);
    assert!(!reply.timing_dependent);
    let delay = reply.drawn_delay.expect("the link has a delay");
    assert!((delay.as_secs_f64() - 100.0).abs() < 1e-6, "{delay:?}");
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn a_drawn_delay_within_the_deadline_is_waited_out() {
    let address = axon(|_| ready(completion(SAID))).await;
    let pool = pool(&[Some(address)], &[delayed(0.05)]);
    let replies = pool.forward(&fan_out(&pool, &[0], LONG)).await;
    let [reply] = replies.as_slice() else {
        panic!("{replies:?}")
    };
    assert_eq!(reply.outcome, Outcome::Success);
    let delay = reply.drawn_delay.expect("the link has a delay");
    assert!(reply.latency >= delay, "{reply:?}");
}

// --- faults ---

/// Returns a rule with the name `rule` that disturbs all calls to uid 0.
fn rule(effects: LinkEffects) -> LinkRule {
    LinkRule {
        id: "rule".to_owned(),
        callers: None,
        to: Some(0.into()),
        to_chain: false,
        from_step: 0,
        by_clock: false,
        effects,
    }
}

/// Makes one call to an axon over a disturbed link. Returns the reply, and how often the axon was called.
async fn disturbed(effects: LinkEffects) -> (Reply, usize) {
    let called = Arc::new(AtomicUsize::new(0));
    let counter = called.clone();
    let address = axon(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        ready(completion(SAID))
    })
    .await;
    let pool = disturbed_pool(&[Some(address)], &[], &[rule(effects)]);
    let replies = pool.forward(&fan_out(&pool, &[0], SHORT)).await;
    let reply = replies.into_iter().next().expect("one uid was called");
    (reply, called.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_fault_decides_how_a_call_ends() {
    let none = LinkEffects::default;
    let error = ErrorReply::Coded(CodedError {
        code: StatusCode::ResourceExhausted,
        rate: 1.0,
    });
    let reset = |after| {
        let reset = StreamReset::After(ResetAfter { after, rate: 1.0 });
        LinkEffects {
            reset: Some(reset),
            ..none()
        }
    };
    let dropping = LinkEffects { drop: 1.0, ..none() };
    let losing = LinkEffects {
        drop_reply: 1.0,
        ..none()
    };
    let failing = LinkEffects {
        error: Some(error),
        ..none()
    };
    let leaving = LinkEffects {
        goaway: 1.0,
        ..none()
    };
    let stalling = LinkEffects { stall: 1.0, ..none() };
    let twice = LinkEffects {
        duplicate: 1.0,
        ..none()
    };
    // A call on a broken connection is made twice. The codes of broken streams are those that the gRPC specification of
    // HTTP/2 assigns to the error codes NO_ERROR and INTERNAL_ERROR.
    let cases = [
        ("drop", dropping, Outcome::Timeout, Code::DeadlineExceeded, 0),
        ("drop_reply", losing, Outcome::Timeout, Code::DeadlineExceeded, 1),
        ("error", failing, Outcome::Refused, Code::ResourceExhausted, 0),
        ("goaway", leaving, Outcome::Unreachable, Code::Internal, 2),
        ("reset", reset(0), Outcome::Unreachable, Code::Internal, 2),
        ("reset", reset(20), Outcome::Unreachable, Code::Internal, 2),
        ("stall", stalling, Outcome::Timeout, Code::DeadlineExceeded, 1),
        ("duplicate", twice, Outcome::Success, Code::Ok, 2),
    ];
    for (effect, effects, outcome, code, calls) in cases {
        let (reply, called) = disturbed(effects).await;
        assert_eq!((reply.outcome, called), (outcome, calls), "{effect}: {reply:?}");
        assert_eq!(reply.grpc_code, code, "{effect}: {reply:?}");
        assert!(!reply.timing_dependent, "{effect}: {reply:?}");
        let faults: Vec<&str> = reply.faults.iter().map(|fault| &**fault).collect();
        assert_eq!(faults, [format!("rule/{effect}")]);
    }
}

/// The caller cannot distinguish a refusal by a fault from a port at which no process listens.
#[tokio::test]
async fn a_refusal_by_a_fault_equals_a_real_one() {
    let (listener, closed) = listen().await;
    drop(listener);
    let pool = pool(&[Some(closed)], &[]);
    let replies = pool.forward(&fan_out(&pool, &[0], SHORT)).await;
    let refusing = LinkEffects {
        refuse: 1.0,
        ..LinkEffects::default()
    };
    let (reply, called) = disturbed(refusing).await;
    let seen = |reply: &Reply| (reply.outcome, reply.grpc_code, reply.return_message.clone());
    assert_eq!(seen(&reply), seen(&replies[0]));
    assert_eq!((reply.outcome, called), (Outcome::Unreachable, 0));
}

/// A changed byte is either noticed as a malformed message or changes the completion. It never passes unnoticed.
#[tokio::test]
async fn a_corrupted_reply_is_not_the_reply() {
    let corrupting = LinkEffects {
        corrupt: 1.0,
        ..LinkEffects::default()
    };
    let (reply, called) = disturbed(corrupting).await;
    assert_eq!(called, 1);
    assert_ne!(reply.completion, SAID, "{reply:?}");
}

/// A rule on one link does not disturb the calls on another one at the same time, even if it ends connections.
#[tokio::test]
async fn a_fault_of_one_link_leaves_the_others_alone() {
    let address = axon(|_| ready(completion(SAID))).await;
    let leaving = LinkEffects {
        goaway: 1.0,
        ..LinkEffects::default()
    };
    let pool = disturbed_pool(&[Some(address), Some(address)], &[], &[rule(leaving)]);
    let replies = pool.forward(&fan_out(&pool, &[0, 1], LONG)).await;
    let outcomes: Vec<Outcome> = replies.iter().map(|reply| reply.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unreachable, Outcome::Success]);
    assert!(replies[1].faults.is_empty());
}

// --- requests ---

#[tokio::test]
async fn a_call_contains_its_deadline_its_trace_and_its_numbers() {
    let (asked, mut heard) = mpsc::unbounded_channel();
    let address = axon(move |request| {
        asked.send(request).expect("the test receives");
        ready(completion(SAID))
    })
    .await;
    let pool = pool(&[None, None, Some(address)], &[]);
    let fan_out = fan_out(&pool, &[2], LONG);
    pool.forward(&fan_out).await;
    let request = heard.recv().await.expect("the axon was called");
    assert_eq!(request.uri().path(), "/TextPrompting/Forward");
    let header = |name| request.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("rpc-auth-header"), "Bittensor");
    assert_eq!(header("bittensor-version"), "500");
    assert_eq!(header("mirror-call"), "7.1.0");

    let timeout = grpc_timeout(&header("grpc-timeout"));
    assert!(timeout > LONG / 2 && timeout <= LONG, "{timeout:?}");

    // W3C trace context: version, trace, span and flags, in lower-case hexadecimal, neither id zero
    let parent = header("traceparent");
    let parts: Vec<&str> = parent.split('-').collect();
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [2, 32, 16, 2]
    );
    assert!(
        parent
            .chars()
            .all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')),
        "{parent}"
    );
    assert_eq!(parts[0], "00");
    assert!(parts[1..3].iter().all(|id| id.contains(|c| c != '0')), "{parent}");
    let trace = pool.trace(&fan_out.forward).map(|byte| format!("{byte:02x}"));
    assert_eq!(parts[1], trace.concat());

    let body = request.into_body().into_data_stream();
    let body: Vec<Bytes> = body
        .map(|piece| piece.expect("the pool sends the whole body"))
        .collect()
        .await;
    let body = ForwardTextPromptingRequest::decode(&body.concat()[5..]).expect("the v4 message");
    let hotkey = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0)).public();
    assert_eq!(body.hotkey, hotkey.to_string());
    assert_eq!(body.messages, fan_out.messages);
    assert!((body.timeout - LONG.as_secs_f32()).abs() < 1e-3);
}

/// Both forwards of a step have one trace, each call in it has a separate span, and the next step has another trace.
#[tokio::test]
async fn a_step_is_a_trace_and_a_call_a_span() {
    let (asked, mut heard) = mpsc::unbounded_channel();
    let address = axon(move |request| {
        asked.send(request).expect("the test receives");
        ready(completion(SAID))
    })
    .await;
    let pool = pool(&[Some(address)], &[]);
    let mut parents = Vec::new();
    for (step, forward_index) in [(7, 0), (7, 1), (8, 0), (7, 0)] {
        let mut fan_out = fan_out(&pool, &[0], LONG);
        (fan_out.forward.step, fan_out.forward.forward_index) = (step, forward_index);
        pool.forward(&fan_out).await;
        let request = heard.recv().await.expect("the axon was called");
        let parent = request.headers()["traceparent"]
            .to_str()
            .expect("text")
            .to_owned();
        parents.push((parent[3..35].to_owned(), parent[36..52].to_owned()));
    }
    let [question, answer, next, again] = parents.as_slice() else {
        panic!("{parents:?}")
    };
    assert_eq!(question.0, answer.0);
    assert_ne!(question.1, answer.1);
    assert_ne!(question.0, next.0);
    assert_eq!(question, again);
}

/// Parses a gRPC timeout: at most eight digits and a unit.
fn grpc_timeout(text: &str) -> Duration {
    let (digits, unit) = text.split_at(text.len() - 1);
    assert!((1..=8).contains(&digits.len()), "{text}");
    let number: u64 = digits.parse().expect("digits");
    match unit {
        "n" => Duration::from_nanos(number),
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        other => panic!("the unit {other} of {text} is too coarse"),
    }
}

// --- concurrent calls ---

/// The first axon answers only after the last was called. Sequential calls would never finish.
#[tokio::test]
async fn axons_are_called_concurrently_and_replies_are_in_the_order_of_the_uids() {
    let (sender, opened) = watch::channel(false);
    let waiting = axon(move |_| {
        let mut opened = opened.clone();
        async move {
            opened
                .wait_for(|is_open| *is_open)
                .await
                .expect("the last axon is running");
            completion("I have waited for it")
        }
    })
    .await;
    let telling = axon(move |_| {
        sender.send_replace(true);
        ready(completion("Nobody waits any more"))
    })
    .await;
    let silent = axon(|_| pending()).await;
    let refusing = axon(|_| ready(status(7, "not you"))).await;
    let pool = pool(&[Some(telling), Some(silent), Some(refusing), Some(waiting)], &[]);
    let replies = pool
        .forward(&fan_out(&pool, &[3, 1, 2, 0], Duration::from_secs(2)))
        .await;
    let found: Vec<(u32, Outcome)> = replies.iter().map(|reply| (reply.uid, reply.outcome)).collect();
    let expected = [
        (3, Outcome::Success),
        (1, Outcome::Timeout),
        (2, Outcome::Refused),
        (0, Outcome::Success),
    ];
    assert_eq!(found, expected);
}

/// A thousand calls on one connection. A server accepts a few hundred concurrently.
#[tokio::test]
async fn many_concurrent_calls_of_one_axon_get_their_replies() {
    let address = axon(|_| ready(completion(SAID))).await;
    let pool = pool(&[Some(address)], &[]);
    let replies = pool.forward(&fan_out(&pool, &[0; 1_000], LONG)).await;
    assert_eq!(replies.len(), 1_000);
    assert!(replies.iter().all(|reply| reply.outcome == Outcome::Success));
}

// --- rewards ---

#[tokio::test]
async fn rewards_that_are_not_accepted_are_reported_and_delay_no_others() {
    let taking = axon(|_| ready(message(&[]))).await;
    let silent = axon(|_| pending()).await;
    let refusing = axon(|_| ready(status(12, "no rewards here"))).await;
    let pool = pool(&[Some(taking), Some(silent), Some(refusing), None], &[]);
    let backward = |uid| Backward {
        call: CallId {
            uid,
            call: CallNumber::QUERY.reward(),
            ..fan_out(&pool, &[], SHORT).forward
        },
        messages: Vec::new(),
        completion: SAID.to_owned(),
        reward: 0.5,
        timeout: SHORT,
    };
    let codes = pool.backward((0..4).map(backward).collect()).await;
    let codes: Vec<Code> = (0..4).map(|uid| codes[&uid].code).collect();
    let expected = [
        Code::Ok,
        Code::DeadlineExceeded,
        Code::Unimplemented,
        Code::Unavailable,
    ];
    assert_eq!(codes, expected);
}
