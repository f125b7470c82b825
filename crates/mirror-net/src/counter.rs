//! A counter of events that a peer can cause, which limits the log lines about them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Minimum time between two log lines about one kind of event.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The number of events of one kind.
#[derive(Debug, Default)]
pub struct Counter {
    events: AtomicU64,
    /// Time of the last log line, and the count that it contained.
    logged: Mutex<Option<(Instant, u64)>>,
}

impl Counter {
    /// Returns the number of events.
    pub fn get(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Counts an event. If a log line is due, returns the number of events since the last one.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let count = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        // Another thread that has the lock decides whether a line is due.
        let mut logged = self.logged.try_lock().ok()?;
        let before = match *logged {
            Some((last, _)) if now.duration_since(last) < LOG_INTERVAL => return None,
            Some((_, count)) => count,
            None => 0,
        };
        *logged = Some((now, count));
        Some(count.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_due_once_in_the_interval_and_states_the_events_since_the_last() {
        let counter = Counter::default();
        let start = Instant::now();
        assert_eq!(counter.count_at(start), Some(1));
        let just_before = start + (LOG_INTERVAL * 99) / 100;
        assert!((0..99).all(|_| counter.count_at(just_before).is_none()));
        assert_eq!(counter.count_at(start + LOG_INTERVAL), Some(100));
        assert_eq!(counter.get(), 101);
    }
}
