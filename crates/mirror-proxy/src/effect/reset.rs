//! Resets connections after a number of bytes. Of several rules, the first one that is reached applies.

use std::sync::Arc;

use crate::plan::Plan;
use crate::rules::Rule;

/// The point of a stream at which its connection is reset.
#[derive(Debug)]
pub(crate) struct ResetPoint {
    pub(crate) rule: Arc<Rule>,
    /// Number of bytes passed on since the start of the connection.
    pub(crate) position: u64,
}

/// Applies the effect to a stream of which `passed` bytes were passed on. A rule that was also part of the plan before
/// keeps its point.
pub(crate) fn apply(plan: &mut Plan, before: &Plan, rule: &Arc<Rule>, after_bytes: u64, passed: u64) {
    let key = Arc::as_ptr(rule).addr();
    let known = before.resets.get(&key);
    let reset = ResetPoint {
        rule: Arc::clone(rule),
        position: known.map_or(passed.saturating_add(after_bytes), |reset| reset.position),
    };
    plan.resets.insert(key, reset);
}
