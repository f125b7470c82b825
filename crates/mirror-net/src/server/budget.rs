//! Amounts with a maximum: connections, calls in progress, and bytes of messages, of a server and of each of its peers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::MESSAGE_LIMIT;
use super::counters::Bound;
use super::limits::{Limits, PeerBytes};
use crate::tls::PeerName;

/// An amount with a maximum.
#[derive(Debug)]
pub(super) struct Gauge {
    used: AtomicUsize,
    maximum: usize,
}

impl Gauge {
    pub(super) fn new(maximum: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            maximum,
        }
    }

    /// Adds `amount`, and returns `false` without a change if the maximum less `spared` would be exceeded.
    fn reserve(&self, amount: usize, spared: usize) -> bool {
        let maximum = self.maximum.saturating_sub(spared);
        let with_amount = |used: usize| used.checked_add(amount).filter(|sum| *sum <= maximum);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_amount)
            .is_ok()
    }

    pub(super) fn maximum(&self) -> usize {
        self.maximum
    }

    /// Subtracts an amount that was reserved.
    fn release(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// Reserves `amount` of every gauge, or of none. Returns the bound of the first gauge without enough room. Of the last
/// gauge, which all peers share, `spared` remains free.
fn reserve_all<const N: usize>(
    gauges: [(&Gauge, Bound); N],
    amount: usize,
    spared: usize,
) -> Result<(), Bound> {
    for (index, (gauge, bound)) in gauges.into_iter().enumerate() {
        let spared = if index + 1 == N { spared } else { 0 };
        if !gauge.reserve(amount, spared) {
            for (reserved, _) in &gauges[..index] {
                reserved.release(amount);
            }
            return Err(bound);
        }
    }
    Ok(())
}

/// The limits of a server and what its peers use of them.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) limits: Limits,
    /// Whether peers can have certificates.
    has_certificates: bool,
    connections: Gauge,
    calls: Gauge,
    /// The peers that have connections. Their number is at most that of the connections.
    peers: Mutex<HashMap<IpAddr, Arc<Share>>>,
}

/// The amounts that one peer uses with all its connections.
#[derive(Debug)]
struct Share {
    connections: Gauge,
    calls: Gauge,
    /// Shared by all servers with the same budget.
    bytes: Arc<PeerBytes>,
}

/// A connection that was admitted. It is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Admission(pub(super) Arc<Peer>);

/// The peer of a connection. Requests have it as an extension, in an [`Arc`].
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    usage: Arc<Usage>,
    share: Arc<Share>,
    bytes: Gauge,
    has_called: AtomicBool,
    /// The name in the certificate of the peer. Empty without TLS.
    name: OnceLock<PeerName>,
}

/// A call in progress with the bytes of its messages. They are counted until this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) peer: Arc<Peer>,
    bytes: AtomicUsize,
    is_answered: AtomicBool,
}

impl Usage {
    /// `has_certificates` states whether peers can have certificates.
    pub(super) fn new(limits: Limits, has_certificates: bool) -> Self {
        Self {
            has_certificates,
            connections: Gauge::new(limits.connections),
            calls: Gauge::new(limits.calls),
            peers: Mutex::default(),
            limits,
        }
    }

    /// Admits a connection of `address`. Returns the bound that was reached if it must be refused.
    pub(super) fn admit(self: &Arc<Self>, address: SocketAddr) -> Result<Admission, Bound> {
        let key = peer_of(address.ip());
        let mut peers = self.peers();
        let share = peers.get(&key).cloned().unwrap_or_else(|| {
            Arc::new(Share {
                connections: Gauge::new(self.limits.connections_per_peer),
                calls: Gauge::new(self.limits.calls.div_ceil(2)),
                bytes: self.limits.budget.bytes_of(key),
            })
        });
        reserve_all(self.connections_of(&share), 1, 0)?;
        peers.insert(key, share.clone());
        drop(peers);
        Ok(Admission(Arc::new(Peer {
            address,
            usage: self.clone(),
            share,
            bytes: Gauge::new(self.limits.bytes_per_connection),
            has_called: AtomicBool::new(false),
            name: OnceLock::new(),
        })))
    }

    /// Counts that `bound` was reached.
    pub(super) fn note(&self, bound: Bound, peer: Option<SocketAddr>) {
        self.limits.counters.note(bound, peer);
    }

    fn connections_of<'gauges>(&'gauges self, share: &'gauges Share) -> [(&'gauges Gauge, Bound); 3] {
        [
            (&share.connections, Bound::PeerConnections),
            (&self.connections, Bound::Connections),
            (&self.limits.budget.connections, Bound::Connections),
        ]
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Share>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Peer {
            address,
            usage,
            share,
            ..
        } = &*self.0;
        let mut peers = usage.peers();
        for (gauge, _) in usage.connections_of(share) {
            gauge.release(1);
        }
        if share.connections.used.load(Ordering::Relaxed) == 0 {
            peers.remove(&peer_of(address.ip()));
        }
    }
}

