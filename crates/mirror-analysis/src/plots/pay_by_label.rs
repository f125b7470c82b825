//! Plot of the pay of miners over time by label.

use mirror_runs::NeuronKind;

use super::by_label::ByLabel;
use crate::chart::Scale;

pub(crate) const PAY: ByLabel = ByLabel {
    name: "pay_by_label",
    title: "Pay of miners over time by label",
    explain: "Mean amount that a miner with the label was paid in an epoch of the chain.",
    axis: "TAO per epoch and miner",
    scale: Scale::Linear,
    kind: NeuronKind::Miner,
    of: |earned| &earned.emission_over_time,
    always_one: None,
};
