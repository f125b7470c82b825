//! Servers with certificates and the callers that they admit. Every refusal states its reason and is counted.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mirror_certificates::Authority;
use mirror_net::channel;
use mirror_net::server::{self, Bound, Callers, Counters, Limits, Services};
use mirror_net::tls::{Identity, PeerName};
use mirror_proto::mirror::v1::node_control_client::NodeControlClient;
use mirror_proto::mirror::v1::node_control_server::{NodeControl, NodeControlServer};
use mirror_proto::mirror::v1::{FaultState, FaultStateApplied};
use mirror_spec::launch::Credentials;
use mirror_test_support::loopback::listen;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use time::{Duration as Days, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A service that sends the names of its callers to the test.
struct Control(mpsc::UnboundedSender<String>);

#[async_trait]
impl NodeControl for Control {
    async fn apply(&self, request: Request<FaultState>) -> Result<Response<FaultStateApplied>, Status> {
        let name = PeerName::of(&request)?;
        self.0
            .send(name.as_str().to_owned())
            .expect("the test waits for names");
        Ok(Response::new(FaultStateApplied { revision: 1 }))
    }
}

/// A server called `miner-3` with a service for the coordinator only.
struct Server {
    authority: Authority,
    address: SocketAddr,
    counters: Arc<Counters>,
    names: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let authority = authority();
        let (sender, names) = mpsc::unbounded_channel();
        let service = NodeControlServer::new(Control(sender));
        let credentials = authority.issue("miner-3").expect("the name is valid");
        let services =
            Services::new(Some(identity(&credentials))).only(Callers::Named(&["coordinator"]), service);
        let (listener, address) = listen().await;
        let counters = limits.counters.clone();
        tokio::spawn(server::serve(listener, services, limits, pending()));
        Self {
            authority,
            address,
            counters,
            names,
        }
    }

    /// Returns a channel to the server that shows the certificate of `credentials` and trusts the server's authority.
    fn channel(&self, credentials: &Credentials) -> Channel {
        let trusting = Credentials {
            authority: self.authority.certificate().to_owned(),
            ..credentials.clone()
        };
        self.channel_of(&identity(&trusting), "miner-3")
    }

    fn channel_of(&self, identity: &Identity, server: &str) -> Channel {
        channel::secure(self.address, identity.connecting_to(server))
    }
}

fn authority() -> Authority {
    Authority::new().expect("the system has random numbers")
}

fn identity(credentials: &Credentials) -> Identity {
    Identity::new(credentials).expect("the certificate is valid")
}

async fn apply(channel: Channel) -> Result<(), Status> {
    let applied = NodeControlClient::new(channel).apply(FaultState::default()).await;
    applied.map(|_| ())
}

async fn check_health(channel: Channel) -> Result<(), Status> {
    let checked = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    checked.map(|_| ())
}

/// Returns the message of a status with the messages of its causes.
fn described(status: &Status) -> String {
    let mut text = status.to_string();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn the_service_of_the_coordinator_admits_the_coordinator_only_and_health_checks_are_open() {
    let mut server = Server::start(Limits::default()).await;
    let issue = |name| server.authority.issue(name).expect("the name is valid");
    let coordinator = server.channel(&issue("coordinator"));
    apply(coordinator.clone()).await.expect("it is admitted");
    assert_eq!(server.names.recv().await.as_deref(), Some("coordinator"));
    check_health(coordinator).await.expect("health checks are open");
    let plain = channel::lazy(server.address);
    check_health(plain.clone()).await.expect("health checks are open");

    let refused = apply(plain).await.expect_err("it has no certificate");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(
        refused.message().contains("requires TLS with a certificate"),
        "{refused}"
    );
    assert_eq!(server.counters.get(Bound::NoCertificate), 1);

    for other in ["validator-0", "miner-3", "operator"] {
        let refused = apply(server.channel(&issue(other)))
            .await
            .expect_err("it has another name");
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains(other), "{refused}");
    }
    assert_eq!(server.counters.get(Bound::Callers), 3);
    assert_eq!(server.counters.get(Bound::Handshake), 0);
}

#[tokio::test]
async fn a_certificate_of_another_network_is_refused() {
    let server = Server::start(Limits::default()).await;
    let foreign = authority().issue("coordinator").expect("the name is valid");
    let refused = apply(server.channel(&foreign))
        .await
        .expect_err("another authority signed it");
    assert!(
        described(&refused).contains("UnknownCA"),
        "{}",
        described(&refused)
    );
    assert_eq!(server.counters.get(Bound::Handshake), 1);
}

