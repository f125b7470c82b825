//! The limits of a run or of a group of runs, in sentences.

use std::collections::BTreeSet;

use mirror_runs::NeuronKind;

use crate::collect::faults::FaultTally;
use crate::comparison::GroupPay;
use crate::numbers::counted;
use crate::run_data::RunData;

/// Maximum number of sentences about injected behaviours.
const MAX_INJECTIONS: usize = 10;

/// Returns the subjects that the runs do not test.
pub(super) fn limits(runs: &[&RunData], groups: &[GroupPay]) -> Vec<String> {
    let mut limits = Vec::new();
    if runs.iter().all(|data| data.is_imported()) {
        limits.push(
            "Pay and faults: an event log has neither the chain nor the incidents of nodes.".to_owned(),
        );
        return limits;
    }
    if let [RunData { runs: 1, .. }] = runs {
        limits.push(
            "Other random seeds: this is one run, so no difference has an interval. `replicates: 5` in the file runs it \
             with five seeds."
                .to_owned(),
        );
    }
    let alone: Vec<String> = [NeuronKind::Miner, NeuronKind::Validator]
        .into_iter()
        .filter_map(|kind| {
            let mut of_kind = groups.iter().filter(|group| group.kind == kind);
            let only = of_kind.next().filter(|_| of_kind.next().is_none())?;
            Some(format!("all {}s have the label `{}`", kind.name(), only.label))
        })
        .collect();
    if !alone.is_empty() {
        limits.push(format!("Differences between groups: {}.", alone.join(", and ")));
    }
    let without = groups.iter().filter(|group| group.difference.is_none());
    let without: Vec<&str> = without
        .filter(|group| !group.is_control(groups))
        .map(|group| group.label.as_str())
        .collect();
    if alone.is_empty() && !without.is_empty() {
        limits.push(format!(
            "The pay of `{}` in comparison with others: the file names no `control` for it.",
            without.join("`, `")
        ));
    }
    if runs.iter().all(|data| data.epochs.is_empty()) {
        limits.push("Pay by the chain: no run reached an epoch.".to_owned());
    }
    if runs
        .iter()
        .all(|data| data.incidents.count() == 0 && data.faults.occurrences == 0)
    {
        limits.push("Faults: no node failed, and no fault took effect.".to_owned());
    }
    limits.extend(injected(runs));
    limits
}

/// Returns sentences about the uids that did not behave as their labels state in some steps.
fn injected(runs: &[&RunData]) -> Vec<String> {
    let faults = runs.iter().flat_map(|data| data.faults.applied());
    let faults = faults.filter(|fault| fault.kind.starts_with("inject"));
    let sentences: BTreeSet<String> = faults.map(sentence_of_injection).collect();
    let left_out = sentences.len().saturating_sub(MAX_INJECTIONS);
    let mut sentences: Vec<String> = sentences.into_iter().take(MAX_INJECTIONS).collect();
    if left_out > 0 {
        sentences.push(format!(
            "The behaviours of the uids of {}, which also keep their labels.",
            counted(left_out as u64, "other injection", "other injections")
        ));
    }
    sentences
}

fn sentence_of_injection(fault: &FaultTally) -> String {
    let period = match (fault.from_step, fault.to_step) {
        (None, _) => "outside the steps".to_owned(),
        (Some(from), None) => format!("from step {from} on"),
        // The behaviour is back at the step before which the fault was lifted.
        (Some(from), Some(to)) => format!("from step {from} to {}", to.saturating_sub(1).max(from)),
    };
    let occurrences = match fault.occurrences {
        1 => String::new(),
        several => format!(" ({several} times)"),
    };
    format!(
        "A separate group for {}: `{}` replaced their behaviour {period}{occurrences}, and they keep the label of the \
         experiment file in every comparison.",
        fault.who, fault.fault
    )
}
