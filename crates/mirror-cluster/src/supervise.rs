//! What becomes of a node that died by itself. Pure: the coordinator waits, starts and records.

use std::collections::HashMap;
use std::time::Duration;

use mirror_config::experiment::RestartPolicy;

/// How often one node is started again in a run.
pub const MOST_RESTARTS: u32 = 5;

/// Wait before the first restart of a node. It doubles with each: 1.6 s before the fifth.
pub const FIRST_BACK_OFF: Duration = Duration::from_millis(100);

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
        if policy == RestartPolicy::Leave {
            return Decision::Leave;
        }
        let restarts = self.restarts.entry(node.to_owned()).or_default();
        if *restarts == MOST_RESTARTS {
            return Decision::GiveUp;
        }
        let after = FIRST_BACK_OFF * 2_u32.pow(*restarts);
        *restarts += 1;
        Decision::Restart { after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for _ in 0..MOST_RESTARTS {
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
