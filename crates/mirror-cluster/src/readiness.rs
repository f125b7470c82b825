//! Whether a node answers gRPC health checking: before it is ready, and while it runs. A connection alone proves
//! nothing: the kernel accepts it also for a process that is stopped.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Liveness;

/// Time for one attempt. Below it, a machine that starts a thousand nodes at once would be asked again and again.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// What one attempt brought instead of an answer that the node serves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unready {
    #[error("nothing accepts connections at {address}")]
    Unreachable { address: SocketAddr },
    #[error("it accepts connections at {address}, but gave no answer within {ATTEMPT_TIMEOUT:?}")]
    Silent { address: SocketAddr },
    #[error("it answered at {address} with {code:?}: {message}")]
    Refused {
        address: SocketAddr,
        code: Code,
        message: String,
    },
    #[error("it answered at {address} that it is {status:?}")]
    NotServing {
        address: SocketAddr,
        status: ServingStatus,
    },
}

/// Asks once. A server without a health service is taken as ready: that it says so shows that it serves.
pub(crate) async fn check(address: SocketAddr) -> Result<(), Unready> {
    let asking = async {
        let Ok(channel) = mirror_net::channel::endpoint(address).connect().await else {
            return Err(Unready::Unreachable { address });
        };
        match HealthClient::new(channel)
            .check(HealthCheckRequest::default())
            .await
        {
            Ok(response) => match response.into_inner().status() {
                ServingStatus::Serving => Ok(()),
                status => Err(Unready::NotServing { address, status }),
            },
            Err(status) if status.code() == Code::Unimplemented => Ok(()),
            Err(status) => Err(Unready::Refused {
                address,
                code: status.code(),
                message: status.message().to_owned(),
            }),
        }
    };
    tokio::time::timeout(ATTEMPT_TIMEOUT, asking)
        .await
        .unwrap_or(Err(Unready::Silent { address }))
}

/// Asks a running node for signs of life, by a connection that is kept: made at the first check and again after a
/// break.
#[derive(Debug, Clone)]
pub struct HealthProbe(HealthClient<Channel>);

impl HealthProbe {
    /// A probe of the node that answers health checks at `address`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(address: SocketAddr) -> Self {
        Self(HealthClient::new(mirror_net::channel::lazy(address)))
    }

    /// Asks once. An answer of any kind is a sign of life, but one that says that there is no health service: that
    /// server cannot be watched.
    pub async fn check(&self, deadline: Duration) -> Liveness {
        let mut client = self.0.clone();
        let checking = client.check(Request::new(HealthCheckRequest::default()));
        match tokio::time::timeout(deadline, checking).await {
            Err(_) => Liveness::Silent,
            Ok(Err(status)) if mirror_net::channel::is_own(&status) => Liveness::Silent,
            Ok(Err(status)) if status.code() == Code::Unimplemented => Liveness::Unwatched,
            Ok(Ok(_) | Err(_)) => Liveness::Answered,
        }
    }
}
