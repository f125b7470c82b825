//! A client that writes any frames of HTTP/2 (RFC 9113), and keeps to no rule.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use mirror_net::channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const END_STREAM: u8 = 1;
const ACKNOWLEDGE: u8 = 1;
const PING: u8 = 6;

/// A connection to the server.
pub(crate) struct Raw {
    stream: TcpStream,
    /// Bytes that have arrived and make no whole frame.
    arrived: Vec<u8>,
    /// Numbers of bytes that the server grants: for the connection, and in addition to [`STREAM_WINDOW`] for each
    /// stream that the server has not ended.
    window: i64,
    streams: BTreeMap<u32, i64>,
}

/// Window of a new stream of the server, in bytes.
const STREAM_WINDOW: i64 = 1 << 20;

impl Raw {
    /// Opens a connection and sends nothing.
    pub(crate) async fn silent(address: SocketAddr) -> io::Result<Self> {
        let stream = channel::connect(address, None).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            arrived: Vec::new(),
            window: (1 << 16) - 1,
            streams: BTreeMap::new(),
        })
    }

    /// Opens a connection and sends the preface with empty settings.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let mut raw = Self::silent(address).await?;
        raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        raw.frame(SETTINGS, 0, 0, &[]).await?;
        Ok(raw)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(crate) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        if kind == HEADERS {
            self.streams.insert(stream, 0);
        }
        self.write(&frame(kind, flags, stream, payload)).await
    }

    /// Returns whether the windows have room for `count` bytes on `stream`, and subtracts them.
    pub(crate) fn grants(&mut self, stream: u32, count: usize) -> bool {
        let count = count as i64;
        let Some(window) = self.streams.get_mut(&stream) else {
            return false;
        };
        let has_room = self.window >= count && STREAM_WINDOW + *window >= count;
        if has_room {
            self.window -= count;
            *window -= count;
        }
        has_room
    }

    /// Returns whether there is a stream that the server has not ended.
    pub(crate) fn has_open_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Reads and drops what the server sends, acknowledges settings and pings, and returns when the server closes the
    /// connection. A conforming client also does this while it has no calls.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        let mut head = [0; 9];
        loop {
            self.stream.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await?;
            let [_, _, _, kind, flags, ..] = head;
            if matches!(kind, SETTINGS | PING) && flags & ACKNOWLEDGE == 0 {
                let answer = if kind == PING { &payload[..] } else { &[] };
                self.frame(kind, ACKNOWLEDGE, 0, answer).await?;
            }
        }
    }

    /// Reads the frames that have arrived, and notes windows and ends of streams. Returns an error if the server has
    /// closed the connection.
    pub(crate) fn skip(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.arrived.extend(&buffer[..count]);
                    self.note_frames();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Raw {
    fn note_frames(&mut self) {
        while let Some(([a, b, c, kind, flags, stream @ ..], rest)) = self.arrived.split_first_chunk::<9>()
            && let Some(payload) = rest.get(..u32::from_be_bytes([0, *a, *b, *c]) as usize)
        {
            let stream = u32::from_be_bytes(*stream);
            match (*kind, payload.first_chunk()) {
                (WINDOW_UPDATE, Some(increment)) => {
                    let increment = i64::from(u32::from_be_bytes(*increment));
                    if stream == 0 {
                        self.window += increment;
                    } else if let Some(window) = self.streams.get_mut(&stream) {
                        *window += increment;
                    }
                }
                (RST_STREAM, _) => drop(self.streams.remove(&stream)),
                (HEADERS, _) if flags & END_STREAM != 0 => drop(self.streams.remove(&stream)),
                _ => {}
            }
            self.arrived.drain(..9 + payload.len());
        }
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Returns the header block of a call of `Forward`: literal fields without a place in the table (RFC 7541).
pub(crate) fn head() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let mut field = |name: &[u8], value: &str| {
        block.extend(name);
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    };
    field(&[0x04], "/TextPrompting/Forward");
    field(&[0x01], "axon");
    field(&[0x0f, 0x10], "application/grpc");
    block.extend(field_of("te", "trailers"));
    block
}

/// Returns a literal field with a new name. Name and value have at most 126 bytes.
pub(crate) fn field_of(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0, name.len() as u8];
    field.extend(name.as_bytes());
    field.push(value.len() as u8);
    field.extend(value.as_bytes());
    field
}

/// Returns the prefix of a message of `length` bytes.
pub(crate) fn prefix(length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}
