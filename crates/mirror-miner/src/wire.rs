//! Raw bytes in place of a reply's body, for replies that no protobuf library sends.
//!
//! A handler marks its response with a [`Wire`]. `Replaced`, which wraps the service, replaces the body of marked
//! responses.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::MapOk;
use futures::{StreamExt, TryFutureExt, stream};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::AxumBody;
use tower::Service;

/// The body that replaces a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// A complete gRPC message with these bytes and the status OK.
    Message(&'static [u8]),
    /// The start of a message, sent one byte at a time and not completed while a caller waits.
    Drip,
}

/// Pause between two bytes of [`Wire::Drip`].
const PAUSE: Duration = Duration::from_millis(50);

/// Announced length of a dripped message in bytes. Sending it takes longer than any caller waits.
const ANNOUNCED: u32 = 100_000;

/// A service that replaces the body of marked responses.
#[derive(Clone)]
pub struct Replaced<S>(pub(crate) S);

impl<S> Service<http::Request<Body>> for Replaced<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = MapOk<S::Future, fn(http::Response<Body>) -> http::Response<Body>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request).map_ok(replaced)
    }
}

impl<S: NamedService> NamedService for Replaced<S> {
    const NAME: &'static str = S::NAME;
}

fn replaced(response: http::Response<Body>) -> http::Response<Body> {
    match response.extensions().get() {
        Some(Wire::Message(bytes)) => {
            let well = http::HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static("0"),
            )]);
            let body = Full::new(framed(bytes)).with_trailers(std::future::ready(Some(Ok(well))));
            response.map(|_| Body::new(body))
        }
        Some(Wire::Drip) => {
            let head = stream::iter(head(ANNOUNCED));
            let rest = stream::repeat(b' ').take(ANNOUNCED as usize);
            let bytes = head.chain(rest).then(async |byte| {
                tokio::time::sleep(PAUSE).await;
                Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte]))
            });
            response.map(|_| Body::new(AxumBody::from_stream(bytes)))
        }
        None => response,
    }
}

/// Returns the gRPC header of an uncompressed message.
fn head(length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_slice(&head(message.len() as u32));
    frame.put_slice(message);
    frame.freeze()
}
