//! The spans that have ended and are not sent yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use opentelemetry_proto::tonic::trace::v1::Span;

/// Maximum number of spans in the buffer. Further spans are dropped and counted.
const MAX_SPANS: usize = 16_384;

/// Spans that have ended and are not sent yet, in the order of their ends.
#[derive(Debug, Default)]
pub struct Buffer {
    spans: Mutex<Vec<Span>>,
    dropped: AtomicU64,
    roots: AtomicU64,
}

/// The spans that were taken from a buffer.
#[derive(Debug)]
pub struct Taken {
    /// The spans, in the order of their ends.
    pub spans: Vec<Span>,
    /// Number of all spans that the buffer has dropped so far.
    pub dropped: u64,
}

impl Buffer {
    /// Adds a span. It is dropped if the buffer is full.
    pub(crate) fn push(&self, span: Span) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < MAX_SPANS {
            spans.push(span);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all spans.
    pub fn take(&self) -> Taken {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        Taken {
            spans: std::mem::take(&mut spans),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// Counts spans that were taken and could not be sent.
    pub fn count_lost(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Returns the number of the next span without a parent.
    pub(super) fn next_root(&self) -> u64 {
        self.roots.fetch_add(1, Ordering::Relaxed)
    }
}
