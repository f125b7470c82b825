//! Divides a stream into small writes. Of several rules, the smallest size and the longest pause apply.

use std::time::Duration;

use crate::plan::Plan;

/// Size and pause of writes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slice {
    /// Maximum number of bytes per write, 1 or more.
    pub(crate) bytes: usize,
    /// Pause between two writes.
    pub(crate) pause: Duration,
}

pub(crate) fn apply(plan: &mut Plan, slice: Slice) {
    let before = plan.slice.unwrap_or(slice);
    plan.slice = Some(Slice {
        bytes: before.bytes.min(slice.bytes),
        pause: before.pause.max(slice.pause),
    });
}
