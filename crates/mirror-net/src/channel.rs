//! Channels as every caller opens them: connected when first used, without Nagle's delay, giving up in time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::gathering::Gathering;

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

/// How `address` is connected to.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address makes a valid URI")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
}
