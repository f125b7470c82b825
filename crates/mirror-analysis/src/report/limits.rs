//! The conditions that a run or group of runs did not test, in sentences.

use mirror_runs::NeuronKind;

use crate::comparison::GroupPay;
use crate::run_data::RunData;

/// Returns the conditions that the runs did not test.
pub(super) fn limits(runs: &[&RunData], groups: &[GroupPay]) -> Vec<String> {
    let mut limits = Vec::new();
    if let [_] = runs {
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
    if runs.iter().all(|data| data.incidents.count() == 0) {
        limits.push("Faults: no node failed, and no fault took effect.".to_owned());
    }
    limits
}
