//! Plot of the incentive of miners over time by label.

use mirror_runs::NeuronKind;

use super::by_label::ByLabel;
use crate::chart::Scale;

pub(crate) const INCENTIVE: ByLabel = ByLabel {
    name: "incentive_by_label",
    title: "Incentive of miners over time by label",
    explain: "Mean share in the emission to miners of a miner with the label, by epoch of the chain.",
    axis: "incentive",
    scale: Scale::Linear,
    kind: NeuronKind::Miner,
    of: |earned| &earned.incentive_over_time,
    always_one: None,
};
