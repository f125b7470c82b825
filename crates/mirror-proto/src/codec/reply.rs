//! The body of a reply, checked frame by frame before memory is allocated for the announced lengths.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::codec::Streaming;

use super::BadMessage;

/// Bytes that precede each message: a flag that indicates compression, and the length in four bytes.
const HEAD: usize = 5;

/// Name of the gRPC status in the headers or the trailers.
const STATUS: &str = "grpc-status";

/// The body of a reply that is passed on unchanged until a part of it is a [`BadMessage`]. It accepts messages that are
/// not compressed and do not exceed a limit.
#[derive(Debug)]
pub struct CheckedReply<B> {
    body: B,
    /// Maximum size of one message in bytes.
    limit: usize,
    /// Whether the status must be in the trailers, because it is not in the headers of the response.
    expects_status: bool,
    /// The bytes of the next frame's head received so far.
    head: [u8; HEAD],
    head_length: usize,
    /// Bytes of the current message that have not arrived yet.
    left: usize,
}

impl<B> CheckedReply<B> {
    /// Checks the body of `response`, whose messages may have at most `limit` bytes each.
    pub fn of(response: Response<B>, limit: usize) -> Response<Self> {
        let expects_status = response.status() == StatusCode::OK && !response.headers().contains_key(STATUS);
        response.map(|body| Self {
            body,
            limit,
            expects_status,
            head: [0; HEAD],
            head_length: 0,
            left: 0,
        })
    }

    fn check(&mut self, frame: &Frame<Bytes>) -> Result<(), BadMessage> {
        if let Some(data) = frame.data_ref() {
            self.check_data(data)
        } else if let Some(trailers) = frame.trailers_ref() {
            self.check_trailers(trailers)
        } else {
            Ok(())
        }
    }

    fn check_data(&mut self, mut data: &[u8]) -> Result<(), BadMessage> {
        while data.has_remaining() {
            if self.left > 0 {
                let come = self.left.min(data.len());
                self.left -= come;
                data.advance(come);
                continue;
            }
            self.head[self.head_length] = data.get_u8();
            self.head_length += 1;
            if self.head_length == HEAD {
                self.left = self.length()?;
                self.head_length = 0;
            }
        }
        Ok(())
    }

    /// Returns the length that a complete head announces.
    fn length(&self) -> Result<usize, BadMessage> {
        let [flag, length @ ..] = self.head;
        if flag != 0 {
            return Err(BadMessage::InvalidFlag { flag });
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.limit {
            return Err(BadMessage::Oversized {
                length,
                limit: self.limit,
            });
        }
        Ok(length)
    }

    fn check_trailers(&self, trailers: &HeaderMap) -> Result<(), BadMessage> {
        if self.expects_status && !trailers.contains_key(STATUS) {
            return Err(BadMessage::NoStatus);
        }
        Ok(())
    }

    /// Checks the end of a body without trailers.
    fn check_end(&self) -> Result<(), BadMessage> {
        if self.left > 0 || self.head_length > 0 {
            return Err(BadMessage::CutOff);
        }
        if self.expects_status {
            return Err(BadMessage::NoStatus);
        }
        Ok(())
    }
}

/// [`Body::is_end_stream`] stays `false`, because a body that claims to be empty is not polled and therefore not
/// checked.
impl<B> Body for CheckedReply<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => Some(self.check(&frame).map(|()| frame).map_err(Status::from)),
            Some(Err(status)) => Some(Err(status)),
            None => self.check_end().err().map(|bad| Err(bad.into())),
        };
        Poll::Ready(frame)
    }
}

/// Returns the message of a response with exactly one.
///
/// # Errors
///
/// Returns [`BadMessage::NoMessage`] as the source of the status if the response has no message.
pub async fn only_message<T>(mut messages: Streaming<T>) -> Result<T, Status> {
    let message = messages.message().await?.ok_or(BadMessage::NoMessage)?;
    // The trailers may contain an error status.
    messages.trailers().await?;
    Ok(message)
}

#[cfg(test)]
mod tests;
