//! The bytes of a stream that were read and not yet passed on, with the times at which they were read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

/// Maximum size of a queue in bytes. It may be exceeded by one read.
const MAX_HELD: usize = 1 << 20;

/// Size of all queues in bytes from which a queue is filled only when it is empty.
const MAX_HELD_IN_TOTAL: usize = 256 << 20;

/// Size of a chunk without its bytes. It bounds the memory of many small chunks.
const CHUNK: usize = 64;

/// The size of all queues in bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldInTotal(Arc<AtomicUsize>);

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The sender has closed the stream.
    Closed,
    /// The sender has reset the connection.
    Reset,
}

/// Bytes that were read together.
#[derive(Debug)]
struct Chunk {
    arrived: Instant,
    bytes: Vec<u8>,
    /// Number of bytes that were passed on.
    passed: usize,
}

/// The bytes of a stream that were not yet passed on, and its end.
#[derive(Debug)]
pub(crate) struct Queue {
    chunks: VecDeque<Chunk>,
    end: Option<(Instant, End)>,
    held: usize,
    total: HeldInTotal,
}

impl Queue {
    pub(crate) fn new(total: HeldInTotal) -> Self {
        Self {
            chunks: VecDeque::new(),
            end: None,
            held: 0,
            total,
        }
    }

    /// Returns whether all bytes were passed on and the stream has not ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.chunks.is_empty() && self.end.is_none()
    }

    /// Returns whether more of the stream may be read.
    pub(crate) fn has_room(&self) -> bool {
        let in_total = self.total.0.load(Ordering::Relaxed);
        self.end.is_none()
            && (self.chunks.is_empty() || (self.held < MAX_HELD && in_total < MAX_HELD_IN_TOTAL))
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.resize(self.held + bytes.len() + CHUNK);
        self.chunks.push_back(Chunk {
            arrived: Instant::now(),
            bytes: bytes.to_vec(),
            passed: 0,
        });
    }

    pub(crate) fn push_end(&mut self, end: End) {
        self.end = Some((Instant::now(), end));
    }

    /// Returns the first chunk: the time at which it was read, and its bytes that were not yet passed on.
    pub(crate) fn front(&self) -> Option<(Instant, &[u8])> {
        let front = self.chunks.front()?;
        Some((front.arrived, front.bytes.get(front.passed..)?))
    }

    /// Returns the end of the stream, and the time at which it was read.
    pub(crate) fn end(&self) -> Option<(Instant, End)> {
        self.end
    }

    /// Removes bytes of the first chunk.
    pub(crate) fn pop(&mut self, bytes: usize) {
        let Some(front) = self.chunks.front_mut() else {
            return;
        };
        front.passed += bytes;
        if front.passed >= front.bytes.len() {
            let size = front.bytes.len() + CHUNK;
            self.chunks.pop_front();
            self.resize(self.held - size);
        }
    }

    /// Discards everything. Returns the number of bytes, or `None` if the queue was idle.
    pub(crate) fn discard(&mut self) -> Option<usize> {
        if self.is_idle() {
            return None;
        }
        let chunks = self.chunks.drain(..);
        let bytes = chunks.map(|chunk| chunk.bytes.len() - chunk.passed).sum();
        self.resize(0);
        Some(bytes)
    }

    fn resize(&mut self, held: usize) {
        if held >= self.held {
            self.total.0.fetch_add(held - self.held, Ordering::Relaxed);
        } else {
            self.total.0.fetch_sub(self.held - held, Ordering::Relaxed);
        }
        self.held = held;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.resize(0);
    }
}
