//! Limits the bytes per second of a link in one direction. Of several rules, the lowest limit applies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::link::Link;
use crate::plan::Plan;
use crate::rules::{Direction, Rule};

/// Time for which a link that was idle may save bytes.
const BURST: Duration = Duration::from_millis(20);

/// Time of which the bytes are sent together. Shorter times cost more wake-ups.
const QUANTUM: Duration = Duration::from_millis(4);

/// The limit of all connections of a link in one direction. Connections reserve the time of their bytes, so that they
/// take turns.
#[derive(Debug)]
pub(crate) struct Bucket {
    bytes_per_second: f64,
    /// Time at which all reserved bytes have been sent.
    free_at: Mutex<Instant>,
}

impl Bucket {
    pub(crate) fn new(bytes_per_second: f64) -> Self {
        Self {
            bytes_per_second,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Returns the maximum number of bytes that one reservation at `now` may have, 1 or more.
    pub(crate) fn largest(&self, now: Instant) -> usize {
        let free_at = *self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = now.saturating_duration_since(free_at).min(BURST);
        let bytes = (saved + QUANTUM).as_secs_f64() * self.bytes_per_second;
        (bytes as usize).max(1)
    }

    /// Reserves the time of `bytes` and returns its start.
    pub(crate) fn reserve(&self, now: Instant, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*free_at).max(now.checked_sub(BURST).unwrap_or(now));
        *free_at = start + self.time_of(bytes);
        start
    }

    /// Returns the reservation of bytes that were not sent.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = free_at.checked_sub(self.time_of(bytes)).unwrap_or(*free_at);
    }

    fn time_of(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_second)
    }
}

pub(crate) fn apply(
    plan: &mut Plan,
    link: &Link,
    direction: Direction,
    rule: &Arc<Rule>,
    bytes_per_second: f64,
) {
    plan.buckets.push(link.bucket(direction, rule, bytes_per_second));
}