impl Peer {
    /// Returns the address of the peer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the name in the certificate of the peer. `None` without TLS.
    pub fn name(&self) -> Option<PeerName> {
        self.name.get().cloned()
    }

    /// Sets the name that the TLS handshake has verified.
    pub(super) fn has_shown(&self, name: String) {
        // A connection has one handshake.
        let _ = self.name.set(PeerName(name.into()));
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.usage.limits
    }

    /// Returns whether the head of a request has arrived.
    pub(super) fn has_called(&self) -> bool {
        self.has_called.load(Ordering::Relaxed)
    }

    /// Counts that this peer reached `bound`.
    pub(super) fn note(&self, bound: Bound) {
        self.usage.note(bound, Some(self.address));
    }

    /// Starts a call. Returns the bound that was reached if it must be refused.
    pub(super) fn start_call(self: Arc<Self>) -> Result<Call, Bound> {
        // The line of memory is only written once.
        if !self.has_called() {
            self.has_called.store(true, Ordering::Relaxed);
        }
        let spared = self.spared(self.usage.limits.calls);
        reserve_all(self.calls(), 1, spared)?;
        Ok(Call {
            peer: self,
            bytes: AtomicUsize::new(0),
            is_answered: AtomicBool::new(false),
        })
    }

    /// Returns the part of a maximum that is kept free for peers with a certificate, so that strangers cannot lock the
    /// nodes of a run out: a quarter, or nothing if this peer has a certificate or none can have one.
    fn spared(&self, maximum: usize) -> usize {
        if self.name.get().is_none() && self.usage.has_certificates {
            maximum / 4
        } else {
            0
        }
    }

    /// Returns the maximum length of an answer in bytes.
    pub(super) fn longest_answer(&self) -> usize {
        let all = self.limits().budget.answers.maximum();
        let share = self.share.bytes.answers.maximum();
        share.min(all - self.spared(all))
    }

    /// Returns the maximum length of a message in bytes. Only services for peers with a certificate take longer ones
    /// than [`MESSAGE_LIMIT`].
    pub(super) fn longest_message(&self) -> usize {
        let longest = self.limits().bytes_per_connection;
        match self.name.get() {
            Some(_) => longest,
            None => longest.min(MESSAGE_LIMIT),
        }
    }

    fn calls(&self) -> [(&Gauge, Bound); 2] {
        [
            (&self.share.calls, Bound::PeerCalls),
            (&self.usage.calls, Bound::Calls),
        ]
    }

    fn bytes(&self) -> [(&Gauge, Bound); 3] {
        [
            (&self.bytes, Bound::ConnectionBytes),
            (&self.share.bytes.bytes, Bound::PeerBytes),
            (&self.usage.limits.budget.bytes, Bound::Bytes),
        ]
    }

    fn answers(&self) -> [(&Gauge, Bound); 2] {
        [
            (&self.share.bytes.answers, Bound::PeerAnswers),
            (&self.usage.limits.budget.answers, Bound::Answers),
        ]
    }
}

impl Call {
    /// Reserves `count` bytes for a message. Returns the bound that was reached if there is no room.
    pub(super) fn reserve(&self, count: usize) -> Result<(), Bound> {
        let spared = self.peer.spared(self.peer.limits().budget.bytes.maximum());
        reserve_all(self.peer.bytes(), count, spared)?;
        self.bytes.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back the bytes of all messages except `kept` ones.
    pub(super) fn release(&self, kept: usize) {
        let count = self.bytes.load(Ordering::Relaxed).saturating_sub(kept);
        if count > 0 {
            self.bytes.fetch_sub(count, Ordering::Relaxed);
            for (gauge, _) in self.peer.bytes() {
                gauge.release(count);
            }
        }
    }

    /// Reserves `count` bytes of the answer. Returns the bound that was reached if there is no room.
    pub(super) fn reserve_answer(&self, count: usize) -> Result<(), Bound> {
        let spared = self.peer.spared(self.peer.limits().budget.answers.maximum());
        reserve_all(self.peer.answers(), count, spared)
    }

    /// Gives back bytes that [`Call::reserve_answer`] has reserved.
    pub(super) fn release_answer(&self, count: usize) {
        for (gauge, _) in self.peer.answers() {
            gauge.release(count);
        }
    }

    /// Notes that the service has answered with the head of a response.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// Returns whether the service has answered. A service that has answered a call with one message no longer needs
    /// the message, and only a service that reads a stream of messages reads more.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Relaxed)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.release(0);
        for (gauge, _) in self.peer.calls() {
            gauge.release(1);
        }
    }
}

