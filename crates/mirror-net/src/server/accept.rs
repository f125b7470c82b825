//! Accepts the connections of a server, and resets those that exceed a bound.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;

use super::budget::Usage;
use super::connection::Connection;
use super::counters::Bound;
use super::transport::Transport;
use crate::tls::Identity;

/// Pause after the first error of a row of errors. It doubles with each error.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Maximum pause after an error.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A descriptor that is released when the process has no other, to accept a connection and to reset it. All servers of
/// the process share it, because they share the limit of descriptors.
static RESERVE: Mutex<Option<File>> = Mutex::new(None);

/// The stream of the admitted connections of a listener. It never ends.
pub(super) struct Accepted {
    listener: TcpListener,
    usage: Arc<Usage>,
    identity: Option<Identity>,
    /// The pause after an error, while it lasts.
    pause: Option<Pin<Box<Sleep>>>,
    next_pause: Duration,
}

impl Accepted {
    pub(super) fn new(listener: TcpListener, usage: Arc<Usage>, identity: Option<Identity>) -> Self {
        fill(&mut RESERVE.lock().unwrap_or_else(PoisonError::into_inner));
        Self {
            listener,
            usage,
            identity,
            pause: None,
            next_pause: FIRST_PAUSE,
        }
    }

    /// Accepts connections until one is admitted. Returns an error of the listener.
    fn poll_admitted(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        loop {
            let (stream, address) = ready!(self.listener.poll_accept(context))?;
            self.next_pause = FIRST_PAUSE;
            match self.usage.admit(address) {
                Ok(admission) => {
                    // The kernel refuses this only if the peer has reset the connection, which the next read reports.
                    let _ = stream.set_nodelay(true);
                    let transport = Transport::new(stream, self.identity.as_ref());
                    return Poll::Ready(Ok(Connection::new(transport, admission)));
                }
                Err(bound) => {
                    reset(&stream);
                    self.usage.note(bound, Some(address));
                }
            }
        }
    }

    /// Accepts a connection with the reserve descriptor and resets it. Returns an error if the process still has no
    /// descriptor, because another thread has taken the released one.
    fn poll_refuse(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut reserve = RESERVE.lock().unwrap_or_else(PoisonError::into_inner);
        *reserve = None;
        let refused = self.listener.poll_accept(context).map_ok(|(stream, address)| {
            reset(&stream);
            self.usage.note(Bound::Descriptors, Some(address));
        });
        fill(&mut reserve);
        refused
    }
}

impl Stream for Accepted {
    type Item = Result<Connection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let error = match ready!(self.poll_admitted(context)) {
                Ok(connection) => return Poll::Ready(Some(Ok(connection))),
                Err(error) => error,
            };
            let error = match Errno::from_io_error(&error) {
                // The peer has reset the connection already.
                Some(Errno::CONNABORTED | Errno::CONNRESET) => continue,
                Some(Errno::MFILE | Errno::NFILE) => match ready!(self.poll_refuse(context)) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                _ => error,
            };
            self.usage.note(Bound::Accepting, None);
            tracing::debug!(%error, "cannot accept a connection");
            self.pause = Some(Box::pin(sleep(self.next_pause)));
            self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Lets the peer of a connection receive a reset when it is closed, instead of the end of the stream.
fn reset(stream: &TcpStream) {
    // If the option cannot be set, the connection is closed in the usual way.
    let _ = stream.set_zero_linger();
}

/// Opens the reserve descriptor unless it is open. The reserve stays empty if the process has no descriptor left.
fn fill(reserve: &mut Option<File>) {
    if reserve.is_none() {
        *reserve = File::open("/dev/null").ok();
    }
}
