//! Waits for events with a timeout.

use std::thread;
use std::time::{Duration, Instant};

/// Default timeout of events. On an idle machine, seconds are enough.
const PATIENCE: Duration = Duration::from_mins(2);

/// Pause between two polls.
const PAUSE: Duration = Duration::from_millis(2);

/// Polls `look` until it returns a value, and returns that value.
///
/// # Panics
///
/// Panics after two minutes with a message that names `what`.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Does the same as [`eventually`], with the timeout `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(
            start.elapsed() < limit,
            "timed out after {limit:?} while waiting: {what}"
        );
        thread::sleep(PAUSE);
    }
}
