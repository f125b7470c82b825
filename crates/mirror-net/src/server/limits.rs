//! The limits of a server, and the part of them that all servers of a process share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::budget::Gauge;
use super::counters::Counters;

/// Number of bytes in a mebibyte.
const MIB: usize = 1 << 20;

/// Maximum size of an HTTP/2 frame in bytes: the default (RFC 9113, section 6.5.2).
const FRAME: usize = 16 << 10;

/// Limits of a server. A clone shares the budget and the counters.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum number of concurrent calls on one connection, including streams. A conforming client waits when it
    /// reaches the limit; further calls of any other client are refused.
    pub calls_per_connection: u32,
    /// Maximum number of concurrent calls of the server. One peer address may have half of it.
    pub calls: usize,
    /// Maximum number of connections of the server.
    pub connections: usize,
    /// Maximum number of connections of one peer: of an IPv4 address, or of an IPv6 network with a prefix of 64 bits.
    pub connections_per_peer: usize,
    /// Maximum size of the messages of all calls in progress of a connection, in bytes.
    pub bytes_per_connection: usize,
    /// Maximum size of the header list of a request, in bytes.
    pub header_bytes: u32,
    /// Maximum number of streams that a peer has reset before the server has accepted them. More end the connection.
    pub pending_resets: usize,
    /// Time in which the HTTP/2 preface of a new connection must arrive.
    pub preface_timeout: Duration,
    /// Time after the preface in which the head of the first request must arrive.
    pub first_request_timeout: Duration,
    /// Time without a byte from the peer after which a connection is closed, at the latest after twice this time. A
    /// conforming client answers keep-alive pings.
    pub idle_timeout: Duration,
    /// Time in which the messages of a call must arrive until it is answered. After that, the messages of a stream may
    /// have any distance, but each must arrive in this time.
    pub body_timeout: Duration,
    /// The limits that all servers with this budget share.
    pub budget: Arc<Budget>,
    /// The number of times that each bound was reached.
    pub counters: Arc<Counters>,
}

/// Limits that servers share, such as the axons of one process.
#[derive(Debug)]
pub struct Budget {
    /// The connections of all servers.
    pub(super) connections: Gauge,
    /// The bytes of the messages of all calls in progress. One peer address may have half of it.
    pub(super) bytes: Gauge,
    /// The bytes of the answers that their callers have not yet received. One peer address may have half of it.
    pub(super) answers: Gauge,
    /// The bytes of each peer address that has connections, and of some that had.
    peers: Mutex<HashMap<IpAddr, Weak<PeerBytes>>>,
}

/// The bytes that one peer address uses of a [`Budget`].
#[derive(Debug)]
pub(super) struct PeerBytes {
    pub(super) bytes: Gauge,
    pub(super) answers: Gauge,
}

impl Budget {
    /// Creates a budget for at most `connections` connections, `bytes` bytes of messages of calls in progress, and
    /// `answers` bytes of answers that their callers have not yet received.
    pub fn new(connections: usize, bytes: usize, answers: usize) -> Arc<Self> {
        Arc::new(Self {
            connections: Gauge::new(connections),
            bytes: Gauge::new(bytes),
            answers: Gauge::new(answers),
            peers: Mutex::default(),
        })
    }

    /// Returns the bytes of a peer address, which all servers share.
    pub(super) fn bytes_of(&self, peer: IpAddr) -> Arc<PeerBytes> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = peers.get(&peer).and_then(Weak::upgrade) {
            return bytes;
        }
        // Sweeping only a full map makes it cheap, and bounds the map by the number of connections.
        if peers.len() == peers.capacity() {
            peers.retain(|_, bytes| bytes.strong_count() > 0);
        }
        let bytes = Arc::new(PeerBytes {
            bytes: Gauge::new(self.bytes.maximum().div_ceil(2)),
            answers: Gauge::new(self.answers.maximum().div_ceil(2)),
        });
        peers.insert(peer, Arc::downgrade(&bytes));
        bytes
    }
}

impl Default for Limits {
    /// The limits of a service that only nodes of the run and the command line call: 400 calls per connection, as in a
    /// v4 axon, and 64 MiB of messages, of which one connection may have half, because a fault state has up to 16 MiB.
    /// Answers may have 64 MiB.
    fn default() -> Self {
        Self {
            calls_per_connection: 400,
            calls: 4_096,
            connections: 8_192,
            connections_per_peer: 256,
            bytes_per_connection: 32 * MIB,
            header_bytes: 16 << 10,
            pending_resets: 20,
            preface_timeout: Duration::from_secs(5),
            first_request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(10),
            body_timeout: Duration::from_secs(30),
            budget: Budget::new(8_192, 64 * MIB, 64 * MIB),
            counters: Arc::default(),
        }
    }
}

impl Limits {
    /// Returns the limits of each of `count` axons of a process. They share 32 MiB of messages, of which one connection
    /// may have 8 MiB, and 16 MiB of answers, or 1 MiB for each axon if that is more. Every validator
    /// has a connection to every axon, so the number of connections of the process grows with that of its axons.
    pub fn axons(count: usize) -> Self {
        Self {
            calls: 2_048,
            connections: 1_024,
            bytes_per_connection: 8 * MIB,
            budget: Budget::new(1_024 * count.max(1), 32 * MIB, count.max(16) * MIB),
            ..Self::default()
        }
    }

    /// Returns the limits of the chain's node: 32 MiB of messages, of which one connection may have 8 MiB, and 512
    /// MiB of answers, because a metagraph with all weights and bonds may have 256 MiB. Every process of a network has
    /// a connection to it, and a network may have 4,096 miners. The default therefore applies to the number of
    /// connections.
    pub fn chain() -> Self {
        Self {
            bytes_per_connection: 8 * MIB,
            budget: Budget::new(8_192, 32 * MIB, 512 * MIB),
            ..Self::default()
        }
    }

    /// Returns the limits of the coordinator: 256 MiB of messages. One connection may have 64 MiB, which is the maximum
    /// size of one report, and a frame more, because the next report may begin in the frame in which one ends. Answers
    /// may have 64 MiB.
    pub fn coordinator() -> Self {
        Self {
            bytes_per_connection: 64 * MIB + FRAME,
            budget: Budget::new(8_192, 256 * MIB, 64 * MIB),
            ..Self::default()
        }
    }
}
