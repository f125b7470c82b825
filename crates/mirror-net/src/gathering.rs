//! A stream that combines small writes.
//!
//! HTTP/2 flushes the head of a request before its body is available, and flushes every message of more than 256 bytes
//! separately. Each flush is a packet, and each packet wakes the process at the other end. This stream returns from a
//! flush immediately and lets all other ready tasks run first. What they write goes into the same packet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Buffer size in bytes from which the buffer is written even without a flush.
const MOST: usize = 64 << 10;

/// A stream whose writes are buffered for one turn of the runtime.
pub(crate) struct Gathering<S> {
    stream: S,
    gathered: Vec<u8>,
    /// Number of bytes of `gathered` that were written to the stream.
    passed_on: usize,
    /// Whether there was a write since the last flush.
    is_fresh: bool,
}

impl<S> Gathering<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            gathered: Vec::new(),
            passed_on: 0,
            is_fresh: false,
        }
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    fn poll_pass_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.gathered.get(self.passed_on..) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.passed_on += count,
            }
        }
        self.gathered.clear();
        self.passed_on = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= MOST {
            ready!(self.poll_pass_on(context))?;
        }
        self.gathered.extend_from_slice(bytes);
        self.is_fresh = true;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Returns immediately from the first flush after a write and wakes the task, so that the next flush runs after all
    /// other ready tasks.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.is_fresh) {
            context.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_pass_on(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass_on(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Stores what is written, piece by piece, and accepts at most `at_once` bytes per piece.
    struct Pieces {
        at_once: usize,
        written: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Pieces {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.get(..self.at_once).unwrap_or(bytes).to_vec();
            let count = taken.len();
            self.written.push(taken);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn gathering(at_once: usize) -> Gathering<Pieces> {
        Gathering::new(Pieces {
            at_once,
            written: Vec::new(),
        })
    }

    #[tokio::test]
    async fn head_and_body_leave_together() {
        let mut stream = gathering(1_000);
        stream.write_all(b"head ").await.expect("all bytes are accepted");
        stream.flush().await.expect("all bytes are accepted");
        assert!(stream.stream.written.is_empty());
        stream.write_all(b"body").await.expect("all bytes are accepted");
        stream.flush().await.expect("all bytes are accepted");
        stream.flush().await.expect("all bytes are accepted");
        assert_eq!(stream.stream.written, [b"head body"]);
    }

    #[tokio::test]
    async fn a_flush_wakes_its_task_again() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut stream = gathering(1_000);
        stream.write_all(b"alone").await.expect("all bytes are accepted");
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut stream).poll_flush(&mut context).is_ready());
        assert!(woken.0.load(Ordering::SeqCst));
        assert!(Pin::new(&mut stream).poll_flush(&mut context).is_ready());
        assert_eq!(stream.stream.written, [b"alone"]);
    }

    #[tokio::test]
    async fn a_stream_with_a_small_buffer_receives_all_bytes_in_order() {
        let sent: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
        let (near, mut far) = tokio::io::duplex(777);
        let sending = async {
            let mut stream = Gathering::new(near);
            for piece in sent.chunks(10_007) {
                stream.write_all(piece).await.expect("the other end reads");
                stream.flush().await.expect("the other end reads");
            }
            stream.shutdown().await.expect("the other end reads");
        };
        let mut received = Vec::new();
        let ((), count) = tokio::join!(sending, far.read_to_end(&mut received));
        assert_eq!(count.ok(), Some(sent.len()));
        assert_eq!(received, sent);
    }

    #[tokio::test]
    async fn a_stream_that_accepts_no_bytes_is_an_error() {
        let mut stream = gathering(0);
        stream.write_all(b"x").await.expect("the bytes are buffered");
        let ended = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
        assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::WriteZero));
    }
}
