//! A gRPC server as every node runs one: bounded, without Nagle's delay, answering health checking.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// What a server takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in progress on one connection; more wait.
    pub calls_per_connection: usize,
    /// Time that a peer has to answer a keep-alive ping.
    pub keepalive_timeout: Duration,
}

/// Bytes of one message, both ways, unless a service says otherwise: gRPC's own default.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

impl Default for Limits {
    /// 400 calls a connection, as a v4 axon takes.
    fn default() -> Self {
        Self {
            calls_per_connection: 400,
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}

/// Serves `routes` and health checking on `listener` until `shutdown` resolves and the calls in progress have ended.
///
/// The health service answers SERVING for the server as a whole (the empty name) from the first call on.
pub async fn serve(
    listener: TcpListener,
    mut routes: Routes,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", ServingStatus::Serving).await;
    routes = routes.add_service(health_service);
    Server::builder()
        .concurrency_limit_per_connection(limits.calls_per_connection)
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
        .await
}
