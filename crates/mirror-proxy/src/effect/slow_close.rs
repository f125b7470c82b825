//! Delays the end of a stream. The delays of several rules add.

use std::time::Duration;

use crate::plan::Plan;

pub(crate) fn apply(plan: &mut Plan, delay: Duration) {
    plan.end_delay += delay;
}
