//! Discards all bytes until the rule is lifted.

use crate::plan::Plan;

pub(crate) fn apply(plan: &mut Plan) {
    plan.silent = true;
    plan.unreachable = true;
}
