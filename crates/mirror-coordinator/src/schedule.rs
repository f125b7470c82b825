//! What is broken on purpose, by step: which processes are killed and which started again while the barrier stands
//! still.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use mirror_spec::{Fault, KillFault, Step, Steps};

/// What happens at one hold of the barrier. uids stand for the processes that they live in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hold {
    /// Killed.
    pub(crate) kill: BTreeSet<u32>,
    /// Started again.
    pub(crate) restart: BTreeSet<u32>,
}

/// The holds of the schedule, by step.
pub(crate) fn schedule(faults: &[Fault]) -> BTreeMap<u64, Hold> {
    let mut holds: BTreeMap<u64, Hold> = BTreeMap::new();
    for fault in faults {
        let Fault::Kill(KillFault {
            at: Step(at),
            kill,
            restart_after,
        }) = fault;
        let victims = || RangeInclusive::clone(kill);
        holds.entry(*at).or_default().kill.extend(victims());
        if let Some(Steps(after)) = restart_after {
            let hold = holds.entry(at.saturating_add(*after)).or_default();
            hold.restart.extend(victims());
        }
    }
    holds
}

/// The steps at which the barrier stands still, rising.
pub(crate) fn holds(faults: &[Fault]) -> Vec<u64> {
    schedule(faults).into_keys().collect()
}

#[cfg(test)]
mod tests {
    use mirror_spec::{Uids, Victims};

    use super::*;

    #[test]
    fn kills_and_restarts_fall_on_their_steps() {
        let fault = |at, kill, restart_after: Option<u64>| {
            Fault::Kill(KillFault {
                at: Step(at),
                kill: Victims(Uids(kill)),
                restart_after: restart_after.map(Steps),
            })
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
