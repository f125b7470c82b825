//! Decides what happens to a node that exited unexpectedly or hangs, and when a node counts as hung. Pure: the
//! coordinator performs the checks, waits, starts and records.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use mirror_spec::RestartPolicy;

use crate::Liveness;

/// Maximum number of restarts of one node in a run.
pub const MAX_RESTARTS: u32 = 5;

/// Back-off before the first restart of a node. It doubles with each restart, to 1.6 s before the fifth.
pub const FIRST_BACK_OFF: Duration = Duration::from_millis(100);

/// Bounds of the interval between two health checks of a node.
const CHECK_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);

/// Number of health checks that fit into the hang timeout.
const CHECKS: u32 = 6;

/// Upper bound of the time that a node has to answer one check.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// Silence after which the user is shown which node the run waits for.
const REPORTED_AFTER: Duration = Duration::from_secs(3);

/// Maximum amount by which a pause or a check may exceed its planned duration and still count in full. Beyond it, the
/// coordinator itself was not running, and only the planned duration counts.
const LATE: Duration = Duration::from_secs(1);

/// The reaction to the unexpected exit of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Restart the node after a back-off.
    Restart {
        /// The back-off.
        after: Duration,
    },
    /// Leave the node dead, as its policy requires.
    Leave,
    /// Fail the run, as the policy requires.
    Fail,
    /// The node has reached the maximum number of restarts.
    GiveUp,
}

/// Counts the restarts of each node in a run.
#[derive(Debug, Default)]
pub struct Supervisor {
    restarts: HashMap<String, u32>,
}

impl Supervisor {
    /// Decides about a node that exited unexpectedly. Assumes that a restart will be carried out, and counts it.
    pub fn decide(&mut self, node: &str, policy: RestartPolicy) -> Decision {
        match policy {
            RestartPolicy::Restart => {}
            RestartPolicy::Leave => return Decision::Leave,
            RestartPolicy::Fail => return Decision::Fail,
        }
        let restarts = self.restarts.entry(node.to_owned()).or_default();
        if *restarts == MAX_RESTARTS {
            return Decision::GiveUp;
        }
        let after = FIRST_BACK_OFF * 2_u32.pow(*restarts);
        *restarts += 1;
        Decision::Restart { after }
    }
}

/// The intervals of health checks, and the limits on silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchTimes {
    /// Interval between two checks while the node answers.
    pub interval: Duration,
    /// Time that a node has to answer one check.
    pub deadline: Duration,
    /// Silence after which the node is reported to the user.
    pub reported_after: Duration,
    /// Silence after which the node counts as hung.
    pub hang_timeout: Duration,
}

impl WatchTimes {
    /// Derives the times from the maximum silence.
    pub fn new(hang_timeout: Duration) -> Self {
        let interval = (hang_timeout / CHECKS).clamp(*CHECK_INTERVAL.start(), *CHECK_INTERVAL.end());
        Self {
            interval,
            deadline: interval.min(CHECK_DEADLINE),
            reported_after: REPORTED_AFTER.min(hang_timeout / 2),
            hang_timeout,
        }
    }
}

/// A change of the health of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The node has not answered for this duration. Reported after every failed check from
    /// [`WatchTimes::reported_after`] on.
    Silent(Duration),
    /// The node answers again.
    Answers,
    /// The node has not answered for long enough to count as hung. No more changes follow.
    Hung(Duration),
    /// The node cannot be watched, or no longer runs. No more changes follow.
    Unwatched,
}

/// Watches one node: receives the results of health checks and derives changes of its health.
///
/// Time is added up from the individual pauses and checks of the coordinator, so that time in which the coordinator was
/// stopped or the machine was asleep does not count against a node.
#[derive(Debug)]
pub struct Watch {
    times: WatchTimes,
    /// Time since the last reply.
    silence: Duration,
    /// Whether the last check received no reply.
    missed: bool,
    reported: bool,
}

impl Watch {
    /// Creates the watch of a node that is ready.
    pub fn new(times: WatchTimes) -> Self {
        Self {
            times,
            silence: Duration::ZERO,
            missed: false,
            reported: false,
        }
    }

    /// Returns the pause before the next check.
    pub fn pause(&self) -> Duration {
        if self.missed {
            *CHECK_INTERVAL.start()
        } else {
            self.times.interval
        }
    }

    /// Records the duration of the pause before a check.
    pub fn paused(&mut self, elapsed: Duration) {
        self.pass(self.pause(), elapsed);
    }

    /// Records the result and the duration of a check. Returns the change of health to report, or `None` if there is
    /// none.
    pub fn checked(&mut self, found: Liveness, elapsed: Duration) -> Option<Health> {
        match found {
            Liveness::Unwatched => Some(Health::Unwatched),
            Liveness::Answered | Liveness::Paused => {
                self.silence = Duration::ZERO;
                self.missed = false;
                std::mem::take(&mut self.reported).then_some(Health::Answers)
            }
            Liveness::Silent => {
                self.pass(self.times.deadline, elapsed);
                self.missed = true;
                if self.silence >= self.times.hang_timeout {
                    return Some(Health::Hung(self.silence));
                }
                self.reported |= self.silence >= self.times.reported_after;
                self.reported.then_some(Health::Silent(self.silence))
            }
        }
    }

