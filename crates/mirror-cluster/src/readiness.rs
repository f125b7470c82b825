//! Checks whether a node answers gRPC health checks, before it is ready and while it runs. A connection alone is not
//! sufficient: the kernel also accepts connections for a process that is stopped.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Liveness;

/// Timeout of one attempt. With a shorter one, a machine that starts a thousand nodes would repeat many attempts.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason why an attempt found no serving node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unready {
    #[error("nothing accepts connections at {address}")]
    Unreachable { address: SocketAddr },
    #[error("it accepts connections at {address}, but did not reply within {ATTEMPT_TIMEOUT:?}")]
    Silent { address: SocketAddr },
    #[error("it replied at {address} with {code:?}: {message}")]
    Refused {
        address: SocketAddr,
        code: Code,
        message: String,
    },
    #[error("it reported the status {status:?} at {address}")]
    NotServing {
        address: SocketAddr,
        status: ServingStatus,
    },
}

/// The sign by which a node counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadySign {
    /// It answers health checks, as every node of this project does.
    Health,
    /// It accepts connections: a foreign program may have no health service, or answer only signed requests.
    Connection,
}

impl ReadySign {
    /// Checks once whether the node at an address shows the sign.
    pub(crate) async fn check(self, address: SocketAddr) -> Result<(), Unready> {
        match self {
            Self::Health => check_health(address).await,
            Self::Connection => check_connection(address).await,
        }
    }
}

/// Checks a node once. A server without a health service counts as ready, because its reply shows that it serves.
async fn check_health(address: SocketAddr) -> Result<(), Unready> {
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

/// Checks once whether anything accepts connections at an address.
async fn check_connection(address: SocketAddr) -> Result<(), Unready> {
    match tokio::time::timeout(ATTEMPT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Unready::Unreachable { address }),
    }
}

/// Checks the liveness of a running node over a connection that is kept open. The connection is made at the first check
/// and again after it breaks.
#[derive(Debug, Clone)]
pub struct HealthProbe(HealthClient<Channel>);

impl HealthProbe {
    /// Creates a probe of the node that answers health checks at `address`.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn new(address: SocketAddr) -> Self {
        Self(HealthClient::new(mirror_net::channel::lazy(address)))
    }

    /// Checks the node once. Any reply shows that the node is alive, except one that the health service does not exist:
    /// such a server cannot be watched.
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
