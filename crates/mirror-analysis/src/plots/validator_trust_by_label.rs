//! Plot of the validator trust over time by label.

use mirror_runs::NeuronKind;

use super::pay_by_label::{ByEpoch, over_runs};
use super::{ALL_WITHIN, NothingToDraw, Plot};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct ValidatorTrustByLabel;

impl Plot for ValidatorTrustByLabel {
    fn name(&self) -> &'static str {
        "validator_trust_by_label"
    }

    fn title(&self) -> &'static str {
        "Validator trust over time by label"
    }

    fn explain(&self) -> &'static str {
        "Share of the weights set by a validator with the label that was within consensus: the mean over the \
         validators, by epoch of the chain. The rest was clipped and earned nothing."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        over_runs(&[data], &VALIDATOR_TRUST)
    }
}

/// The validators' trust.
pub(crate) const VALIDATOR_TRUST: ByEpoch = ByEpoch {
    title: "validator trust",
    scale: Scale::Share,
    kind: NeuronKind::Validator,
    of: |earned| &earned.validator_trust_over_time,
    always_one: Some(ALL_WITHIN),
};
