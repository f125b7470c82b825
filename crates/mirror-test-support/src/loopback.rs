//! gRPC servers on loopback.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};

use mirror_net::server::{self, Limits, Services};
use tokio::net::TcpListener;

/// Opens a listener on a free port of loopback. Returns it with its address.
///
/// # Panics
///
/// Panics if loopback has no free port.
pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("the listener has an address");
    (listener, address)
}

/// Serves `services` on a free port of loopback as long as the runtime lives. Returns the address.
pub async fn serve(services: Services) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(server::serve(listener, services, Limits::default(), pending()));
    address
}
