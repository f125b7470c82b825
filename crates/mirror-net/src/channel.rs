//! Channels as every caller opens them: connected when first used, without Nagle's delay, giving up in time.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel to `address` that connects at its first call, and again after a break.
pub fn lazy(address: SocketAddr) -> Channel {
    endpoint(address).connect_lazy()
}

/// How `address` is connected to.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address makes a valid URI")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
}
