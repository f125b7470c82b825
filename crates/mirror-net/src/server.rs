//! The gRPC server that every node runs: with limits, without Nagle's algorithm, with health checks.

use std::future::Future;
use std::time::Duration;

use mirror_telemetry::TraceContext;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// Idle time after which a keep-alive ping is sent.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Timeout for the answer to a keep-alive ping. A connection whose peer does not answer is closed.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Initial HTTP/2 flow-control window of a connection, in bytes. The default of 64 KiB is filled by a hundred prompts,
/// and the caller would then wait for a window update.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of concurrent calls on one connection, including streams. A conforming client waits when it
    /// reaches the limit; further calls of any other client are refused.
    pub calls_per_connection: u32,
}

/// Maximum size of a message in both directions, in bytes, unless a service sets another. This is gRPC's default.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

impl Default for Limits {
    /// 400 calls per connection, as in a v4 axon.
    fn default() -> Self {
        Self {
            calls_per_connection: 400,
        }
    }
}

/// Serves `routes` and health checks on `listener` until `shutdown` resolves and the calls in progress have ended.
///
/// The health service reports SERVING for the whole server (the empty name) from the first call on.
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
        .max_concurrent_streams(limits.calls_per_connection)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .trace_fn(span)
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
        .await
}

/// Returns the span of an incoming call, with the trace context that the caller sent.
fn span<B>(request: &http::Request<B>) -> tracing::Span {
    tracing::debug_span!(
        "served",
        call = request.uri().path(),
        traceparent = request
            .headers()
            .get(TraceContext::METADATA_KEY)
            .and_then(|value| value.to_str().ok())
    )
}
