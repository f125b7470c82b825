//! A connection of a server, which ends with an error when its peer lets a deadline pass.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

use super::budget::{Admission, Peer};
use super::counters::Bound;
use super::frames::SentFrames;
use super::transport::Transport;

/// Length of the HTTP/2 preface of a client, in bytes (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// A connection that was admitted.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Transport,
    admission: Admission,
    stage: Stage,
    /// Resolves at the deadline of the stage.
    timer: Pin<Box<Sleep>>,
    sent: SentFrames,
}

/// The deadline that applies.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The preface is awaited, with TLS after the handshake, of which this number of bytes has arrived.
    Preface(usize),
    /// The head of the first request is awaited.
    FirstRequest,
    /// Any byte is awaited. The field states whether one has arrived since the timer was set, so that the clock is not
    /// read for every byte.
    Open { is_active: bool },
}

impl Connection {
    pub(super) fn new(stream: Transport, admission: Admission) -> Self {
        let timer = Box::pin(sleep(admission.0.limits().preface_timeout));
        Self {
            stream,
            admission,
            stage: Stage::Preface(0),
            timer,
            sent: SentFrames::default(),
        }
    }

    /// Notes that bytes have arrived.
    fn arrived(&mut self, count: usize) {
        match &mut self.stage {
            Stage::Preface(read) => {
                *read += count;
                if *read >= PREFACE {
                    self.stage = Stage::FirstRequest;
                    let deadline = Instant::now() + self.admission.0.limits().first_request_timeout;
                    self.timer.as_mut().reset(deadline);
                }
            }
            Stage::FirstRequest => {}
            Stage::Open { is_active } => *is_active = true,
        }
    }

    /// Returns an error if the deadline has passed, and otherwise lets the timer wake the task at the deadline.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let peer = &self.admission.0;
            let missed = match self.stage {
                Stage::Preface(_) => Some(self.stream.awaited()),
                Stage::FirstRequest if !peer.has_called() => Some(Bound::FirstRequest),
                Stage::Open { is_active: false } => Some(Bound::Idle),
                Stage::FirstRequest | Stage::Open { is_active: true } => None,
            };
            if let Some(bound) = missed {
                peer.note(bound);
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stage = Stage::Open { is_active: false };
            let deadline = Instant::now() + peer.limits().idle_timeout;
            self.timer.as_mut().reset(deadline);
        }
        Ok(())
    }

    /// Checks the deadline if the socket is not ready.
    fn checked<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_pending() {
            self.check(context)?;
        }
        polled
    }

    fn sent(&mut self, bytes: &[u8]) {
        let peer = &self.admission.0;
        self.sent.read(bytes, |bound| peer.note(bound));
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Arc<Peer> {
        self.admission.0.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Self {
            stream, admission, ..
        } = &mut *self;
        let polled = stream.poll_read(&admission.0, context, buffer);
        ready!(self.checked(polled, context))?;
        self.arrived(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self {
            stream, admission, ..
        } = &mut *self;
        let polled = stream.poll_write(&admission.0, context, &[IoSlice::new(bytes)]);
        let count = ready!(self.checked(polled, context))?;
        self.sent(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self {
            stream, admission, ..
        } = &mut *self;
        let polled = stream.poll_write(&admission.0, context, buffers);
        let count = ready!(self.checked(polled, context))?;
        let mut left = count;
        for buffer in buffers {
            let written = left.min(buffer.len());
            self.sent(&buffer[..written]);
            left -= written;
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(context)
    }
}
