//! gRPC client channels: connected on first use, without Nagle's algorithm, with timeouts.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mirror_proto::codec::BadMessage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, TimeoutExpired};
use tower::service_fn;

use crate::gathering::Gathering;
use crate::server::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::tls::Connecting;

/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Address from which the connections of this process come.
static SOURCE: OnceLock<IpAddr> = OnceLock::new();

/// Sets the address from which this process connects to destinations on loopback. Only the first call has an effect,
/// and only on connections that are made afterwards.
pub fn connect_from(source: IpAddr) {
    SOURCE.get_or_init(|| source);
}

/// Returns a channel to `address` that connects at its first call and reconnects after a break. The connections come
/// from the address of [`connect_from`].
pub fn lazy(address: SocketAddr) -> Channel {
    over(address, Gathering::new)
}

/// Returns a channel to `address` that uses TLS. It connects at its first call and reconnects after a break.
pub fn secure(address: SocketAddr, connecting: Connecting) -> Channel {
    let connect = move |_| {
        let connecting = connecting.clone();
        async move {
            let stream = connecting.connect(connected(address).await?).await?;
            io::Result::Ok(TokioIo::new(Gathering::new(stream)))
        }
    };
    endpoint(address).connect_with_connector_lazy(service_fn(connect))
}

/// Returns a channel to `address` whose connections are wrapped by `wrap`. It connects at its first call.
pub fn over<S>(address: SocketAddr, wrap: impl Fn(TcpStream) -> S + Copy + Send + Sync + 'static) -> Channel
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connect = move |_| async move { io::Result::Ok(TokioIo::new(wrap(connected(address).await?))) };
    endpoint(address).connect_with_connector_lazy(service_fn(connect))
}

/// Connects to `address` from `source` if both are loopback addresses of one family, and otherwise from the address
/// that the kernel chooses.
///
/// # Errors
///
/// Returns an error if the connection cannot be made, or if `source` is not an address of this machine.
pub async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let source = source.filter(|source| {
        address.ip().is_loopback() && source.is_loopback() && source.is_ipv4() == address.is_ipv4()
    });
    let Some(source) = source else {
        return TcpStream::connect(address).await;
    };
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind((source, 0).into())?;
    socket.connect(address).await
}

/// Returns a channel whose connections are refused, as if no process listened at `address`.
pub fn refusing(address: SocketAddr) -> Channel {
    let refuse = |_| async { Err::<TokioIo<TcpStream>, _>(io::Error::from(rustix::io::Errno::CONNREFUSED)) };
    endpoint(address).connect_with_connector_lazy(service_fn(refuse))
}

/// Returns a channel to `address` whose HTTP/2 streams have a window of 0 bytes, so that no message of a reply arrives.
pub fn stalled(address: SocketAddr) -> Channel {
    let connect =
        move |_| async move { io::Result::Ok(TokioIo::new(Gathering::new(connected(address).await?))) };
    endpoint(address)
        .initial_stream_window_size(0)
        .connect_with_connector_lazy(service_fn(connect))
}

async fn connected(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = connect(address, SOURCE.get().copied()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns whether a status was created locally, by the transport. `false` for a status that the peer sent and for one
/// that reports a malformed message of the peer.
pub fn is_own(status: &Status) -> bool {
    status.source().is_some() && BadMessage::of(status).is_none()
}

/// Returns whether the deadline of a call passed locally, by its `grpc-timeout`. `false` for every status that the peer
/// sent, whatever its code and message are.
pub fn has_timed_out(status: &Status) -> bool {
    successors(status.source(), |cause| (*cause).source()).any(<dyn Error>::is::<TimeoutExpired>)
}

/// Returns the reason of a status: the innermost cause of a status that was created locally, such as the alert of a
/// failed TLS handshake, and otherwise the message.
pub fn reason(status: &Status) -> String {
    let causes = successors(status.source(), |cause| (*cause).source());
    causes
        .last()
        .map_or_else(|| status.message().to_owned(), ToString::to_string)
}

/// Returns whether a failure is transient, so that the same call may succeed later.
pub fn is_passing(status: &Status) -> bool {
    is_own(status)
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted
        )
}

/// Returns the endpoint of `address`, with timeouts and keep-alive.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address makes a valid URI")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpListener;
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    async fn listener() -> TcpListener {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        listener.expect("a free port")
    }

    async fn check(address: SocketAddr, timeout: Duration) -> Status {
        let mut request = Request::new(HealthCheckRequest::default());
        request.set_timeout(timeout);
        let checked = HealthClient::new(lazy(address)).check(request).await;
        checked.expect_err("the server does not answer")
    }

    #[tokio::test]
    async fn a_local_timeout_is_recognised_by_its_type() {
        let silent = listener().await;
        let address = silent.local_addr().expect("it listens");
        let status = check(address, Duration::from_millis(20)).await;
        assert!(has_timed_out(&status) && is_own(&status), "{status:?}");
    }

    #[tokio::test]
    async fn a_failed_connection_is_not_a_timeout() {
        let address = listener().await.local_addr().expect("it listened");
        let status = check(address, Duration::from_mins(1)).await;
        assert!(is_own(&status) && !has_timed_out(&status), "{status:?}");
    }

    #[tokio::test]
    async fn a_connection_on_loopback_comes_from_the_source() {
        let listener = listener().await;
        let address = listener.local_addr().expect("it listens");
        let source = IpAddr::from(Ipv4Addr::new(127, 1, 2, 3));
        for (source, expected) in [
            (Some(source), source),
            (None, Ipv4Addr::LOCALHOST.into()),
            (Some(Ipv6Addr::LOCALHOST.into()), Ipv4Addr::LOCALHOST.into()),
            (
                Some(Ipv4Addr::new(192, 0, 2, 1).into()),
                Ipv4Addr::LOCALHOST.into(),
            ),
        ] {
            let connected = connect(address, source).await.expect("it listens");
            let (_, peer) = listener.accept().await.expect("a connection was made");
            assert_eq!(peer.ip(), expected, "{source:?}");
            assert_eq!(connected.local_addr().ok(), Some(peer));
        }
    }

    #[test]
    fn a_status_of_the_peer_is_not_a_timeout_and_a_malformed_message_is_not_a_transport_error() {
        let sent = Status::cancelled(TimeoutExpired(()).to_string());
        assert!(!has_timed_out(&sent) && !is_own(&sent));
        let bad = Status::from(BadMessage::CutOff);
        assert!(!is_own(&bad) && !is_passing(&bad));
    }
}
