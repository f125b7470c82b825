//! Plot of the dividends of each validator over epochs.

use super::lines::by_validator;
use super::{NothingToDraw, Plot};
use crate::chart::{Axis, Figure};
use crate::run_data::RunData;

pub(super) struct DividendsByValidator;

impl Plot for DividendsByValidator {
    fn name(&self) -> &'static str {
        "dividends_by_validator"
    }

    fn title(&self) -> &'static str {
        "Dividends by validator over epochs"
    }

    fn explain(&self) -> &'static str {
        "Amount that each validator was paid for dividends, by epoch of the chain."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let axis = Axis::linear("dividends in TAO");
        by_validator(data, axis, |earned| &earned.dividends_over_time)
    }
}
