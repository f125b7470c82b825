//! A channel to an axon whose calls fail as their plans require.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, Either};
use http_body::{Frame, SizeHint};
use mirror_net::channel;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tower::{Service, ServiceExt};

use crate::Fate;
use crate::http2::{Ending, Http2};

/// A channel to an axon. A request whose extensions contain a [`Fate`] ends in that manner. Faults of a connection
/// (HTTP/2 GOAWAY, reset, closed window) happen on a separate connection of the call, so that no other call is
/// affected.
#[derive(Debug, Clone)]
pub struct Transport {
    address: SocketAddr,
    channel: Channel,
}

impl Transport {
    /// Creates a channel that connects at its first call.
    pub fn lazy(address: SocketAddr) -> Self {
        Self {
            address,
            channel: channel::lazy(address),
        }
    }
}

type Response = http::Response<Body>;

impl Service<http::Request<Body>> for Transport {
    type Response = Response;
    type Error = Error;
    type Future = Either<
        <Channel as Service<http::Request<Body>>>::Future,
        BoxFuture<'static, Result<Response, Error>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let address = self.address;
        let fate = request.extensions().get::<Fate>().copied().unwrap_or_default();
        let separate = match fate {
            Fate::Pass => return Either::Left(self.channel.call(request)),
            Fate::Corrupt { byte } => {
                let replied = self.channel.call(request);
                return Either::Right(Box::pin(async move { Ok(corrupted(replied.await?, byte)) }));
            }
            Fate::DropReply => {
                let replied = self.channel.call(request);
                return Either::Right(Box::pin(async move {
                    // The reply is lost, whatever it is.
                    let _ = replied.await;
                    pending().await
                }));
            }
            Fate::Drop => return Either::Right(Box::pin(pending())),
            Fate::Error(code) => {
                let status = Status::new(code, "the link failed with this status");
                return Either::Right(Box::pin(async move { Ok(status.into_http()) }));
            }
            Fate::Refuse => channel::refusing(address),
            Fate::Stall => channel::stalled(address),
            Fate::Goaway => channel::over(address, |stream| Http2::new(stream, Ending::Goaway)),
            Fate::Reset { after } => {
                channel::over(address, move |stream| Http2::new(stream, Ending::Reset { after }))
            }
        };
        Either::Right(Box::pin(separate.oneshot(request)))
    }
}

/// Changes one byte of the first part of a reply.
fn corrupted(response: Response, byte: u64) -> Response {
    response.map(|body| {
        Body::new(Corrupted {
            body,
            byte: Some(byte),
        })
    })
}

/// A body in whose first part one byte is changed.
struct Corrupted {
    body: Body,
    /// Position of the byte, modulo the size of the part. `None` once it is changed.
    byte: Option<u64>,
}

impl http_body::Body for Corrupted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| {
            frame.map_data(|data| match self.byte.take() {
                Some(byte) if !data.is_empty() => {
                    let mut data = BytesMut::from(&data[..]);
                    let at = (byte % data.len() as u64) as usize;
                    data[at] ^= 0xff;
                    data.freeze()
                }
                byte => {
                    self.byte = byte;
                    data
                }
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
