//! A running proxy, with targets and callers.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mirror_net::channel;
use mirror_proto::mirror::v1::proxy_client::ProxyClient;
use mirror_proto::mirror::v1::wire_rule::Effect;
use mirror_proto::mirror::v1::{
    LinkTraffic, ServeTarget, Traffic, TrafficRequest, WireDirection, WireRule, WireRules,
};
use mirror_proto::protocol::{COORDINATOR, PROXY};
use mirror_spec::launch::{Listening, ProxyLaunch};
use mirror_test_support::certificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;
use tonic::transport::Channel;

/// Timeout of events that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// The addresses of two callers.
pub(crate) const ALICE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 1, 0, 1));
pub(crate) const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 1, 0, 2));

/// A running proxy. It ends when this is dropped.
pub(crate) struct TestEnv {
    child: Child,
    client: ProxyClient<Channel>,
}

/// A target with the address for its callers.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) listener: TcpListener,
    pub(crate) for_callers: SocketAddr,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mirror-proxy"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built with the tests");
        let launch = mirror_test_support::launch::launch("proxy", ProxyLaunch {});
        let mut line = serde_json::to_vec(&launch).expect("a launch config is JSON");
        line.push(b'\n');
        let stdin = child.stdin.as_mut().expect("standard input is a pipe");
        stdin.write_all(&line).expect("the proxy reads its launch config");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("standard output is a pipe"))
            .read_line(&mut line)
            .expect("the proxy prints its address");
        let listening: Listening = serde_json::from_str(&line).expect("its address");
        Self {
            child,
            client: ProxyClient::new(channel::secure(
                listening.address,
                certificates::identity(COORDINATOR).connecting_to(PROXY),
            )),
        }
    }

    /// Starts to serve a target, or moves it.
    pub(crate) async fn serve(&self, name: &str, address: &str) -> Result<SocketAddr, Status> {
        let target = ServeTarget {
            name: name.to_owned(),
            address: address.to_owned(),
        };
        let served = self.client.clone().serve(target).await?.into_inner();
        Ok(served.address.parse().expect("an address"))
    }

    /// Starts to serve a target that listens.
    pub(crate) async fn target(&self, name: &str) -> Target {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let for_callers = self
            .serve(name, &address.to_string())
            .await
            .expect("a valid target");
        Target {
            name: name.to_owned(),
            listener,
            for_callers,
        }
    }

    pub(crate) async fn set(&self, rules: &[WireRule]) -> Result<u64, Status> {
        let rules = WireRules {
            rules: rules.to_vec(),
        };
        Ok(self.client.clone().set_rules(rules).await?.into_inner().revision)
    }

    /// Sets rules that are valid.
    pub(crate) async fn rules(&self, rules: &[WireRule]) {
        self.set(rules).await.expect("the rules are valid");
    }

    pub(crate) async fn traffic(&self) -> Traffic {
        let traffic = self.client.clone().get_traffic(TrafficRequest {}).await;
        traffic.expect("the proxy answers").into_inner()
    }

    pub(crate) async fn link(&self, source: IpAddr, target: &str) -> LinkTraffic {
        let links = self.traffic().await.links;
        let link = links
            .into_iter()
            .find(|link| link.source == source.to_string() && link.target == target);
        link.expect("the link has connections")
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("the proxy ends with its lifeline");
    }
}

impl Target {
    /// Connects as a caller. Returns the ends of the caller and of the target.
    pub(crate) async fn connect(&self, source: IpAddr) -> (TcpStream, TcpStream) {
        let caller = self.call(source).await;
        (caller, self.accept().await)
    }

    /// Connects as a caller, without waiting for the target.
    pub(crate) async fn call(&self, source: IpAddr) -> TcpStream {
        let caller = channel::connect(self.for_callers, Some(source)).await;
        let caller = caller.expect("the proxy accepts");
        caller.set_nodelay(true).expect("a socket");
        caller
    }

    /// Connects as a caller and checks that the connection is reset.
    pub(crate) async fn resets(&self, source: IpAddr) {
        match channel::connect(self.for_callers, Some(source)).await {
            Ok(mut caller) => assert!(receive_all(&mut caller).await.1),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        let (socket, _) = accepted.expect("the proxy connects").expect("it listens");
        socket.set_nodelay(true).expect("a socket");
        socket
    }
}

/// Returns a rule with this id that covers everything in both directions.
pub(crate) fn rule(id: &str, effect: Effect) -> WireRule {
    WireRule {
        id: id.to_owned(),
        effect: Some(effect),
        ..WireRule::default()
    }
}

/// Restricts a rule to the bytes from the caller to the target.
pub(crate) fn of_requests(rule: WireRule) -> WireRule {
    WireRule {
        direction: WireDirection::Requests.into(),
        ..rule
    }
}

/// Restricts a rule to the bytes from the target to the caller.
pub(crate) fn of_replies(rule: WireRule) -> WireRule {
    WireRule {
        direction: WireDirection::Replies.into(),
        ..rule
    }
}

/// Restricts a rule to a caller.
pub(crate) fn of(source: IpAddr, rule: WireRule) -> WireRule {
    WireRule {
        sources: vec![source.to_string()],
        ..rule
    }
}

/// Returns bytes by which their order can be checked.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Sends bytes in one direction and checks that they arrive.
pub(crate) async fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    let receiving = receive(to, bytes.len());
    let (sent, received) = tokio::join!(from.write_all(bytes), receiving);
    sent.expect("the connection is open");
    assert!(received == bytes, "the bytes differ");
}

/// Receives a number of bytes.
pub(crate) async fn receive(from: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut received = vec![0; length];
    let read = tokio::time::timeout(PATIENCE, from.read_exact(&mut received)).await;
    read.expect("the bytes arrive").expect("the connection is open");
    received
}

/// Receives until the end of the stream. Returns the bytes, and whether the connection was reset.
pub(crate) async fn receive_all(from: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut received = Vec::new();
    let read = tokio::time::timeout(PATIENCE, from.read_to_end(&mut received)).await;
    match read.expect("the stream ends") {
        Ok(_) => (received, false),
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            (received, true)
        }
    }
}

/// Returns the number of bytes that have arrived.
pub(crate) fn arrived(at: &TcpStream) -> usize {
    match at.try_read(&mut [0; 1_024]) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        Err(error) => panic!("the connection failed: {error}"),
    }
}

/// Checks that a connection passes bytes in both directions and that each end sees the end of the other.
pub(crate) async fn is_unimpeded(mut caller: TcpStream, mut target: TcpStream) {
    passes(&mut caller, &mut target, &pattern(100_000)).await;
    passes(&mut target, &mut caller, &pattern(300_000)).await;
    caller.shutdown().await.expect("the connection is open");
    assert_eq!(receive_all(&mut target).await, (Vec::new(), false));
    passes(&mut target, &mut caller, b"after the half-close").await;
    drop(target);
    assert_eq!(receive_all(&mut caller).await, (Vec::new(), false));
}
