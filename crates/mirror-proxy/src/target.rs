//! A target: the listener for its callers, and its real address.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::connection;
use crate::link::Links;
use crate::queue::HeldInTotal;
use crate::rules::RuleBook;

/// Maximum number of open connections.
pub(crate) const MAX_CONNECTIONS: usize = 4_096;

/// Pause after a connection could not be accepted, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

/// A target.
#[derive(Debug)]
pub(crate) struct Target {
    name: String,
    address: RwLock<SocketAddr>,
}

/// The state that all targets share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rules: RuleBook,
    pub(crate) links: Links,
    /// One permit for each further connection.
    room: Arc<Semaphore>,
    refused: AtomicU64,
    total: HeldInTotal,
}

impl Target {
    pub(crate) fn new(name: String, address: SocketAddr) -> Self {
        Self {
            name,
            address: RwLock::new(address),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the real address.
    pub(crate) fn address(&self) -> SocketAddr {
        *self.address.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the real address for connections that are made from now on.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            rules: RuleBook::new(),
            links: Links::default(),
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            refused: AtomicU64::new(0),
            total: HeldInTotal::default(),
        }
    }

    /// Returns the number of open connections.
    pub(crate) fn open_connections(&self) -> u64 {
        (MAX_CONNECTIONS - self.room.available_permits()) as u64
    }

    /// Returns the number of connections that were refused because of a limit.
    pub(crate) fn refused_connections(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Accepts connections to a target as long as the runtime lives.
pub(crate) async fn accept(target: Arc<Target>, listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((caller, peer)) => open(caller, peer, &target, &shared),
            Err(error) => {
                tracing::warn!(target = target.name(), %error, "cannot accept a connection, retrying");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Starts to pass a connection on, or resets it if a limit is reached.
fn open(caller: TcpStream, peer: SocketAddr, target: &Arc<Target>, shared: &Arc<Shared>) {
    let room = Arc::clone(&shared.room).try_acquire_owned().ok();
    let link = shared.links.get(peer.ip(), target.name());
    let (Some(room), Some(link), Ok(())) = (room, link, caller.set_nodelay(true)) else {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        connection::reset(&caller);
        return;
    };
    link.count_connection();
    let rules = shared.rules.follow();
    let connection = connection::run(caller, link, Arc::clone(target), rules, shared.total.clone());
    tokio::spawn(async move {
        connection.await;
        drop(room);
    });
}
