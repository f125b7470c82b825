//! The bytes of a connection: plain, or those of TLS.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::{FallibleAccept, TlsStream};

use super::budget::Peer;
use super::counters::Bound;
use crate::tls::{Identity, name_in};

/// The first byte of a TLS connection: the type of a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Maximum number of bytes that are read from a peer after its handshake has failed.
const MAX_DISCARDED: usize = 64 << 10;

/// The stream of a connection. The first byte of the peer decides whether it is TLS.
pub(super) enum Transport {
    /// The first byte is awaited. The stream is there until it has arrived.
    Undecided(Option<TcpStream>, Arc<ServerConfig>),
    /// The handshake is in progress.
    Handshake(Box<FallibleAccept<TcpStream>>),
    /// The handshake has failed, and the peer was sent the reason. What it sends is read and discarded until it closes
    /// the connection, because a connection that is closed with unread bytes is reset, and the reason is lost.
    Refused {
        stream: TcpStream,
        discarded: usize,
    },
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Creates the transport of an accepted connection. Without an identity, it is plain.
    pub(super) fn new(stream: TcpStream, identity: Option<&Identity>) -> Self {
        match identity {
            Some(identity) => Self::Undecided(Some(stream), identity.server()),
            None => Self::Plain(stream),
        }
    }

    /// Returns the bound that is reached if the preface does not arrive in time.
    pub(super) fn awaited(&self) -> Bound {
        match self {
            Self::Handshake(_) => Bound::HandshakeTime,
            Self::Refused { .. } => Bound::Handshake,
            Self::Undecided(..) | Self::Plain(_) | Self::Tls(_) => Bound::Preface,
        }
    }

    /// Waits until the handshake has ended, if there is one, and gives `peer` the name in its certificate.
    fn poll_established(&mut self, peer: &Peer, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let next = match self {
                Self::Plain(_) | Self::Tls(_) => return Poll::Ready(Ok(())),
                Self::Undecided(undecided, config) => {
                    let Some(stream) = undecided else {
                        return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                    };
                    let mut first = [0];
                    let mut peeked = ReadBuf::new(&mut first);
                    ready!(stream.poll_peek(context, &mut peeked))?;
                    let is_tls = peeked.filled() == [HANDSHAKE];
                    match undecided.take() {
                        Some(stream) if is_tls => {
                            let accept = TlsAcceptor::from(config.clone()).accept(stream);
                            Self::Handshake(Box::new(accept.into_fallible()))
                        }
                        Some(stream) => Self::Plain(stream),
                        None => continue,
                    }
                }
                Self::Handshake(accept) => match ready!(Pin::new(accept).poll(context)) {
                    Ok(stream) => {
                        let shown = stream.get_ref().1.peer_certificates();
                        if let Some(name) = shown.and_then(|chain| name_in(chain.first()?)) {
                            peer.has_shown(name);
                        }
                        Self::Tls(Box::new(stream))
                    }
                    Err((error, stream)) => {
                        tracing::debug!(peer = %peer.address(), %error, "a TLS handshake failed");
                        peer.note(Bound::Handshake);
                        Self::Refused { stream, discarded: 0 }
                    }
                },
                Self::Refused { stream, discarded } => {
                    let mut bytes = [0; 1_024];
                    let mut buffer = ReadBuf::new(&mut bytes);
                    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
                    *discarded += buffer.filled().len();
                    if buffer.filled().is_empty() || *discarded > MAX_DISCARDED {
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    }
                    continue;
                }
            };
            *self = next;
        }
    }
}

impl Transport {
    pub(super) fn poll_read(
        &mut self,
        peer: &Peer,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_established(peer, context))?;
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            _ => not_established(),
        }
    }

    pub(super) fn poll_write(
        &mut self,
        peer: &Peer,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_established(peer, context))?;
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            _ => not_established(),
        }
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            // Nothing was written yet.
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) | Self::Refused { stream, .. } | Self::Undecided(Some(stream), _) => {
                Pin::new(stream).poll_shutdown(context)
            }
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Undecided(None, _) | Self::Handshake(_) => Poll::Ready(Ok(())),
        }
    }
}

/// Returns the error of a stream that is neither plain nor TLS, which [`Transport::poll_established`] rules out.
fn not_established<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undecided(..) => "Undecided",
            Self::Handshake(_) => "Handshake",
            Self::Refused { .. } => "Refused",
            Self::Plain(_) => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}
