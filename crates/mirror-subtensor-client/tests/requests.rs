//! Tests of the client against a server on loopback: retries, deadlines and log lines.

mod node;

use std::net::SocketAddr;
use std::time::Duration;

use mirror_identity::{Owner, SecretKey};
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::{BlockClosed, Metagraph, Nominator, Nominators};
use mirror_seed::Seed;
use mirror_subtensor_client::{Detail, MetagraphError, RequestError, SubtensorClient};
use node::{Node, Reply, reserve};
use tokio::sync::watch;
use tonic::{Code, Status};

/// Deadline that a request to an answering server always meets.
const AMPLE: Duration = Duration::from_mins(1);

/// Deadline for a request to a server that never answers.
const SHORT: Duration = Duration::from_millis(200);

/// Codes of transient failures.
const PASSING: [Code; 4] = [
    Code::Unavailable,
    Code::DeadlineExceeded,
    Code::Cancelled,
    Code::ResourceExhausted,
];

fn tracer() -> Tracer {
    Tracer::new(&Seed::root(1), "test", 0)
}

fn client(address: SocketAddr) -> SubtensorClient {
    SubtensorClient::new(tracer(), address)
}

#[tokio::test]
async fn a_transient_failure_is_retried_until_there_is_an_answer() {
    for code in PASSING {
        let node = Node::default();
        for _ in 0..3 {
            node.will_reply(Reply::CurrentBlock(Err(Status::new(code, "busy"))));
        }
        node.will_reply(Reply::CurrentBlock(Ok(7)));
        let block = client(node.serve().await).current_block().await;
        assert_eq!(block.expect("the fourth attempt is answered"), 7, "{code:?}");
        assert_eq!(node.requests(), 4, "{code:?}");
    }
}

