//! The spans that have ended and are not sent yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::wire::{self, Head};

/// Maximum size of the spans in the buffer in bytes. Further spans are dropped and counted.
const MAX_BYTES: usize = 8 << 20;

/// Size of a batch in bytes from which no more spans are added.
const BATCH_BYTES: usize = 256 << 10;

/// Spans that have ended and are not sent yet, in the order of their ends.
#[derive(Debug, Default)]
pub struct Buffer {
    batches: Mutex<Vec<Batch>>,
    /// Notified when a batch is full.
    full: Notify,
    dropped: AtomicU64,
    roots: AtomicU64,
}

/// Spans that are sent together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The spans in the encoding of the field `spans` of `ScopeSpans`.
    pub encoded: Vec<u8>,
    /// Number of spans, each with its stages.
    pub count: u64,
}

impl Buffer {
    /// Adds a span, which counts as `spans` with its stages. It is dropped if the buffer is full. `attributes` are its
    /// attributes and events.
    pub(super) fn push(&self, head: &Head<'_>, attributes: &[u8], spans: u64) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = batches
            .last()
            .is_none_or(|last| last.encoded.len() >= BATCH_BYTES);
        if is_full {
            if batches.len() >= MAX_BYTES / BATCH_BYTES {
                self.dropped.fetch_add(spans, Ordering::Relaxed);
                return;
            }
            if !batches.is_empty() {
                self.full.notify_one();
            }
            batches.push(Batch::default());
        }
        if let Some(batch) = batches.last_mut() {
            wire::span(&mut batch.encoded, head, attributes);
            batch.count += spans;
        }
    }

    /// Takes all spans.
    pub fn take(&self) -> Vec<Batch> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut batches)
    }

    /// Waits until a batch has become full since the last call.
    pub async fn has_a_full_batch(&self) {
        self.full.notified().await;
    }

    /// Counts spans that were taken and could not be sent.
    pub fn count_lost(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Returns the number of spans that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns the number of the next span without a parent.
    pub(super) fn next_root(&self) -> u64 {
        self.roots.fetch_add(1, Ordering::Relaxed)
    }
}
