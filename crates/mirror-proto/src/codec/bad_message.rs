//! What can be wrong with a message that the other end sent.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use tonic::{Code, Status};

/// Why what the other end sent was not taken as a message. It is the source of the [`Status`] that it becomes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadMessage {
    /// The frame announces a message that is longer than the limit. Nothing of it was read.
    #[error("Error, decoded message length too large: found {length} bytes, the limit is: {limit} bytes")]
    Oversized {
        /// Bytes that the frame announces.
        length: usize,
        /// Bytes that the caller takes.
        limit: usize,
    },
    /// The frame's bytes are not the protobuf message that was expected, or a string in it is not UTF-8.
    #[error(transparent)]
    Undecodable(prost::DecodeError),
    /// A frame begins with a flag that nobody asked for, as compressed messages and text that is not gRPC do.
    #[error(
        "protocol error: received message with invalid compression flag: {flag} (the only valid flag is 0)"
    )]
    InvalidFlag {
        /// The frame's first byte.
        flag: u8,
    },
    /// The body ended within a frame.
    #[error("Unexpected EOF decoding stream.")]
    CutOff,
    /// The body ended without a status.
    #[error("protocol error: missing grpc-status trailer, stream was terminated without a final status")]
    NoStatus,
    /// The status is that all went well, but no message came before it.
    #[error("Missing response message.")]
    NoMessage,
}

impl BadMessage {
    /// The cause that `status` was made for, if it was made by this process because of a bad message. A status that the
    /// other end sent has none, whatever its words are.
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
