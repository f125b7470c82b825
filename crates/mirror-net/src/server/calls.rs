//! The layer around the services of a server that bounds the calls in progress and the bytes of their messages.
//!
//! Each message of gRPC has a prefix of five bytes: a flag, and the length of the message. A message that is longer
//! than a connection may have is refused when its prefix arrives. Of the others, the bytes that have arrived count: an
//! announced length costs the caller nothing, so it must not take room from others.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::budget::{Call, Peer};
use super::counters::Bound;

/// Length of the prefix of a message, in bytes.
const PREFIX: usize = 5;

/// Makes [`BoundedCalls`].
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLayer;

impl<S> Layer<S> for CallLayer {
    type Service = BoundedCalls<S>;

    fn layer(&self, inner: S) -> BoundedCalls<S> {
        BoundedCalls { inner }
    }
}

/// A service that refuses the calls that exceed a bound.
#[derive(Debug, Clone)]
pub(super) struct BoundedCalls<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for BoundedCalls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Send + 'static, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Every connection of `Accepted` has a peer.
        let Some(peer) = request.extensions().get::<Arc<Peer>>().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        let call = match peer.clone().start_call() {
            Ok(call) => Arc::new(call),
            Err(bound) => {
                let refused = refuse(&peer, bound).into_http();
                return Box::pin(std::future::ready(Ok(refused)));
            }
        };
        let request = request.map(|body| Body::new(Messages::new(body, call.clone())));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            call.answered();
            Ok(response.map(|body| Body::new(Answer { body, _call: call })))
        })
    }
}

/// The body of a response. The call is in progress until this is dropped.
struct Answer {
    body: Body,
    _call: Arc<Call>,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, whose messages are counted.
struct Messages {
    body: Body,
    call: Arc<Call>,
    position: Position,
    /// Resolves at the deadline of the messages. It exists only while they are awaited.
    timer: Option<Pin<Box<Sleep>>>,
    has_failed: bool,
}

impl Messages {
    fn new(body: Body, call: Arc<Call>) -> Self {
        Self {
            body,
            call,
            position: Position::default(),
            timer: None,
            has_failed: false,
        }
    }

    /// Whether messages must arrive until a deadline: all of them before the answer, and the rest of one that has begun
    /// after it.
    fn has_deadline(&self) -> bool {
        !self.call.is_answered() || !self.position.is_between_messages()
    }

    /// Returns whether the deadline has passed. The timer is created when the first message is not there yet, which
    /// short calls avoid: their message arrives together with their head.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        if !self.has_deadline() {
            self.timer = None;
            return false;
        }
        let timeout = self.call.peer.limits().body_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        timer.as_mut().poll(context).is_ready()
    }

    fn fail(&mut self, bound: Bound) -> Poll<Option<Result<Frame<<Body as HttpBody>::Data>, Status>>> {
        self.has_failed = true;
        Poll::Ready(Some(Err(refuse(&self.call.peer, bound))))
    }
}

impl HttpBody for Messages {
    type Data = <Body as HttpBody>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = &mut *self;
        if this.has_failed {
            return Poll::Ready(None);
        }
        // The service asks for the next message of a stream, so it has taken the last one.
        if this.position.is_between_messages() && this.call.is_answered() {
            this.call.release();
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Pending if this.is_late(context) => return this.fail(Bound::Body),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let longest = this.call.peer.limits().bytes_per_connection;
                    let read = this.position.read(data, longest);
                    if let Err(bound) = read.and_then(|arrived| this.call.reserve(arrived)) {
                        return this.fail(bound);
                    }
                }
                if !this.has_deadline() {
                    this.timer = None;
                }
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.has_failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The position in a sequence of messages.
#[derive(Debug, Default)]
struct Position {
    /// The prefix of the next message, of which `filled` bytes are known.
    prefix: [u8; PREFIX],
    filled: usize,
    /// Number of bytes of the current message that have not arrived.
    missing: usize,
}

impl Position {
    fn is_between_messages(&self) -> bool {
        self.filled == 0 && self.missing == 0
    }

    /// Reads the next bytes. Returns how many of them belong to messages, without their prefixes. Returns
    /// [`Bound::ConnectionBytes`] if a message is longer than `longest`, and [`Bound::Compression`] if one is
    /// compressed.
    fn read(&mut self, mut bytes: &[u8], longest: usize) -> Result<usize, Bound> {
        let mut of_messages = 0;
        while !bytes.is_empty() {
            let arrived = self.missing.min(bytes.len());
            self.missing -= arrived;
            of_messages += arrived;
            bytes = &bytes[arrived..];
            let taken = (PREFIX - self.filled).min(bytes.len());
            self.prefix[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == PREFIX {
                let [flag, length @ ..] = self.prefix;
                if flag != 0 {
                    return Err(Bound::Compression);
                }
                self.missing = u32::from_be_bytes(length) as usize;
                self.filled = 0;
                if self.missing > longest {
                    return Err(Bound::ConnectionBytes);
                }
            }
        }
        Ok(of_messages)
    }
}

/// Counts that a bound was reached, and returns the status of the refused call.
fn refuse(peer: &Peer, bound: Bound) -> Status {
    peer.note(bound);
    let limits = peer.limits();
    match bound {
        Bound::Compression => {
            Status::unimplemented("this server accepts no compressed messages: send them uncompressed")
        }
        Bound::Body => Status::deadline_exceeded(format!(
            "the messages of the call did not arrive within {:?}",
            limits.body_timeout
        )),
        Bound::ConnectionBytes => Status::resource_exhausted(format!(
            "the messages of this connection exceed {} bytes: send fewer or smaller ones together",
            limits.bytes_per_connection
        )),
        bound => Status::resource_exhausted(format!(
            "the server has reached its bound of {}: try again later",
            bound.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_from_pieces_of_any_size() {
        let mut bytes = Vec::new();
        for length in [0_u32, 3, 300, 0, 1] {
            bytes.push(0);
            bytes.extend(length.to_be_bytes());
            bytes.extend(vec![7; length as usize]);
        }
        for size in 1..=bytes.len() {
            let mut position = Position::default();
            let read = bytes.chunks(size).map(|piece| position.read(piece, 300));
            let counted = read.sum::<Result<usize, Bound>>();
            assert_eq!(counted, Ok(304), "{size}");
            assert!(position.is_between_messages());
        }
    }

    #[test]
    fn a_length_that_is_too_large_is_refused_before_the_message_arrives() {
        let prefix = [0, 0x40, 0, 0, 0];
        let announced = Position::default().read(&prefix, 1 << 30);
        assert_eq!(announced, Ok(0));
        let refused = Position::default().read(&prefix, (1 << 30) - 1);
        assert_eq!(refused, Err(Bound::ConnectionBytes));
        let compressed = Position::default().read(&[1, 0, 0, 0, 1], 8);
        assert_eq!(compressed, Err(Bound::Compression));
    }
}
