//! The span in which a thread works.

use std::cell::RefCell;

use crate::TraceContext;

thread_local! {
    /// The spans that this thread has entered, the innermost last.
    static ENTERED: RefCell<Vec<TraceContext>> = const { RefCell::new(Vec::new()) };
}

/// Returns the trace and the span in which this thread works. `None` outside all spans.
pub fn current() -> Option<TraceContext> {
    ENTERED.with_borrow(|entered| entered.last().copied())
}

pub(crate) fn enter(context: TraceContext) {
    ENTERED.with_borrow_mut(|entered| entered.push(context));
}

/// Leaves a span, which need not be the innermost.
pub(crate) fn exit(context: TraceContext) {
    ENTERED.with_borrow_mut(|entered| {
        if let Some(position) = entered.iter().rposition(|entered| *entered == context) {
            entered.remove(position);
        }
    });
}
