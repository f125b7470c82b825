//! Counters of the bounds of a server: the number of times that each was reached.

use std::net::SocketAddr;

use crate::counter::Counter;

macro_rules! bounds {
    ($($(#[$doc:meta])* $bound:ident: $name:literal),* $(,)?) => {
        /// A bound of a server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bound {
            $($(#[$doc])* $bound,)*
        }

        impl Bound {
            /// All bounds.
            pub const ALL: &[Self] = &[$(Self::$bound),*];

            /// Returns the name of the bound in log lines.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$bound => $name,)*
                }
            }
        }

        /// The number of times that each bound of a server was reached.
        #[derive(Debug, Default)]
        pub struct Counters([Counter; [$(Bound::$bound),*].len()]);
    };
}

bounds! {
    /// A connection was refused because the server or its process has the maximum number of connections.
    Connections: "connections",
    /// A connection was refused because its peer address has the maximum number of connections.
    PeerConnections: "connections of a peer",
    /// A connection was refused because the process has no free descriptor.
    Descriptors: "descriptors",
    /// A connection could not be accepted, for another reason than the lack of descriptors.
    Accepting: "errors of accept",
    /// A connection was closed because its TLS handshake did not end in time.
    HandshakeTime: "time of the TLS handshake",
    /// A connection was closed because its TLS handshake failed: the certificate is missing, has expired, or belongs to
    /// another network, or the bytes are not TLS.
    Handshake: "TLS handshakes",
    /// A call was refused because the service requires a certificate and the caller has shown none.
    NoCertificate: "calls without a certificate",
    /// A call was refused because the service does not admit the name in the certificate of the caller.
    Callers: "calls of other nodes",
    /// A connection was closed because its HTTP/2 preface did not arrive in time.
    Preface: "time of the preface",
    /// A connection was closed because its first request did not arrive in time.
    FirstRequest: "time of the first request",
    /// A connection was closed because no byte arrived for too long.
    Idle: "idle time",
    /// A stream was refused because its connection has the maximum number of streams.
    Streams: "streams of a connection",
    /// A request was refused because its header list is too large. Only the first of each connection is counted.
    HeaderLists: "bytes of a header list",
    /// A connection was closed because its peer sends too many frames without use: resets, parts of headers or empty
    /// data.
    Floods: "frames without use",
    /// A call was refused because the server has the maximum number of calls in progress.
    Calls: "calls in progress",
    /// A call was refused because its peer address has the maximum number of calls in progress.
    PeerCalls: "calls in progress of a peer",
    /// A call was refused because its message is longer than any that its caller may send.
    MessageBytes: "bytes of a message",
    /// A call was refused because the messages of its connection exceed the maximum number of bytes.
    ConnectionBytes: "bytes of a connection",
    /// A call was refused because the messages of its peer address exceed the maximum number of bytes.
    PeerBytes: "bytes of a peer",
    /// A call was refused because the messages of all calls of the process exceed the maximum number of bytes.
    Bytes: "bytes",
    /// An answer was not sent because the answers of its peer address that are not yet received exceed the maximum
    /// number of bytes.
    PeerAnswers: "bytes of answers of a peer",
    /// An answer was not sent because all answers of the process that are not yet received exceed the maximum number of
    /// bytes.
    Answers: "bytes of answers",
    /// A call was refused because its message is compressed.
    Compression: "compressed messages",
    /// A call was ended because its messages did not arrive in time.
    Body: "time of a body",
}

impl Counters {
    /// Returns the number of times that `bound` was reached.
    pub fn get(&self, bound: Bound) -> u64 {
        self.0[bound as usize].get()
    }

    /// Counts that `peer` reached `bound`, and logs it if the last log line about this bound is old enough. `None` if
    /// no peer is known.
    pub(super) fn note(&self, bound: Bound, peer: Option<SocketAddr>) {
        if let Some(times) = self.0[bound as usize].count() {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(
                bound = bound.name(),
                times,
                peer,
                "a bound of the server was reached"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_has_a_separate_counter_and_name() {
        let counters = Counters::default();
        for (number, bound) in Bound::ALL.iter().enumerate() {
            for _ in 0..number {
                counters.note(*bound, None);
            }
        }
        for (number, bound) in Bound::ALL.iter().enumerate() {
            assert_eq!(counters.get(*bound), number as u64, "{bound:?}");
            let same = Bound::ALL.iter().filter(|other| other.name() == bound.name());
            assert_eq!(same.count(), 1, "{bound:?}");
        }
    }
}
