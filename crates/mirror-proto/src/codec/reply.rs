//! The body of a reply, checked frame by frame before anything is allocated for what it announces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::codec::Streaming;

use super::BadMessage;

/// Bytes before each message: a flag that says whether it is compressed, and its length in four bytes.
const HEAD: usize = 5;

/// Where gRPC's status stands, in the headers or the trailers.
const STATUS: &str = "grpc-status";

/// The body of a reply that is passed on as it is, until something in it is a [`BadMessage`]. It takes messages that
/// are not compressed and no longer than a limit.
#[derive(Debug)]
pub struct CheckedReply<B> {
    body: B,
    /// Bytes of one message.
    limit: usize,
    /// The response's headers promise that its status is in its trailers.
    expects_status: bool,
    /// The bytes that came of the next frame's head.
    head: [u8; HEAD],
    head_length: usize,
    /// Bytes of the present message that did not come yet.
    left: usize,
}

impl<B> CheckedReply<B> {
    /// Checks the body of `response`, whose messages may have `limit` bytes each.
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

    /// The length that a whole head announces.
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

    /// Checks the end of a body that had no trailers.
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

/// [`Body::is_end_stream`] stays `false`, because a body that claims to be empty is not polled, and so not checked.
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

/// The message of a response that has one, with [`BadMessage::NoMessage`] where it has none.
pub async fn only_message<T>(mut messages: Streaming<T>) -> Result<T, Status> {
    let message = messages.message().await?.ok_or(BadMessage::NoMessage)?;
    // A failure may stand in the trailers.
    messages.trailers().await?;
    Ok(message)
}

#[cfg(test)]
mod tests;
