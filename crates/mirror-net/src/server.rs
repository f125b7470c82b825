//! The gRPC server that every node runs: with limits, without Nagle's algorithm, with health checks.
//!
//! Everything that a peer can grow has a bound: connections, calls, bytes of messages, and the times in which the parts
//! of a call must arrive. Each bound has a counter, and a log line when it is reached.

mod accept;
mod budget;
mod calls;
mod connection;
mod counters;
mod frames;
mod limits;
mod recorded;
mod services;
mod transport;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic_health::ServingStatus;

pub use self::budget::Peer;
pub use self::counters::{Bound, Counters};
pub use self::limits::{Budget, Limits};
pub use self::services::{Callers, Services};

use self::accept::Accepted;
use self::budget::Usage;
use self::calls::CallLayer;

/// Idle time after which a keep-alive ping is sent.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Timeout for the answer to a keep-alive ping. A connection whose peer does not answer is closed.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Initial HTTP/2 flow-control window of a connection, in bytes. The default of 64 KiB is filled by a hundred prompts,
/// and the caller would then wait for a window update.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Maximum size of a message in both directions, in bytes, unless a service sets another. This is gRPC's default.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// Serves `services` and health checks on `listener` until `shutdown` resolves and the calls in progress have ended.
///
/// Clients may use TLS if the services have an identity. The first byte of a connection decides: a TLS handshake begins
/// with another byte than HTTP/2. Only services that are open to every caller answer calls without TLS, and health
/// checks are among them.
///
/// The health service reports SERVING for the whole server (the empty name) from the first call on.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", ServingStatus::Serving).await;
    let services = services.open(health_service);
    let accepted = Accepted::new(
        listener,
        Arc::new(Usage::new(limits.clone(), services.identity.is_some())),
        services.identity,
    );
    Server::builder()
        .layer(CallLayer)
        .max_concurrent_streams(limits.calls_per_connection)
        .http2_max_header_list_size(limits.header_bytes)
        .http2_max_pending_accept_reset_streams(Some(limits.pending_resets))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_routes(services.routes)
        .serve_with_incoming_shutdown(accepted, shutdown)
        .await
}
