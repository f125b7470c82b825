//! The layer around the services of a server that bounds the calls in progress and the bytes of their messages.
//!
//! Each message of gRPC has a prefix of five bytes: a flag, and the length of the message. A message that is too long
//! is refused when its prefix arrives. Of the others, the bytes that have arrived count: an announced length costs the
//! caller nothing, so it must not take room from others.
//!
//! A service gets a message when it is complete, or when the body ends. Until then its bytes are kept here, because a
//! service allocates the announced length at the first byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use mirror_telemetry::Instrument;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::budget::{Call, Peer};
use super::counters::Bound;
use super::recorded::Recording;

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
        let recording = Recording::start(&request);
        let span = recording.span();
        let call = match peer.clone().start_call() {
            Ok(call) => Arc::new(call),
            Err(bound) => {
                let refused = span.in_scope(|| refuse(&peer, bound)).into_http();
                recording.end(refused.headers());
                return Box::pin(std::future::ready(Ok(refused)));
            }
        };
        let request = request.map(|body| Body::new(Messages::new(body, call.clone())));
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span);
        Box::pin(async move {
            let response = answer.await?;
            call.answered();
            recording.end(response.headers());
            Ok(response.map(|body| Body::new(Answer { body, call })))
        })
    }
}

/// The body of a response, whose bytes are counted until they are written to the socket. Until then the call is in
/// progress.
struct Answer {
    body: Body,
    call: Arc<Call>,
}

impl Answer {
    /// Counts a part of the body. Returns an error if there is no room for it.
    fn counted(&self, part: Frame<Bytes>) -> Result<Frame<Bytes>, Status> {
        let data = match part.into_data() {
            Ok(data) => data,
            Err(trailers) => return Ok(trailers),
        };
        let reserved = self.call.reserve_answer(data.len());
        reserved.map_err(|bound| refuse_answer(&self.call.peer, bound, data.len()))?;
        Ok(Frame::data(Bytes::from_owner(Counted {
            data,
            call: self.call.clone(),
        })))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let part = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(part)) => part,
            other => return Poll::Ready(other),
        };
        Poll::Ready(Some(self.counted(part).or_else(|refused| {
            // The trailers of a response contain its status, and end it.
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            refused.add_header(&mut trailers)?;
            Ok(Frame::trailers(trailers))
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// Bytes of an answer, which count until the HTTP/2 library has written them.
struct Counted {
    data: Bytes,
    call: Arc<Call>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.call.release_answer(self.data.len());
    }
}

/// The body of a request, whose messages are counted.
struct Messages {
    body: Body,
    call: Arc<Call>,
    position: Position,
    /// The first bytes of a message that is not complete.
    begun: BytesMut,
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
            begun: BytesMut::new(),
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

    /// Counts the next bytes. Returns all bytes of the messages that are complete, of which there may be none.
    fn complete(&mut self, mut data: Bytes) -> Result<Bytes, Bound> {
        let longest = self.call.peer.longest_message();
        let NewBytes { bytes, ended } = self.position.read(&data, longest)?;
        self.call.reserve(bytes)?;
        let begun = data.split_off(ended);
        if self.begun.is_empty() {
            self.begun.extend_from_slice(&begun);
            return Ok(data);
        }
        self.begun.extend_from_slice(&data);
        if ended == 0 {
            self.begun.extend_from_slice(&begun);
            return Ok(Bytes::new());
        }
        Ok(std::mem::replace(&mut self.begun, BytesMut::from(&begun[..])).freeze())
    }

    fn fail(&mut self, bound: Bound) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.has_failed = true;
        Poll::Ready(Some(Err(refuse(&self.call.peer, bound))))
    }
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.has_failed {
            return Poll::Ready(None);
        }
        // The service asks for the next message of a stream, so it has taken those before it.
        if this.call.is_answered() {
            this.call.release(this.begun.len().saturating_sub(PREFIX));
        }
        loop {
            let frame = match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending if this.is_late(context) => return this.fail(Bound::Body),
                Poll::Ready(None) if !this.begun.is_empty() => {
                    // The service reports the message that is not complete.
                    return Poll::Ready(Some(Ok(Frame::data(this.begun.split().freeze()))));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => {
                    this.begun.clear();
                    return Poll::Ready(Some(Ok(trailers)));
                }
            };
            match this.complete(data) {
                Ok(complete) => {
                    // The next message of a stream has a deadline of its own.
                    if !this.has_deadline() || (this.call.is_answered() && !complete.is_empty()) {
                        this.timer = None;
                    }
                    if !complete.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(complete))));
                    }
                }
                Err(bound) => return this.fail(bound),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_failed || (self.begun.is_empty() && self.body.is_end_stream())
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

/// The bytes that a [`Position`] has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NewBytes {
    /// Number of bytes that belong to messages, without their prefixes.
    bytes: usize,
    /// Number of bytes until the end of the last message that is complete.
    ended: usize,
}

