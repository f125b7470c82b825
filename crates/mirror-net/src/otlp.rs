//! OTLP, the protocol of OpenTelemetry, over gRPC: a client that sends encoded messages, and a service that receives
//! them undecoded. A message may contain a million attributes in few bytes, so the receiver decodes it in parts.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use mirror_proto::codec::{Encoded, Undecoded};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::StdError;
use tonic::server::{NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tower::Service;

use crate::tls::PeerName;

/// Maximum size of a message of spans or metrics in bytes.
pub const MESSAGE_LIMIT: usize = 1 << 20;

/// The kind of telemetry in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans: an `ExportTraceServiceRequest`.
    Traces,
    /// Metrics: an `ExportMetricsServiceRequest`.
    Metrics,
}

impl Signal {
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// Sends an encoded message. Returns the number of spans or data points that the receiver rejected.
///
/// # Errors
/// Returns the status of a call that failed. The message may be sent again if the status is transient.
pub async fn export<C>(channel: C, signal: Signal, message: Bytes) -> Result<u64, Status>
where
    C: GrpcService<Body>,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<StdError>,
{
    let mut client = Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(format!("cannot connect: {}", error.into())))?;
    // The replies of both services have the same encoding.
    let reply: Response<ExportTraceServiceResponse> = client
        .unary(
            Request::new(message),
            PathAndQuery::from_static(signal.path()),
            Encoded::default(),
        )
        .await?;
    let rejected = reply.into_inner().partial_success;
    Ok(rejected.map_or(0, |partial| {
        u64::try_from(partial.rejected_spans).unwrap_or_default()
    }))
}

/// Receives messages of telemetry.
pub trait Receive: Send + Sync + 'static {
    /// Takes a message of the node with the name `caller` in its certificate, without waiting. Returns the reason if it
    /// is rejected as a whole, for which the sender must not send it again.
    ///
    /// # Errors
    /// Returns a status if the message cannot be taken.
    #[allow(clippy::result_large_err, reason = "the error of a gRPC call is a status")]
    fn receive(&self, caller: &str, signal: Signal, message: Bytes) -> Result<Option<String>, Status>;
}

/// The service that receives spans.
pub struct TraceService<R>(Receiver<R>);

/// The service that receives metrics.
pub struct MetricsService<R>(Receiver<R>);

/// Returns the services that pass the messages of callers with certificates to `receive`.
pub fn services<R: Receive>(receive: &Arc<R>) -> (TraceService<R>, MetricsService<R>) {
    let receiver = |signal| Receiver {
        receive: receive.clone(),
        signal,
    };
    (
        TraceService(receiver(Signal::Traces)),
        MetricsService(receiver(Signal::Metrics)),
    )
}

struct Receiver<R> {
    receive: Arc<R>,
    signal: Signal,
}

impl<R> Clone for Receiver<R> {
    fn clone(&self) -> Self {
        Self {
            receive: self.receive.clone(),
            signal: self.signal,
        }
    }
}

impl<R: Receive> UnaryService<Bytes> for Receiver<R> {
    type Response = ExportTraceServiceResponse;
    type Future = std::future::Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = || {
            let caller = PeerName::of(&request)?;
            let rejected = self
                .receive
                .receive(caller.as_str(), self.signal, request.into_inner())?;
            let partial_success = rejected.map(|error_message| ExportTracePartialSuccess {
                // The number of rejected spans is not known without decoding the message.
                rejected_spans: 0,
                error_message,
            });
            Ok(Response::new(ExportTraceServiceResponse { partial_success }))
        };
        std::future::ready(answer())
    }
}

impl<R: Receive> Receiver<R> {
    fn answer(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, Infallible>> {
        let receiver = self.clone();
        Box::pin(async move {
            if request.uri().path() != receiver.signal.path() {
                return Ok(Status::unimplemented("this service has only the method Export").into_http());
            }
            let mut grpc = tonic::server::Grpc::new(Undecoded::default())
                .apply_max_message_size_config(Some(MESSAGE_LIMIT), None);
            Ok(grpc.unary(receiver, request).await)
        })
    }
}

macro_rules! services {
    ($($service:ident, $name:literal;)*) => {$(
        impl<R> Clone for $service<R> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl<R> NamedService for $service<R> {
            const NAME: &'static str = $name;
        }

        impl<R: Receive> Service<http::Request<Body>> for $service<R> {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                self.0.answer(request)
            }
        }
    )*};
}

services! {
    TraceService, "opentelemetry.proto.collector.trace.v1.TraceService";
    MetricsService, "opentelemetry.proto.collector.metrics.v1.MetricsService";
}
