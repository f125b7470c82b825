//! The span in which a thread works.

use std::cell::Cell;

use crate::TraceContext;

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// Returns the trace and the span in which this thread works. `None` outside all spans.
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}
