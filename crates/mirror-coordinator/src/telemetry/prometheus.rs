//! Serves the latest metrics over HTTP for Prometheus, at any path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use mirror_spec::ListenAddress;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::latest::Latest;

/// Maximum number of connections. Further ones wait.
const CONNECTIONS: usize = 16;

/// Maximum size of the head of a request in bytes.
const HEAD: usize = 16 << 10;

/// Time for one request and its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted, for example because the process has no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// The server, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Prometheus {
    /// The address at which it listens.
    pub(super) address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

impl Prometheus {
    /// Starts the server. Must be called within the runtime.
    ///
    /// # Errors
    /// Returns an error if the server cannot listen at the address.
    pub(super) async fn start(address: ListenAddress, latest: Arc<Latest>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address.0).await.with_context(|| {
            format!("cannot serve the metrics at {address}, the address in `telemetry.prometheus`")
        })?;
        let address = listener
            .local_addr()
            .context("cannot determine the address of the metrics")?;
        let server = tokio::spawn(serve(listener, latest));
        Ok(Self {
            address,
            _server: AbortOnDropHandle::new(server),
        })
    }
}

async fn serve(listener: TcpListener, latest: Arc<Latest>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(room) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answering = answer(stream, latest.clone());
                tokio::spawn(async move {
                    // A connection that takes too long, or breaks, concerns only its client.
                    let _ = tokio::time::timeout(TIMEOUT, answering).await;
                    drop(room);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for the metrics");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, latest: Arc<Latest>) {
    let service = service_fn(move |request: hyper::Request<_>| {
        let response = respond(&request, &latest);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for the metrics broke");
    }
}

fn respond<B>(request: &hyper::Request<B>, latest: &Latest) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        let mut refused = Response::new(Full::from("metrics are read with GET\n"));
        *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return refused;
    }
    let mut response = Response::new(Full::from(latest.text(Instant::now())));
    let content_type = hyper::header::HeaderValue::from_static(prometheus::TEXT_FORMAT);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, content_type);
    response
}
