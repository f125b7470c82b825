//! The errors of requests.

use std::time::Duration;

use mirror_identity::KeyError;
use tonic::Status;

use crate::MetagraphError;

/// A request to the subtensor that failed permanently.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The subtensor returned an error that a retry would not change.
    #[error("the subtensor refused {request}")]
    Refused {
        /// Name of the request in the gRPC service.
        request: &'static str,
        /// The subtensor's answer.
        #[source]
        status: Box<Status>,
    },
    /// The subtensor did not answer before the client's deadline.
    #[error("the subtensor did not answer {request} within {deadline:?}")]
    DeadlineExceeded {
        /// Name of the request in the gRPC service.
        request: &'static str,
        /// Time limit of the request, including all its attempts.
        deadline: Duration,
        /// Failure of the last attempt. `None` if the first attempt was still in progress.
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
