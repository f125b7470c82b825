//! Plot of the trust of each validator over epochs.

use super::lines::by_validator;
use super::{ALL_WITHIN, NothingToDraw, Plot};
use crate::chart::{Axis, Data, Figure, Scale, Trace};
use crate::run_data::RunData;

pub(super) struct ValidatorTrustByValidator;

impl Plot for ValidatorTrustByValidator {
    fn name(&self) -> &'static str {
        "validator_trust_by_validator"
    }

    fn title(&self) -> &'static str {
        "Validator trust by validator over epochs"
    }

    fn explain(&self) -> &'static str {
        "Share of the weights set by each validator that was within consensus, by epoch of the chain. The \
         rest was clipped and earned nothing."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let axis = Axis::new("validator trust", Scale::Share);
        let figure = by_validator(data, axis, |earned| &earned.validator_trust_over_time)?;
        let is_one = |trace: &Trace| match &trace.data {
            Data::Line { y, .. } => y.iter().all(|trust| *trust == Some(1.0)),
            _ => false,
        };
        if figure.traces.iter().all(is_one) {
            return Err(ALL_WITHIN.into());
        }
        Ok(figure)
    }
}
