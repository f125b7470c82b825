//! Statistics of the forwards.

use std::collections::BTreeSet;

use super::POINTS;
use crate::forwards::{Collect, Extent, Forward};
use crate::moments::{Count, Range};
use crate::series::Series;

/// Statistics of the forwards.
#[derive(Clone, Debug)]
pub struct Events {
    /// Number of forwards of the experiment.
    pub count: u64,
    /// Number of those forwards that called at least one uid and in which no call succeeded.
    pub failed: u64,
    /// Number of those forwards that called no uid.
    pub uncalled: u64,
    /// Number of calls of clients to a running validator.
    pub manual: u64,
    /// Number of the last step plus one.
    pub steps: u64,
    /// Number of iterations in a step. It is 2 for `train`: the question and its answer.
    pub forwards_per_step: u64,
    /// Names of the validators that made the forwards.
    pub validators: BTreeSet<String>,
    /// Duration of a forward in seconds, by step.
    pub call_time: Series<Range>,
    /// Number of forwards that started in each second since the start of the first.
    pub started: Series<Count>,
    extent: Extent,
    last_end: f64,
}

impl Events {
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            count: 0,
            failed: 0,
            uncalled: 0,
            manual: extent.manual,
            steps: extent.steps,
            forwards_per_step: extent.forwards_per_step,
            validators: BTreeSet::new(),
            call_time: Series::new(POINTS),
            started: Series::new(POINTS),
            extent,
            last_end: f64::NEG_INFINITY,
        }
    }

    /// Returns the time from the start of the first forward to the end of the last in seconds. `None` without a
    /// forward.
    pub fn duration(&self) -> Option<f64> {
        self.seconds_until(self.last_end)
    }

    /// Returns the time from the start of the first forward to `at` in seconds; `at` is in seconds since 1970. `None`
    /// if `at` is earlier or if there was no forward.
    pub fn seconds_until(&self, at: f64) -> Option<f64> {
        self.extent.seconds_until(at)
    }
}

impl Collect for Events {
    fn add(&mut self, forward: &Forward<'_>) {
        self.count += 1;
        if forward.calls().len() == 0 {
            self.uncalled += 1;
        } else if !forward.calls().any(|call| call.is_success()) {
            self.failed += 1;
        }
        if !self.validators.contains(forward.validator()) {
            self.validators.insert(forward.validator().to_owned());
        }
        if let Some(seconds) = forward.call_time() {
            self.call_time.at(forward.step()).push(seconds);
        }
        if let Some(start) = forward.started_at() {
            self.last_end = self.last_end.max(start + forward.call_time().unwrap_or(0.0));
            let since = self.seconds_until(start).unwrap_or(0.0);
            self.started.at(since as u64).push();
        }
    }
}
