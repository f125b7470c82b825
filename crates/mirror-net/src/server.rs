//! A gRPC server as every node runs one: bounded, without Nagle's delay, answering health checking.

use std::future::Future;
use std::time::Duration;

use mirror_telemetry::TraceContext;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// Silence after which a peer is asked whether it is there.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Time that a peer has to answer that: one that stands still is given up.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of calls in progress that one connection may have on their way here. HTTP/2 begins with 64 KiB, which a
/// hundred prompts fill: the caller would then stand still until the server has said that it read them.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What a server takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in progress on one connection, streams among them. A caller that has so many waits, at its own end; one
    /// that does not is refused.
    pub calls_per_connection: u32,
}

/// Bytes of one message, both ways, unless a service says otherwise: gRPC's own default.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

impl Default for Limits {
    /// 400 calls a connection, as a v4 axon takes.
    fn default() -> Self {
        Self {
            calls_per_connection: 400,
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
        .max_concurrent_streams(limits.calls_per_connection)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .trace_fn(span)
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
        .await
}

/// The span of a call that comes in, with the trace that its caller says it belongs to.
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
