//! Holds all bytes of the connections that are open when the rule takes effect.

use crate::plan::Plan;

/// Applies the effect to a connection that is older (or not) than the rule.
pub(crate) fn apply(plan: &mut Plan, is_older_than_rule: bool) {
    plan.held |= is_older_than_rule;
}
