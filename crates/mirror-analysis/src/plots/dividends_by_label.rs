//! Plot of the dividends of validators over time by label.

use mirror_runs::NeuronKind;

use super::by_label::ByLabel;
use crate::chart::Scale;

pub(crate) const DIVIDENDS: ByLabel = ByLabel {
    name: "dividends_by_label",
    title: "Dividends of validators over time by label",
    explain: "Mean amount that a validator with the label was paid for dividends in an epoch of the chain.",
    axis: "TAO per epoch and validator",
    scale: Scale::Linear,
    kind: NeuronKind::Validator,
    of: |earned| &earned.dividends_over_time,
    always_one: None,
};
