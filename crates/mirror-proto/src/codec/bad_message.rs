//! The ways in which a message from the peer can be bad.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use tonic::{Code, Status};

/// The reason why bytes from the peer were rejected as a message. It is the source of the resulting [`Status`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadMessage {
    /// The frame announces a message that exceeds the limit. None of it was read.
    #[error("Error, decoded message length too large: found {length} bytes, the limit is: {limit} bytes")]
    Oversized {
        /// Bytes that the frame announces.
        length: usize,
        /// Limit in bytes that the caller set.
        limit: usize,
    },
    /// The bytes of the frame are not the expected protobuf message, or a string in it is not UTF-8.
    #[error(transparent)]
    Undecodable(prost::DecodeError),
    /// A frame begins with an unexpected flag, as compressed messages and text that is not gRPC do.
    #[error(
        "protocol error: received message with invalid compression flag: {flag} (the only valid flag is 0)"
    )]
    InvalidFlag {
        /// The first byte of the frame.
        flag: u8,
    },
    /// The body ended within a frame.
    #[error("Unexpected EOF decoding stream.")]
    CutOff,
    /// The body ended without a status.
    #[error("protocol error: missing grpc-status trailer, stream was terminated without a final status")]
    NoStatus,
    /// The status is OK, but no message preceded it.
    #[error("Missing response message.")]
    NoMessage,
}

impl BadMessage {
    /// Returns the cause of `status`, if this process created it because of a bad message. A status that the peer sent
    /// has no cause, whatever its text is.
    pub fn of(status: &Status) -> Option<&Self> {
        successors(status.source(), |cause| (*cause).source()).find_map(|cause| cause.downcast_ref())
    }

    fn code(&self) -> Code {
        match self {
            Self::Oversized { .. } => Code::OutOfRange,
            Self::NoStatus => Code::Unknown,
            Self::Undecodable(_) | Self::InvalidFlag { .. } | Self::CutOff | Self::NoMessage => {
                Code::Internal
            }
        }
    }
}

impl From<BadMessage> for Status {
    fn from(bad: BadMessage) -> Self {
        let mut status = Self::new(bad.code(), bad.to_string());
        status.set_source(Arc::new(bad));
        status
    }
}
