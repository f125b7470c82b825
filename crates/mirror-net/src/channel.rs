//! Channels as every caller opens them: connected when first used, without Nagle's delay, giving up in time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::service_fn;

use crate::gathering::Gathering;
use crate::server::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};

/// Time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel to `address` that connects at its first call, and again after a break.
pub fn lazy(address: SocketAddr) -> Channel {
    let connect = move |_| async move {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        io::Result::Ok(TokioIo::new(Gathering::new(stream)))
    };
    endpoint(address).connect_with_connector_lazy(service_fn(connect))
}

/// Whether a status was made at this end, by the transport, and not sent by the other.
pub fn is_own(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether a failure is the connection's, so that the same call may succeed later.
pub fn is_passing(status: &Status) -> bool {
    is_own(status)
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
        )
}

/// How `address` is connected to.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address makes a valid URI")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
}
