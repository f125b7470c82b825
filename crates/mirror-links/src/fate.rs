//! The plan of a call: its delay, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use mirror_spec::StatusCode;
use tonic::Code;

/// The effects of a link on one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The delay before the call is sent. `None` if no distribution applies.
    pub delay: Option<Duration>,
    /// The end of the call.
    pub fate: Fate,
    /// Whether the call is sent twice.
    pub duplicated: bool,
    /// The effects of rules on the call, each as the name of a rule and of an effect: `slow/drop`.
    pub faults: Vec<Arc<str>>,
    /// Whether one of the rules began by the clock, so that another run may not repeat its effect.
    pub by_clock: bool,
}

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// The link does not disturb the call.
    #[default]
    Pass,
    /// The connection is refused.
    Refuse,
    /// The request is lost. The call ends at its deadline.
    Drop,
    /// The reply is this gRPC error.
    Error(Code),
    /// The connection ends with an HTTP/2 GOAWAY before the reply.
    Goaway,
    /// The stream is reset after some bytes of the reply.
    Reset {
        /// Number of bytes that arrive.
        after: u32,
    },
    /// The HTTP/2 window of the stream stays closed, so that no message of the reply arrives.
    Stall,
    /// The reply is lost. The call ends at its deadline.
    DropReply,
    /// One byte of the reply is changed.
    Corrupt {
        /// The position of the byte, modulo the size of the reply's first part.
        byte: u64,
    },
}

impl Plan {
    pub(crate) fn delay_by(&mut self, delay: Duration, label: &Arc<str>) {
        self.delay = Some(self.delay.unwrap_or_default().saturating_add(delay));
        self.faults.push(label.clone());
    }
}

/// Returns the gRPC code with this name in a file.
pub(crate) fn code(code: StatusCode) -> Code {
    match code {
        StatusCode::Cancelled => Code::Cancelled,
        StatusCode::Unknown => Code::Unknown,
        StatusCode::InvalidArgument => Code::InvalidArgument,
        StatusCode::DeadlineExceeded => Code::DeadlineExceeded,
        StatusCode::NotFound => Code::NotFound,
        StatusCode::AlreadyExists => Code::AlreadyExists,
        StatusCode::PermissionDenied => Code::PermissionDenied,
        StatusCode::ResourceExhausted => Code::ResourceExhausted,
        StatusCode::FailedPrecondition => Code::FailedPrecondition,
        StatusCode::Aborted => Code::Aborted,
        StatusCode::OutOfRange => Code::OutOfRange,
        StatusCode::Unimplemented => Code::Unimplemented,
        StatusCode::Internal => Code::Internal,
        StatusCode::Unavailable => Code::Unavailable,
        StatusCode::DataLoss => Code::DataLoss,
        StatusCode::Unauthenticated => Code::Unauthenticated,
    }
}