#[tokio::test]
async fn a_permanent_failure_ends_the_request() {
    for code in (0..17).map(Code::from_i32) {
        if code == Code::Ok || PASSING.contains(&code) {
            continue;
        }
        let node = Node::default();
        node.will_reply(Reply::CurrentBlock(Err(Status::new(code, "no"))));
        let outcome = client(node.serve().await).current_block().await;
        let Err(RequestError::Refused { request, status }) = outcome else {
            panic!("{code:?}: {outcome:?}");
        };
        assert_eq!((request, status.code()), ("GetCurrentBlock", code));
        assert_eq!(node.requests(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn a_node_waits_for_a_server_that_appears_later_and_logs_the_wait_once() {
    let (port, address) = reserve();
    let mut log = node::log();
    let client = client(address);
    let asked = {
        let client = client.clone();
        tokio::spawn(async move { (client.current_block().await, client.current_block().await) })
    };
    let first = log.next().await;
    assert!(first.contains("WARN"), "{first}");
    assert!(first.contains("the subtensor does not answer"), "{first}");
    let node = Node::default();
    node.will_reply(Reply::CurrentBlock(Err(Status::unavailable("starting"))));
    node.will_reply(Reply::CurrentBlock(Err(Status::unavailable("starting"))));
    node.will_reply(Reply::CurrentBlock(Ok(7)));
    node.will_reply(Reply::CurrentBlock(Ok(8)));
    node.serve_on(port);
    let (block, next) = asked.await.expect("the requests do not panic");
    assert_eq!(block.expect("the server answers"), 7);
    assert_eq!(next.expect("the server answers"), 8);
    let second = log.next().await;
    assert!(second.contains("INFO"), "{second}");
    assert!(second.contains("the subtensor answers again"), "{second}");
    assert_eq!(log.rest(), Vec::<String>::new());
}

#[tokio::test]
async fn the_next_attempt_uses_the_current_address() {
    let (_port, nowhere) = reserve();
    let (moves, address) = watch::channel(nowhere);
    let mut log = node::log();
    let client = SubtensorClient::following(tracer(), address);
    let asked = tokio::spawn(async move { client.current_block().await });
    assert!(log.next().await.contains("does not answer"));
    let node = Node::default();
    node.will_reply(Reply::CurrentBlock(Ok(7)));
    moves.send_replace(node.serve().await);
    let block = asked.await.expect("the request does not panic");
    assert_eq!(block.expect("the other server answers"), 7);
}

#[tokio::test]
async fn with_a_deadline_a_request_ends_with_the_failure_of_its_last_attempt() {
    let (_port, nowhere) = reserve();
    let outcome = client(nowhere).with_deadline(SHORT).current_block().await;
    let Err(RequestError::DeadlineExceeded {
        request,
        deadline,
        last,
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!((request, deadline), ("GetCurrentBlock", SHORT));
    assert!(last.is_some());
}

#[tokio::test]
async fn a_deadline_ends_an_attempt_that_is_in_progress() {
    let node = Node::default();
    node.will_reply(Reply::Never);
    let client = client(node.serve().await).with_deadline(SHORT);
    let outcome = client.current_block().await;
    assert!(
        matches!(outcome, Err(RequestError::DeadlineExceeded { last: None, .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_invalid_metagraph_is_an_error_and_not_requested_again() {
    let node = Node::default();
    node.will_reply(Reply::Metagraph(Metagraph::default()));
    let client = client(node.serve().await);
    let outcome = client.metagraph(Some(3), Detail::Lite).await;
    assert!(
        matches!(
            outcome,
            Err(RequestError::Metagraph(MetagraphError::NoHyperparameters))
        ),
        "{outcome:?}"
    );
    assert_eq!(node.requests(), 1);
}

#[tokio::test]
async fn nominators_have_keys_of_32_bytes() {
    let hotkey = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0)).public();
    for (length, valid) in [(31, false), (32, true), (33, false)] {
        let node = Node::default();
        let nominator = Nominator {
            coldkey: vec![5; length],
            stake: 9,
        };
        node.will_reply(Reply::Nominators(Nominators {
            nominators: vec![nominator],
        }));
        let outcome = client(node.serve().await).nominators(&hotkey).await;
        match outcome {
            Ok(nominators) => {
                assert!(valid, "{length}");
                let [(coldkey, stake)] = nominators[..] else {
                    panic!("{nominators:?}");
                };
                assert_eq!((coldkey.bytes(), stake), ([5; 32], 9));
            }
            Err(error) => assert!(!valid && matches!(error, RequestError::Nominator(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_step_is_reported_again_after_its_stream_breaks() {
    let closed = |step| BlockClosed {
        step,
        block: step + 1,
        ..BlockClosed::default()
    };
    let node = Node::default();
    // The first stream ends before its report is answered, the second fails, and the third begins with an earlier step.
    node.will_reply(Reply::StepsThatEnd);
    node.will_reply(Reply::Steps(vec![Err(Status::unavailable("ending"))]));
    node.will_reply(Reply::Steps(vec![Ok(closed(4)), Ok(closed(5)), Ok(closed(6))]));
    let hotkey = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0)).public();
    let mut barrier = client(node.serve().await).with_deadline(AMPLE).barrier(hotkey);
    for step in [5, 6] {
        let block = barrier.step_done(step).await.expect("the third stream answers");
        assert_eq!((block.step, block.block), (step, step + 1));
    }
    assert_eq!(node.requests(), 3);
}

#[tokio::test]
async fn a_report_that_the_subtensor_refuses_is_an_error() {
    let node = Node::default();
    node.will_reply(Reply::Steps(vec![Err(Status::invalid_argument(
        "no such validator",
    ))]));
    let hotkey = SecretKey::hotkey(&Seed::root(1), Owner::Validator(0)).public();
    let outcome = client(node.serve().await).barrier(hotkey).step_done(5).await;
    assert!(
        matches!(&outcome, Err(RequestError::Refused { request: "Steps", status })
            if status.code() == Code::InvalidArgument),
        "{outcome:?}"
    );
}
