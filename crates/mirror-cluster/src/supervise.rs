//! What becomes of a node that died by itself or hangs, and when a node counts as hung. Pure: the coordinator checks,
//! waits, starts and records.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use mirror_spec::RestartPolicy;

use crate::Liveness;

/// How often one node is started again in a run.
pub const MAX_RESTARTS: u32 = 5;

/// Wait before the first restart of a node. It doubles with each: 1.6 s before the fifth.
pub const FIRST_BACK_OFF: Duration = Duration::from_millis(100);

/// Bounds of the time between two health checks of a node.
const CHECK_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);

/// Health checks that fit in the time after which a node counts as hung.
const CHECKS: u32 = 6;

/// Longest time that a node has to answer one check.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// Silence from which on a user is told whom the run waits for.
const TOLD_AFTER: Duration = Duration::from_secs(3);

/// How much longer than planned a turn of the coordinator may take and still count in full. What goes beyond was time
/// in which the coordinator itself stood still.
const LATE: Duration = Duration::from_secs(1);

/// What to do about a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start the node again after a wait.
    Restart {
        /// The wait.
        after: Duration,
    },
    /// Its policy leaves it dead.
    Leave,
    /// Its policy ends the run.
    Fail,
    /// It was started again as often as is allowed.
    GiveUp,
}

/// Counts the restarts of a run.
#[derive(Debug, Default)]
pub struct Supervisor {
    restarts: HashMap<String, u32>,
}

impl Supervisor {
    /// Decides about a node that died by itself, and counts on it that a restart is carried out.
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

/// When nodes are checked and how long they may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchTimes {
    /// Time between two checks while the node answers.
    pub interval: Duration,
    /// Time that a node has to answer one check.
    pub deadline: Duration,
    /// Silence from which on the user is told.
    pub told_after: Duration,
    /// Silence after which the node counts as hung.
    pub hang_timeout: Duration,
}

impl WatchTimes {
    /// The times that follow from the longest silence that is allowed.
    pub fn new(hang_timeout: Duration) -> Self {
        let interval = (hang_timeout / CHECKS).clamp(*CHECK_INTERVAL.start(), *CHECK_INTERVAL.end());
        Self {
            interval,
            deadline: interval.min(CHECK_DEADLINE),
            told_after: TOLD_AFTER.min(hang_timeout / 2),
            hang_timeout,
        }
    }
}

/// What has become known about the health of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has not answered for so long. Told again and again while that lasts.
    Silent(Duration),
    /// It answers again.
    Answers,
    /// It has not answered for so long that it counts as hung. Nothing more is told.
    Hung(Duration),
    /// It cannot be watched, or does not run any more. Nothing more is told.
    Unwatched,
}

/// Watches one node: takes what health checks found and says what follows.
///
/// Time is counted turn by turn of the coordinator's own clock, so that a time in which the coordinator was stopped or
/// the machine asleep does not count against a node.
#[derive(Debug)]
pub struct Watch {
    times: WatchTimes,
    /// Time since the last answer.
    silence: Duration,
    /// The last check brought no answer.
    missed: bool,
    told: bool,
}

impl Watch {
    /// The watch over a node that is ready now.
    pub fn new(times: WatchTimes) -> Self {
        Self {
            times,
            silence: Duration::ZERO,
            missed: false,
            told: false,
        }
    }

    /// Time to let pass before the next check.
    pub fn pause(&self) -> Duration {
        if self.missed {
            *CHECK_INTERVAL.start()
        } else {
            self.times.interval
        }
    }

    /// The pause before a check took so long.
    pub fn paused(&mut self, elapsed: Duration) {
        self.pass(self.pause(), elapsed);
    }

    /// A check took so long and found this. Returns what is to be told, if anything.
    pub fn checked(&mut self, found: Liveness, elapsed: Duration) -> Option<Health> {
        match found {
            Liveness::Unwatched => Some(Health::Unwatched),
            Liveness::Answered | Liveness::Paused => {
                self.silence = Duration::ZERO;
                self.missed = false;
                std::mem::take(&mut self.told).then_some(Health::Answers)
            }
            Liveness::Silent => {
                self.pass(self.times.deadline, elapsed);
                self.missed = true;
                if self.silence >= self.times.hang_timeout {
                    return Some(Health::Hung(self.silence));
                }
                self.told |= self.silence >= self.times.told_after;
                self.told.then_some(Health::Silent(self.silence))
            }
        }
    }

    /// Counts a turn that was planned to take `planned` and took `elapsed`.
    fn pass(&mut self, planned: Duration, elapsed: Duration) {
        self.silence += elapsed.min(planned + LATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is told of a node on which so many checks in a row find the same, each after a pause, all in the time
    /// planned.
    fn told(watch: &mut Watch, found: Liveness, checks: u32) -> Vec<Health> {
        let told = (0..checks).filter_map(|_| {
            watch.paused(watch.pause());
            watch.checked(found, watch.times.deadline)
        });
        told.collect()
    }

    #[test]
    fn a_silent_node_is_told_of_and_then_hung() {
        let mut watch = Watch::new(WatchTimes::new(30 * SECOND));
        assert_eq!(told(&mut watch, Liveness::Answered, 100), []);
        let silent = told(&mut watch, Liveness::Silent, 20);
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
            assert!(!told(&mut watch, Liveness::Silent, 5).is_empty());
            assert_eq!(told(&mut watch, Liveness::Answered, 3), [Health::Answers]);
        }
    }

    #[test]
    fn a_node_that_is_paused_on_purpose_does_not_hang() {
        let mut watch = Watch::new(WatchTimes::new(SECOND));
        assert_eq!(told(&mut watch, Liveness::Paused, 1_000), []);
    }

    #[test]
    fn a_night_asleep_is_no_silence() {
        let night = 8 * 3_600 * SECOND;
        let mut watch = Watch::new(WatchTimes::new(30 * SECOND));
        watch.paused(night);
        let health = watch.checked(Liveness::Silent, night);
        assert!(matches!(health, Some(Health::Silent(_))), "{health:?}");
        assert_eq!(watch.checked(Liveness::Answered, SECOND), Some(Health::Answers));
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
    fn each_node_has_restarts_of_its_own() {
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
