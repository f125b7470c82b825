//! Plot of the dividends of validators over time by label.

use mirror_runs::NeuronKind;

use super::pay_by_label::{ByEpoch, over_runs};
use super::{NothingToDraw, Plot};
use crate::chart::{Figure, Scale};
use crate::run_data::RunData;

pub(super) struct DividendsByLabel;

impl Plot for DividendsByLabel {
    fn name(&self) -> &'static str {
        "dividends_by_label"
    }

    fn title(&self) -> &'static str {
        "Dividends of validators over time by label"
    }

    fn explain(&self) -> &'static str {
        "Mean amount that a validator with the label was paid for dividends in an epoch of the chain."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        over_runs(&[data], &DIVIDENDS)
    }
}

/// The dividends of validators.
pub(crate) const DIVIDENDS: ByEpoch = ByEpoch {
    title: "TAO per epoch and validator",
    scale: Scale::Linear,
    kind: NeuronKind::Validator,
    of: |earned| &earned.dividends_over_time,
    always_one: None,
};
