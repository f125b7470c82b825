//! Faults: what the run breaks deliberately, and at which hold of the barrier.
//!
//! Each kind of fault has a file in this module, which implements [`FaultKind`], and a line in `with_kind`. A fault is
//! applied at one hold and optionally lifted at a later one. At a hold, all due faults are applied first, process by
//! process in the order of their names. Then all due faults are lifted, process by process in ascending order of uid.

mod kill;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use mirror_cluster::Placement;
use mirror_spec::{Fault, Step, Uids};

use crate::network_spec;
use crate::node_ops::{NodeOps, Started};

/// The effect and the schedule of a kind of fault.
pub(crate) trait FaultKind {
    /// Returns the uids that the fault names. They identify the processes that host them.
    fn uids(&self) -> &Uids;

    /// Returns the step after whose block the fault is applied.
    fn applied_at(&self) -> Step;

    /// Returns the step after whose block the fault is lifted, or `None` if it is never lifted.
    fn lifted_at(&self) -> Option<Step>;

    /// Applies the fault to one of its processes, at the hold after `step`.
    fn apply<P: Placement>(
        &self,
        ops: &NodeOps<P>,
        node: &str,
        step: u64,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Lifts the fault from one of its processes, at the hold after `step`. `started` contains the starts of this hold
    /// so far. If this call starts the node, it appends its start.
    fn lift<P: Placement>(
        &self,
        ops: &NodeOps<P>,
        node: &str,
        step: u64,
        started: &mut Vec<Started>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// The registry of kinds: evaluates an expression with the [`FaultKind`] of a fault.
macro_rules! with_kind {
    ($fault:expr, |$kind:ident| $then:expr) => {
        match $fault {
            Fault::Kill($kind) => $then,
        }
    };
}

/// The faults that are due at one hold of the barrier.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Hold {
    /// Faults that are applied, in the order of the file.
    apply: Vec<Fault>,
    /// Faults that are lifted, in the order of the file.
    lift: Vec<Fault>,
}

/// Returns the holds of the barrier by step.
pub(crate) fn schedule(faults: &[Fault]) -> BTreeMap<u64, Hold> {
    let mut holds: BTreeMap<u64, Hold> = BTreeMap::new();
    for fault in faults {
        let (applied, lifted) = with_kind!(fault, |kind| (kind.applied_at(), kind.lifted_at()));
        holds.entry(applied.0).or_default().apply.push(fault.clone());
        if let Some(lifted) = lifted {
            holds.entry(lifted.0).or_default().lift.push(fault.clone());
        }
    }
    holds
}

/// Returns the steps after which the barrier holds, in ascending order.
pub(crate) fn holds(faults: &[Fault]) -> Vec<u64> {
    schedule(faults).into_keys().collect()
}

/// Returns the uids that a fault names.
pub(crate) fn uids(fault: &Fault) -> &Uids {
    with_kind!(fault, |kind| kind.uids())
}

impl Hold {
    /// Applies and lifts the faults that are due at the hold after `step`. Returns the outcomes of the starts.
    pub(crate) async fn carry_out<P: Placement>(
        &self,
        ops: &NodeOps<P>,
        step: u64,
    ) -> anyhow::Result<Vec<Started>> {
        let mut applied: Vec<(String, &Fault)> = by_process(&self.apply, ops)
            .into_iter()
            .map(|(process, fault)| (network_spec::miner_name(&process), fault))
            .collect();
        applied.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (node, fault) in applied {
            with_kind!(fault, |kind| kind.apply(ops, &node, step).await?);
        }
        let mut started = Vec::new();
        for (process, fault) in by_process(&self.lift, ops) {
            let node = network_spec::miner_name(&process);
            with_kind!(fault, |kind| kind.lift(ops, &node, step, &mut started).await?);
        }
        Ok(started)
    }
}

/// Returns each pair of a process and a fault that names it, in ascending order of uid and then in the order of
/// `faults`.
fn by_process<'a, P>(faults: &'a [Fault], ops: &NodeOps<P>) -> Vec<(RangeInclusive<u32>, &'a Fault)> {
    let mut named = Vec::new();
    for fault in faults {
        let mut processes: Vec<_> = uids(fault).iter().map(|uid| ops.spec.process_of(uid)).collect();
        processes.sort_by_key(|process| *process.start());
        processes.dedup();
        named.extend(processes.into_iter().map(|process| (process, fault)));
    }
    named.sort_by_key(|(process, _)| *process.start());
    named
}

#[cfg(test)]
mod tests {
    use mirror_spec::{KillFault, Steps};

    use super::*;

    #[test]
    fn faults_are_applied_and_lifted_at_their_steps() {
        let fault = |at, kill, restart_after: Option<u64>| {
            Fault::Kill(KillFault {
                at: Step(at),
                kill: Uids::of_ranges([kill]).expect("it is a set of uids"),
                restart_after: restart_after.map(Steps),
            })
        };
        let (passing, lasting) = (fault(8, 5..=5, Some(4)), fault(12, 0..=1, None));
        let hold = |apply: &[&Fault], lift: &[&Fault]| Hold {
            apply: apply.iter().copied().cloned().collect(),
            lift: lift.iter().copied().cloned().collect(),
        };
        assert_eq!(
            schedule(&[passing.clone(), lasting.clone()]),
            BTreeMap::from([(8, hold(&[&passing], &[])), (12, hold(&[&lasting], &[&passing]))])
        );
    }
}
