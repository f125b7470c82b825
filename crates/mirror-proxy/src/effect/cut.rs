//! Holds all bytes until the rule is lifted.

use crate::plan::Plan;

pub(crate) fn apply(plan: &mut Plan) {
    plan.held = true;
    plan.unreachable = true;
}
