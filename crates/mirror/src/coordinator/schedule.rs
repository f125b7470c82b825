//! What is broken on purpose, by step: which processes are killed and which started again while the barrier stands
//! still.

use std::collections::{BTreeMap, BTreeSet};

use mirror_config::experiment::Fault;

/// What happens at one hold of the barrier. uids stand for the processes that they live in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hold {
    /// Killed.
    pub(super) kill: BTreeSet<u32>,
    /// Started again.
    pub(super) restart: BTreeSet<u32>,
}

/// The holds of the schedule, by step.
pub(super) fn schedule(faults: &[Fault]) -> BTreeMap<u64, Hold> {
    let mut holds: BTreeMap<u64, Hold> = BTreeMap::new();
    for fault in faults {
        holds
            .entry(fault.at_step)
            .or_default()
            .kill
            .extend(fault.kill.clone());
        if let Some(after) = fault.restart_after_steps {
            holds
                .entry(fault.at_step.saturating_add(after))
                .or_default()
                .restart
                .extend(fault.kill.clone());
        }
    }
    holds
}

/// The steps at which the barrier stands still, rising.
pub(super) fn holds(faults: &[Fault]) -> Vec<u64> {
    schedule(faults).into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_and_restarts_fall_on_their_steps() {
        let fault = |at_step, kill, restart_after_steps| Fault {
            at_step,
            kill,
            restart_after_steps,
        };
        let found = schedule(&[fault(8, 5..=5, Some(4)), fault(12, 0..=1, None)]);
        let hold = |kill: &[u32], restart: &[u32]| Hold {
            kill: kill.iter().copied().collect(),
            restart: restart.iter().copied().collect(),
        };
        assert_eq!(
            found,
            BTreeMap::from([(8, hold(&[5], &[])), (12, hold(&[0, 1], &[5]))])
        );
    }
}
