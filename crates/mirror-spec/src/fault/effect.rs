//! Effects on single calls that have parameters.

use crate::declare::{choice, forms};
use crate::ranges::RATE;

forms! {
    /// A gRPC error in place of a reply. A plain word is the code.
    pub enum ErrorReply: "a gRPC error", plain value at "code" {
        /// A gRPC error with a code.
        Coded(CodedError: Copy {
            /// The gRPC status code. A plain word is short for this form.
            code: StatusCode,
            /// Probability that a call gets the error.
            rate: f64 [RATE] = 1,
        }),
    }
}

forms! {
    /// The end of a reply by an HTTP/2 reset of its stream. A plain number is the number of bytes.
    pub enum StreamReset: "a reset of a stream", plain value at "after" {
        /// A reset after a number of bytes.
        After(ResetAfter: Copy {
            /// Number of bytes of the reply that arrive before the reset. A plain number is short for this form.
            after: u32 [Integer(0..=1_048_576)],
            /// Probability that the stream of a call is reset.
            rate: f64 [RATE] = 1,
        }),
    }
}

choice! {
    /// A gRPC status code.
    pub enum StatusCode {
        /// `CANCELLED`.
        Cancelled = "cancelled",
        /// `UNKNOWN`.
        Unknown = "unknown",
        /// `INVALID_ARGUMENT`.
        InvalidArgument = "invalid_argument",
        /// `DEADLINE_EXCEEDED`.
        DeadlineExceeded = "deadline_exceeded",
        /// `NOT_FOUND`.
        NotFound = "not_found",
        /// `ALREADY_EXISTS`.
        AlreadyExists = "already_exists",
        /// `PERMISSION_DENIED`.
        PermissionDenied = "permission_denied",
        /// `RESOURCE_EXHAUSTED`.
        ResourceExhausted = "resource_exhausted",
        /// `FAILED_PRECONDITION`.
        FailedPrecondition = "failed_precondition",
        /// `ABORTED`.
        Aborted = "aborted",
        /// `OUT_OF_RANGE`.
        OutOfRange = "out_of_range",
        /// `UNIMPLEMENTED`.
        Unimplemented = "unimplemented",
        /// `INTERNAL`.
        Internal = "internal",
        /// `UNAVAILABLE`.
        Unavailable = "unavailable",
        /// `DATA_LOSS`.
        DataLoss = "data_loss",
        /// `UNAUTHENTICATED`.
        Unauthenticated = "unauthenticated",
    }
}

choice! {
    /// The bytes of a connection that a fault affects.
    pub enum WireDirection {
        /// The bytes of both directions.
        Both = "both",
        /// The bytes from the caller.
        Requests = "requests",
        /// The bytes to the caller.
        Replies = "replies",
    }
}
