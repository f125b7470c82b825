//! Plot of the validator trust over time by label.

use mirror_runs::NeuronKind;

use super::ALL_WITHIN;
use super::by_label::ByLabel;
use crate::chart::Scale;

pub(crate) const VALIDATOR_TRUST: ByLabel = ByLabel {
    name: "validator_trust_by_label",
    title: "Validator trust over time by label",
    explain: "Share of the weights set by a validator with the label that was within consensus: the mean over the \
              validators, by epoch of the chain. The rest was clipped and earned nothing.",
    axis: "validator trust",
    scale: Scale::Share,
    kind: NeuronKind::Validator,
    of: |earned| &earned.validator_trust_over_time,
    always_one: Some(ALL_WITHIN),
};
