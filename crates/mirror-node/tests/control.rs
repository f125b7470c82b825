//! Tests of the fault state of a node, which a client changes while the node runs.

mod odd_node;

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Child;

use mirror_net::channel;
use mirror_proto::mirror::v1::FaultState;
use mirror_proto::mirror::v1::node_control_client::NodeControlClient;
use mirror_proto::protocol::{COORDINATOR, FAULT_STATE_LIMIT};
use mirror_spec::launch::Launch;
use mirror_test_support::certificates;
use tonic::{Code, Status};

use odd_node::{launch, listening, start, tell, wait_tied};

/// A node and its addresses. Its process is ended by its lifeline.
struct Node {
    child: Child,
    address: SocketAddr,
    control: SocketAddr,
}

impl Node {
    fn start(role: &str) -> Self {
        Self::launched(&launch(role))
    }

    fn launched(launch: &Launch<String>) -> Self {
        let mut child = start();
        tell(&mut child, launch);
        let listening = listening(&mut child);
        Self {
            child,
            address: listening.address,
            control: listening.liveness,
        }
    }

    async fn apply(&self, state: FaultState) -> Result<u64, Status> {
        self.apply_as(Some(COORDINATOR), state).await
    }

    /// Sends a state with the certificate of `caller`, or without TLS.
    async fn apply_as(&self, caller: Option<&str>, state: FaultState) -> Result<u64, Status> {
        let channel = match caller {
            Some(caller) => channel::secure(
                self.control,
                certificates::identity(caller).connecting_to("odd-0"),
            ),
            None => channel::lazy(self.control),
        };
        let applied = NodeControlClient::new(channel).apply(state).await?;
        Ok(applied.into_inner().revision)
    }

    /// Ends the node and returns its log.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        String::from_utf8(wait_tied(self.child).stderr).expect("the log is text")
    }
}

fn state(revision: u64, rules: &str) -> FaultState {
    FaultState {
        revision,
        rules: rules.into(),
        ..FaultState::default()
    }
}

#[tokio::test]
async fn a_state_is_applied_before_the_reply() {
    let node = Node::start("apply");
    assert_eq!(node.apply(state(1, "first")).await.unwrap(), 1);
    assert_eq!(node.apply(state(7, "second")).await.unwrap(), 7);
    let log = node.end();
    assert!(log.contains("revision 1 has the rules first"), "{log}");
    assert!(log.contains("revision 7 has the rules second"), "{log}");
}

#[tokio::test]
async fn a_revision_that_is_not_new_is_ignored() {
    let node = Node::start("apply");
    assert_eq!(node.apply(state(0, "zero")).await.unwrap(), 0);
    assert_eq!(node.apply(state(3, "third")).await.unwrap(), 3);
    assert_eq!(node.apply(state(2, "second")).await.unwrap(), 3);
    assert_eq!(node.apply(state(3, "bad")).await.unwrap(), 3);
    let log = node.end();
    assert!(!log.contains("second") && !log.contains("zero"), "{log}");
}

#[tokio::test]
async fn only_the_coordinator_changes_the_state() {
    let node = Node::start("apply");
    for (caller, code) in [
        (None, Code::Unauthenticated),
        (Some("operator"), Code::PermissionDenied),
        (Some("validator-0"), Code::PermissionDenied),
        (Some("odd-0"), Code::PermissionDenied),
    ] {
        let status = node.apply_as(caller, state(1, "denied")).await.unwrap_err();
        assert_eq!(status.code(), code, "{caller:?}");
    }
    let log = node.end();
    assert!(!log.contains("denied"), "{log}");
}

#[tokio::test]
async fn a_state_that_is_refused_changes_nothing() {
    let node = Node::start("apply");
    let refused = node.apply(state(1, "bad")).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "there is no rule `bad`")
    );
    let skewed = FaultState {
        clock_skew: 1e300,
        ..state(2, "skewed")
    };
    let refused = node.apply(skewed).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("a clock cannot be"), "{refused}");
    assert_eq!(node.apply(state(1, "good")).await.unwrap(), 1);
    let log = node.end();
    assert!(log.contains("revision 1 has the rules good"), "{log}");
    assert!(!log.contains("skewed"), "{log}");
}

#[tokio::test]
async fn a_busy_node_applies_a_state() {
    let node = Node::start("spin");
    assert_eq!(node.apply(state(1, "busy")).await.unwrap(), 1);
    node.end();
}

/// The node registers its handler when a client has sent all, and then closes the connection.
#[tokio::test]
async fn a_handler_receives_the_latest_state_when_it_is_registered() {
    let node = Node::start("apply-late");
    for (revision, rules) in [(1, "first"), (2, "second"), (3, "third")] {
        assert_eq!(node.apply(state(revision, rules)).await.unwrap(), revision);
    }
    let mut connection = TcpStream::connect(node.address).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    connection.read_to_end(&mut Vec::new()).unwrap();
    assert!(node.apply(state(4, "bad")).await.is_err());
    let log = node.end();
    assert!(log.contains("revision 3 has the rules third"), "{log}");
    assert!(!log.contains("first") && !log.contains("second"), "{log}");
}

/// A message of the limit does not fit, because it also has a revision.
#[tokio::test]
async fn the_size_of_a_request_is_bounded() {
    let node = Node::start("apply");
    let large = "x".repeat(FAULT_STATE_LIMIT - 100);
    assert_eq!(node.apply(state(1, &large)).await.unwrap(), 1);
    let status = node
        .apply(state(2, &"x".repeat(FAULT_STATE_LIMIT)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(node.apply(state(2, "small")).await.unwrap(), 2);
    node.end();
}

#[tokio::test]
async fn the_log_follows_the_clock_of_the_node() {
    let years = |count: f64| count * 365.25 * 86_400.0;
    let node = Node::launched(&Launch {
        clock_skew: years(50.0),
        ..launch("apply")
    });
    let back = FaultState {
        clock_skew: years(-30.0),
        ..state(1, "back")
    };
    node.apply(back).await.unwrap();
    node.apply(state(2, "right")).await.unwrap();
    let log = node.end();
    let year_of = |words: &str| -> f64 {
        let line = log
            .lines()
            .find(|line| line.contains(words))
            .expect("it is logged");
        line[..4].parse().expect("a line begins with the year")
    };
    let now = year_of("applied a fault state revision=2");
    assert!((year_of("listening") - now - 50.0).abs() <= 1.0, "{log}");
    assert!(
        (year_of("applied a fault state revision=1") - now + 30.0).abs() <= 1.0,
        "{log}"
    );
}

#[test]
fn a_clock_that_cannot_be_set_is_refused() {
    let mut child = start();
    tell(
        &mut child,
        &Launch {
            clock_skew: 1e12,
            ..launch("accept")
        },
    );
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(
        stderr.contains("a clock cannot be 1000000000000 seconds off"),
        "{stderr}"
    );
}