#[tokio::test]
async fn a_certificate_is_refused_outside_of_its_time() {
    let server = Server::start(Limits::default()).await;
    let now = OffsetDateTime::now_utc();
    let day = Days::days(1);
    for (from, until) in [(now - day * 2, now - day), (now + day, now + day * 2)] {
        let issued = server.authority.issue_for("coordinator", from, until);
        let issued = issued.expect("the name is valid");
        let refused = apply(server.channel(&issued))
            .await
            .expect_err("it is not valid now");
        let text = described(&refused);
        assert!(text.contains("CertificateExpired"), "{text}");
    }
    assert_eq!(server.counters.get(Bound::Handshake), 2);
}

#[tokio::test]
async fn a_client_with_tls_and_without_a_certificate_is_refused() {
    let server = Server::start(Limits::default()).await;
    let mut roots = rustls::RootCertStore::empty();
    let authority = server.authority.certificate().as_bytes();
    let authority = rustls::pki_types::CertificateDer::from_pem_slice(authority);
    roots.add(authority.expect("it is valid")).expect("it is valid");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await.expect("it listens");
    let name = ServerName::try_from("miner-3.mirror").expect("the name is valid");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("the server sends its part of the handshake first");
    let read = stream.read(&mut [0; 1]).await.expect_err("the server refuses");
    assert!(read.to_string().contains("CertificateRequired"), "{read}");
    assert_eq!(server.counters.get(Bound::Handshake), 1);
}

#[tokio::test]
async fn a_client_refuses_a_server_of_another_network_or_with_another_name() {
    let server = Server::start(Limits::default()).await;
    let foreign = authority().issue("coordinator").expect("the name is valid");
    let refused = apply(server.channel_of(&identity(&foreign), "miner-3")).await;
    let refused = refused.expect_err("another authority signed the server's certificate");
    assert!(
        described(&refused).contains("UnknownIssuer"),
        "{}",
        described(&refused)
    );
    let ours = server.authority.issue("coordinator").expect("the name is valid");
    let refused = apply(server.channel_of(&identity(&ours), "miner-4")).await;
    let refused = refused.expect_err("the server is called miner-3");
    assert!(
        described(&refused).contains("not valid for name"),
        "{}",
        described(&refused)
    );
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let limits = Limits {
        preface_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    for (bytes, bound) in [(&[22_u8][..], Bound::HandshakeTime), (&[], Bound::Preface)] {
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(bytes).await.expect("the server accepts bytes");
        // The end of the stream, or a reset.
        let _ = stream.read(&mut [0; 1]).await;
        assert_eq!(server.counters.get(bound), 1, "{bound:?}");
    }
}

#[tokio::test]
async fn bytes_that_begin_like_tls_and_are_not_are_counted() {
    let server = Server::start(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    stream
        .write_all(&[22; 600])
        .await
        .expect("the server accepts bytes");
    stream.shutdown().await.expect("the stream is open");
    let mut alert = Vec::new();
    stream
        .read_to_end(&mut alert)
        .await
        .expect("the server closes the stream");
    assert_eq!(alert.first(), Some(&21), "an alert record");
    assert_eq!(server.counters.get(Bound::Handshake), 1);
}

#[test]
fn a_malformed_identity_is_refused_with_the_part() {
    let issued = authority().issue("miner-0").expect("the name is valid");
    let read = |authority: &str, certificate: &str, key: &str| {
        let credentials = Credentials {
            authority: authority.to_owned(),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        Identity::new(&credentials)
            .expect_err("a part is wrong")
            .to_string()
    };
    let (authority, certificate, key) = (&issued.authority, &issued.certificate, &issued.key);
    assert!(read("", certificate, key).starts_with("the authority is not in the PEM format"));
    assert!(read(authority, "x", key).starts_with("the certificate is not in the PEM format"));
    assert!(read(authority, certificate, "x").starts_with("the key is not in the PEM format"));
    assert!(read(authority, authority, key).contains("no name"));
    let other = self::authority().issue("miner-0").expect("the name is valid");
    assert!(read(authority, certificate, &other.key).contains("cannot be used"));
    let shown = format!("{issued:?} {:?}", identity(&issued));
    assert!(!shown.contains("PRIVATE") && !shown.contains(key.lines().nth(1).expect("a line")));
}