/// Returns the address that stands for all addresses of a peer: the network of an IPv6 address, because a host can
/// choose the last 64 bits.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Budget;
    use super::*;

    fn usage(limits: Limits) -> Arc<Usage> {
        Arc::new(Usage::new(limits, true))
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a socket address")
    }

    #[test]
    fn a_peer_has_a_bound_on_its_connections_and_is_forgotten_without_any() {
        let usage = usage(Limits {
            connections: 3,
            connections_per_peer: 2,
            ..Limits::default()
        });
        let (one, other) = (address("127.0.0.1:1000"), address("127.0.0.2:1000"));
        let first = usage.admit(one).expect("there is room");
        let second = usage.admit(one).expect("there is room");
        assert_eq!(usage.admit(one).err(), Some(Bound::PeerConnections));
        let third = usage.admit(other).expect("there is room");
        assert_eq!(usage.admit(other).err(), Some(Bound::Connections));
        drop(first);
        drop(usage.admit(one).expect("there is room again"));
        drop((second, third));
        assert!(usage.peers().is_empty());
        assert_eq!(usage.limits.budget.connections.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_are_one_peer() {
        let usage = usage(Limits {
            connections_per_peer: 1,
            ..Limits::default()
        });
        let _first = usage.admit(address("[2001:db8::1]:1")).expect("there is room");
        let same = usage.admit(address("[2001:db8::abcd:0:0:2]:1"));
        assert_eq!(same.err(), Some(Bound::PeerConnections));
        assert!(usage.admit(address("[2001:db8:0:1::1]:1")).is_ok());
    }

    #[test]
    fn messages_count_for_the_connection_the_peer_and_all_servers_until_the_call_ends() {
        let budget = Budget::new(100, 100, 100);
        let limits = Limits {
            bytes_per_connection: 30,
            budget: budget.clone(),
            ..Limits::default()
        };
        let servers = [usage(limits.clone()), usage(limits)];
        let call = |server: &Arc<Usage>, from: &str| {
            let admitted = server.admit(address(from)).expect("there is room");
            let call = admitted.0.clone().start_call().expect("there is room");
            (call, admitted)
        };
        let (first, _first) = call(&servers[0], "127.0.0.1:1");
        assert_eq!(first.reserve(31), Err(Bound::ConnectionBytes));
        assert_eq!(first.reserve(30), Ok(()));
        let (second, _second) = call(&servers[0], "127.0.0.1:2");
        assert_eq!(second.reserve(21), Err(Bound::PeerBytes));
        assert_eq!(second.reserve(20), Ok(()));
        let (third, _third) = call(&servers[1], "127.0.0.1:3");
        assert_eq!(third.reserve(1), Err(Bound::PeerBytes));
        // A quarter is kept for peers with a certificate.
        let (fourth, _fourth) = call(&servers[1], "127.0.0.2:4");
        assert_eq!(fourth.reserve(26), Err(Bound::Bytes));
        assert_eq!(fourth.reserve(25), Ok(()));
        let (node, admitted) = call(&servers[1], "127.0.0.3:5");
        admitted.0.has_shown("validator-0".to_owned());
        assert_eq!(node.reserve(26), Err(Bound::Bytes));
        assert_eq!(node.reserve(25), Ok(()));
        drop((first, node));
        assert_eq!(fourth.reserve(5), Ok(()));
        drop((second, third, fourth));
        assert_eq!(budget.bytes.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nothing_is_spared_if_no_peer_can_have_a_certificate() {
        let limits = Limits {
            calls: 4,
            budget: Budget::new(100, 100, 100),
            ..Limits::default()
        };
        let usage = Arc::new(Usage::new(limits, false));
        let peers =
            ["127.0.0.1:1", "127.0.0.2:1"].map(|text| usage.admit(address(text)).expect("there is room"));
        let calls: Vec<Call> = peers
            .iter()
            .flat_map(|peer| [0, 1].map(|_| peer.0.clone().start_call().expect("there is room")))
            .collect();
        for peer in &peers {
            assert_eq!(peer.0.longest_answer(), 50);
        }
        for call in &calls {
            assert_eq!(call.reserve_answer(25), Ok(()));
        }
        assert_eq!(calls[0].reserve_answer(1), Err(Bound::PeerAnswers));
        calls[0].release_answer(25);
        assert_eq!(calls[1].reserve_answer(25), Ok(()));
    }

    #[test]
    fn a_peer_has_half_of_the_calls_and_strangers_have_three_quarters() {
        let usage = usage(Limits {
            calls: 4,
            ..Limits::default()
        });
        let [one, other, last] = ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"]
            .map(|text| usage.admit(address(text)).expect("there is room"));
        let start = |admitted: &Admission| admitted.0.clone().start_call();
        let mut calls = Vec::new();
        for peer in [&one, &one, &other] {
            calls.push(start(peer).expect("there is room"));
        }
        assert_eq!(start(&one).err(), Some(Bound::PeerCalls));
        assert_eq!(start(&last).err(), Some(Bound::Calls));
        last.0.has_shown("validator-0".to_owned());
        calls.push(start(&last).expect("a node has more room"));
        assert_eq!(start(&last).err(), Some(Bound::Calls));
        calls.clear();
        assert!(start(&last).is_ok());
    }
}
