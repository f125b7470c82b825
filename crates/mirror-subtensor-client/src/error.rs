//! The ways in which a request can fail.

use std::time::Duration;

use mirror_identity::KeyError;
use tonic::Status;

use crate::MetagraphError;

/// A request to the subtensor that failed for good.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The subtensor answered with an error that a repetition would not change.
    #[error("the subtensor refused {request}")]
    Refused {
        /// The name of the request in the gRPC service.
        request: &'static str,
        /// The subtensor's answer.
        #[source]
        status: Box<Status>,
    },
    /// The subtensor did not answer before the client's deadline.
    #[error("the subtensor did not answer {request} within {deadline:?}")]
    DeadlineExceeded {
        /// The name of the request in the gRPC service.
        request: &'static str,
        /// The time that the request had, with all its attempts.
        deadline: Duration,
        /// How the last attempt failed. `None` if the first was still in progress.
        #[source]
        last: Option<Box<Status>>,
    },
    /// The subtensor sent a metagraph that is not valid.
    #[error(transparent)]
    Metagraph(#[from] MetagraphError),
    /// The subtensor sent a nominator whose coldkey is not a key.
    #[error("the subtensor sent a nominator with an invalid coldkey")]
    Nominator(#[from] KeyError),
}
