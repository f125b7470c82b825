//! Delays every byte by the same time. The delays of several rules add.

use std::time::Duration;

use crate::plan::Plan;

pub(crate) fn apply(plan: &mut Plan, delay: Duration) {
    plan.delay += delay;
}