    /// Adds a period that was planned to take `planned` and took `elapsed`.
    fn pass(&mut self, planned: Duration, elapsed: Duration) {
        let was_stopped = elapsed > planned + LATE;
        self.silence += if was_stopped { planned } else { elapsed };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the reports about a node after a number of checks with the same result, each after a pause, all with the
    /// planned durations.
    fn reported(watch: &mut Watch, found: Liveness, checks: u32) -> Vec<Health> {
        let reported = (0..checks).filter_map(|_| {
            watch.paused(watch.pause());
            watch.checked(found, watch.times.deadline)
        });
        reported.collect()
    }

    #[test]
    fn a_silent_node_is_reported_and_then_hung() {
        let mut watch = Watch::new(WatchTimes::new(30 * SECOND));
        assert_eq!(reported(&mut watch, Liveness::Answered, 100), []);
        let silent = reported(&mut watch, Liveness::Silent, 20);
        let hung = silent.iter().position(|health| matches!(health, Health::Hung(_)));
        let (before, after) = silent.split_at(hung.expect("it hangs"));
        assert!(
            before.iter().all(|health| matches!(health, Health::Silent(_))) && before.len() > 5,
            "{before:?}"
        );
        let Health::Hung(lasted) = after[0] else {
            unreachable!("it was looked for")
        };
        assert!((30 * SECOND..35 * SECOND).contains(&lasted), "{lasted:?}");
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let mut watch = Watch::new(WatchTimes::new(30 * SECOND));
        for _ in 0..10 {
            assert!(!reported(&mut watch, Liveness::Silent, 5).is_empty());
            assert_eq!(reported(&mut watch, Liveness::Answered, 3), [Health::Answers]);
        }
    }

    #[test]
    fn a_node_that_is_paused_on_purpose_does_not_hang() {
        let mut watch = Watch::new(WatchTimes::new(SECOND));
        assert_eq!(reported(&mut watch, Liveness::Paused, 1_000), []);
    }

    #[test]
    fn time_in_which_the_machine_sleeps_does_not_count_as_silence() {
        let night = 8 * 3_600 * SECOND;
        let mut watch = Watch::new(WatchTimes::new(30 * SECOND));
        watch.paused(night);
        let health = watch.checked(Liveness::Silent, night);
        assert!(matches!(health, Some(Health::Silent(_))), "{health:?}");
        assert_eq!(watch.checked(Liveness::Answered, SECOND), Some(Health::Answers));
    }

    #[test]
    fn a_check_that_a_stop_interrupts_is_not_a_hang_even_with_a_short_timeout() {
        let mut watch = Watch::new(WatchTimes::new(3 * SECOND / 2));
        watch.paused(watch.pause());
        assert_eq!(watch.checked(Liveness::Silent, 4 * SECOND), None);
    }

    #[test]
    fn checks_are_at_most_five_seconds_apart_and_never_flood_the_nodes() {
        let interval = |seconds| WatchTimes::new(Duration::from_secs_f64(seconds)).interval;
        assert_eq!(interval(0.1), Duration::from_millis(100));
        assert_eq!(interval(3.0), Duration::from_millis(500));
        assert_eq!(interval(30.0), Duration::from_secs(5));
        assert_eq!(interval(3_600.0), Duration::from_secs(5));
    }

    #[test]
    fn a_node_whose_policy_is_to_fail_is_never_started_again() {
        let mut supervisor = Supervisor::default();
        assert_eq!(
            supervisor.decide("subtensor", RestartPolicy::Fail),
            Decision::Fail
        );
    }

    #[test]
    fn five_restarts_with_doubling_waits_and_then_no_more() {
        let mut supervisor = Supervisor::default();
        let mut decide = || supervisor.decide("validator-0", RestartPolicy::Restart);
        for milliseconds in [100, 200, 400, 800, 1600] {
            let after = Duration::from_millis(milliseconds);
            assert_eq!(decide(), Decision::Restart { after });
        }
        assert_eq!(decide(), Decision::GiveUp);
        assert_eq!(decide(), Decision::GiveUp);
    }

    #[test]
    fn restarts_are_counted_separately_for_each_node() {
        let mut supervisor = Supervisor::default();
        for _ in 0..MAX_RESTARTS {
            supervisor.decide("validator-0", RestartPolicy::Restart);
        }
        let fresh = supervisor.decide("validator-1", RestartPolicy::Restart);
        assert_eq!(
            fresh,
            Decision::Restart {
                after: FIRST_BACK_OFF
            }
        );
    }

    #[test]
    fn a_node_left_dead_is_not_counted() {
        let mut supervisor = Supervisor::default();
        for _ in 0..10 {
            assert_eq!(
                supervisor.decide("miner-3", RestartPolicy::Leave),
                Decision::Leave
            );
        }
        let restart = supervisor.decide("miner-3", RestartPolicy::Restart);
        assert_eq!(
            restart,
            Decision::Restart {
                after: FIRST_BACK_OFF
            }
        );
    }
}
