//! Waiting for what must come, and not longer than it may take.

use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for what must come and nobody says how soon. On a machine with nothing else to do, seconds are enough.
const PATIENCE: Duration = Duration::from_mins(2);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks again and again until there is something to see, and returns it.
///
/// # Panics
/// After two minutes, naming `what` was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// As [`eventually`], for what must come within `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < limit, "waited in vain for {limit:?}: {what}");
        thread::sleep(PAUSE);
    }
}