impl Position {
    fn is_between_messages(&self) -> bool {
        self.filled == 0 && self.missing == 0
    }

    /// Reads the next bytes. Returns [`Bound::MessageBytes`] if a message is longer than `longest`, and
    /// [`Bound::Compression`] if one is compressed.
    fn read(&mut self, read: &[u8], longest: usize) -> Result<NewBytes, Bound> {
        let mut bytes = read;
        let (mut of_messages, mut ended) = (0, 0);
        while !bytes.is_empty() {
            let arrived = self.missing.min(bytes.len());
            self.missing -= arrived;
            of_messages += arrived;
            bytes = &bytes[arrived..];
            if arrived > 0 && self.missing == 0 {
                ended = read.len() - bytes.len();
            }
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
                    return Err(Bound::MessageBytes);
                }
            }
            // A message of no bytes ends with its prefix.
            if self.is_between_messages() {
                ended = read.len() - bytes.len();
            }
        }
        Ok(NewBytes {
            bytes: of_messages,
            ended,
        })
    }
}

/// Like [`refuse`], for an answer of `bytes` bytes. Another attempt has no other result if its caller can never receive
/// so many bytes.
fn refuse_answer(peer: &Peer, bound: Bound, bytes: usize) -> Status {
    let refused = refuse(peer, bound);
    let longest = peer.longest_answer();
    if bytes <= longest {
        return refused;
    }
    Status::out_of_range(format!(
        "the answer has {bytes} bytes, of which one caller may have at most {longest}"
    ))
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
        // Another attempt has no other result, so the status is not one that is retried.
        Bound::MessageBytes => Status::out_of_range(format!(
            "a message of the call is longer than {} bytes",
            peer.longest_message()
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
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for length in [0_u32, 3, 300, 0, 1] {
            bytes.push(0);
            bytes.extend(length.to_be_bytes());
            bytes.extend(vec![7; length as usize]);
            ends.push(bytes.len());
        }
        for size in 1..=bytes.len() {
            let mut position = Position::default();
            let (mut counted, mut start) = (0, 0);
            for piece in bytes.chunks(size) {
                let arrived = position.read(piece, 300).expect("they are short");
                counted += arrived.bytes;
                let in_piece = ends.iter().filter_map(|end| usize::checked_sub(*end, start));
                let last = in_piece.filter(|end| (1..=piece.len()).contains(end)).max();
                assert_eq!(arrived.ended, last.unwrap_or_default(), "{size}, {start}");
                start += piece.len();
            }
            assert_eq!(counted, 304, "{size}");
            assert!(position.is_between_messages());
        }
    }

    #[test]
    fn a_length_that_is_too_large_is_refused_before_the_message_arrives() {
        let prefix = [0, 0x40, 0, 0, 0];
        let announced = Position::default().read(&prefix, 1 << 30);
        assert_eq!(announced, Ok(NewBytes { bytes: 0, ended: 0 }));
        let refused = Position::default().read(&prefix, (1 << 30) - 1);
        assert_eq!(refused, Err(Bound::MessageBytes));
        let compressed = Position::default().read(&[1, 0, 0, 0, 1], 8);
        assert_eq!(compressed, Err(Bound::Compression));
    }
}
