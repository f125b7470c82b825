//! The connection of one call, on which the HTTP/2 frames of the reply are replaced by those of a failure.
//!
//! The frames are those of RFC 9113: a header of nine bytes (length in 24 bits, type, flags, stream in 31 bits) and the
//! payload.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Size of a frame's header in bytes.
const HEADER: usize = 9;

/// Bytes that are read from the connection together.
const CHUNK: usize = 16 << 10;

/// Maximum size of a frame's payload in bytes, unless the client allows more, which it does not.
const MAX_FRAME: usize = 16 << 10;

/// The flag of a DATA frame whose payload is padded.
const PADDED: u8 = 8;

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// The error code of a reset: `INTERNAL_ERROR`.
const INTERNAL_ERROR: u32 = 2;

/// The failure with which the connection ends the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A GOAWAY frame comes before the reply. Then the connection
    /// ends.
    Goaway,
    /// A `RST_STREAM` frame comes after some bytes of the reply.
    Reset {
        /// Number of bytes of DATA frames that arrive.
        after: u32,
    },
}

/// The connection of one call.
pub(crate) struct Http2 {
    stream: TcpStream,
    ending: Ending,
    /// Bytes from the connection that are not yet a whole frame.
    unread: Vec<u8>,
    /// Bytes for the reader, of which `passed_on` are read.
    ready: Vec<u8>,
    passed_on: usize,
    /// Number of bytes of DATA frames that were passed on.
    data: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Frames are passed on.
    Open,
    /// The stream was reset. No frame of it is passed on, and the connection stays open.
    Reset,
    /// The connection has ended for the reader.
    Ended,
}

impl Http2 {
    pub(crate) fn new(stream: TcpStream, ending: Ending) -> Self {
        Self {
            stream,
            ending,
            unread: Vec::new(),
            ready: Vec::new(),
            passed_on: 0,
            data: 0,
            state: State::Open,
        }
    }

    /// Moves the whole frames of `unread` to `ready`, or replaces them.
    fn take_frames(&mut self) {
        while let Some(header) = self.unread.first_chunk::<HEADER>() {
            let [a, b, c, kind, flags, s0, s1, s2, s3] = *header;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
            if length > MAX_FRAME {
                // The client has allowed no larger frames.
                self.state = State::Ended;
                return;
            }
            let Some(frame) = self.unread.get(..HEADER + length) else {
                return;
            };
            let is_of_reply = stream != 0 && matches!(kind, DATA | HEADERS);
            match (self.state, self.ending) {
                (State::Ended, _) => {}
                (State::Reset, _) if stream != 0 => {}
                (State::Open, Ending::Goaway) if is_of_reply => {
                    // The last processed stream is 0, and the error is NO_ERROR.
                    push_frame(&mut self.ready, GOAWAY, 0, 0, &[0; 8]);
                    self.state = State::Ended;
                }
                (State::Open, Ending::Reset { after }) if is_of_reply => {
                    let room = after.saturating_sub(self.data) as usize;
                    let payload = match &frame[HEADER..] {
                        [padding, data @ ..] if kind == DATA && flags & PADDED != 0 => {
                            &data[..data.len().saturating_sub(usize::from(*padding))]
                        }
                        payload => payload,
                    };
                    let is_last = kind == HEADERS && flags & 1 != 0;
                    if kind == DATA && payload.len() < room || kind == HEADERS && !is_last && room > 0 {
                        self.data += if kind == DATA { payload.len() as u32 } else { 0 };
                        self.ready.extend_from_slice(frame);
                    } else {
                        if kind == DATA {
                            push_frame(
                                &mut self.ready,
                                DATA,
                                0,
                                stream,
                                &payload[..room.min(payload.len())],
                            );
                        }
                        push_frame(
                            &mut self.ready,
                            RST_STREAM,
                            0,
                            stream,
                            &INTERNAL_ERROR.to_be_bytes(),
                        );
                        self.state = State::Reset;
                    }
                }
                _ => self.ready.extend_from_slice(frame),
            }
            self.unread.drain(..HEADER + length);
        }
    }
}

fn push_frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = (payload.len() as u32).to_be_bytes();
    to.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

impl AsyncRead for Http2 {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(rest @ [_, ..]) = this.ready.get(this.passed_on..) {
                let count = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..count]);
                this.passed_on += count;
                if this.passed_on == this.ready.len() {
                    this.ready.clear();
                    this.passed_on = 0;
                }
                return Poll::Ready(Ok(()));
            }
            if this.state == State::Ended {
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; CHUNK];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                this.state = State::Ended;
            }
            this.unread.extend_from_slice(read.filled());
            this.take_frames();
        }
    }
}

impl AsyncWrite for Http2 {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
