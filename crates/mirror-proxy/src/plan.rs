//! The combined effect of all rules on a stream: one direction of a connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::effect::bandwidth::Bucket;
use crate::effect::reset::ResetPoint;
use crate::effect::slice::Slice;
use crate::link::Link;
use crate::rules::{Direction, FollowedRules, Rule, RuleSet};

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) link: Arc<Link>,
    pub(crate) direction: Direction,
    /// Revision of the rules when the connection was accepted.
    pub(crate) opened: u64,
    /// Number of bytes passed on.
    pub(crate) passed: u64,
}

/// The combined effect of the rules that cover a stream.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The rules that cover the stream.
    pub(crate) covering: Vec<Arc<Rule>>,
    /// Whether no byte passes.
    pub(crate) held: bool,
    /// Whether bytes are discarded.
    pub(crate) silent: bool,
    /// Whether no new connection is made in this direction.
    pub(crate) unreachable: bool,
    /// Delay of bytes.
    pub(crate) delay: Duration,
    /// Delay of the end of the stream, in addition to the delay of its bytes.
    pub(crate) end_delay: Duration,
    pub(crate) slice: Option<Slice>,
    /// Limits of the bandwidth, all of which apply.
    pub(crate) buckets: Vec<Arc<Bucket>>,
    /// Points at which the connection is reset, by the address of their rule.
    pub(crate) resets: HashMap<usize, ResetPoint>,
    /// The smallest position of `resets`.
    pub(crate) reset_at: Option<u64>,
}

/// A stream with the current plan.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) rules: FollowedRules,
    /// The set of rules from which the plan was made. While it is held, its successor is not in effect everywhere.
    followed: Arc<RuleSet>,
    pub(crate) stream: Stream,
    pub(crate) plan: Plan,
}

impl Plan {
    fn of(rules: &RuleSet, before: &Self, stream: &Stream) -> Self {
        let mut plan = Self::default();
        let Link { source, target, .. } = &*stream.link;
        for rule in &rules.rules {
            if rule.covers(*source, target, stream.direction) {
                rule.effect().apply(&mut plan, before, rule, stream);
                plan.covering.push(Arc::clone(rule));
            }
        }
        plan.reset_at = plan.resets.values().map(|reset| reset.position).min();
        plan
    }
}

impl Planned {
    /// Makes the plan of a stream whose connection was just accepted, or the plan of its other direction later.
    pub(crate) fn new(mut rules: FollowedRules, stream: Stream) -> Self {
        let followed = Arc::clone(&rules.borrow_and_update());
        let plan = Plan::of(&followed, &Plan::default(), &stream);
        for rule in &plan.covering {
            rule.count_connection(stream.direction);
        }
        Self {
            rules,
            followed,
            stream,
            plan,
        }
    }

    /// Makes the plan again from the current rules.
    pub(crate) fn renew(&mut self) {
        let current = Arc::clone(&self.rules.borrow_and_update());
        let plan = Plan::of(&current, &self.plan, &self.stream);
        for rule in &plan.covering {
            if rule.since > self.followed.revision {
                rule.count_connection(self.stream.direction);
            }
        }
        self.plan = plan;
        self.followed = current;
    }

    /// Records that bytes were passed on.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.stream.passed += bytes as u64;
        self.stream.link.count_bytes(self.stream.direction, bytes);
    }

    /// Counts bytes that were passed on or discarded.
    pub(crate) fn count(&self, bytes: usize) {
        for rule in &self.plan.covering {
            rule.count_bytes(bytes);
        }
    }

    /// Returns whether the stream has reached a point at which its connection is reset, and counts the reset.
    pub(crate) fn is_reset(&self) -> bool {
        let passed = self.stream.passed;
        if self.plan.reset_at.is_none_or(|position| position > passed) {
            return false;
        }
        for reset in self.plan.resets.values() {
            if reset.position <= passed {
                reset.rule.count_reset();
            }
        }
        true
    }
}
