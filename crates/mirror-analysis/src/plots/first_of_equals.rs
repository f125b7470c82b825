//! Plot of the uids that answer first among equal completions.

use super::pairs::{heat_map, share};
use super::{NO_EQUALS, NothingToDraw, Plot};
use crate::chart::{Data, Figure};
use crate::run_data::RunData;

pub(super) struct FirstOfEquals;

impl Plot for FirstOfEquals {
    fn name(&self) -> &'static str {
        "first_of_equals"
    }

    fn title(&self) -> &'static str {
        "First of two equal completions"
    }

    fn explain(&self) -> &'static str {
        "Share of the forwards with equal completions of two uids in which the uid of the row answered faster \
         than the uid of the column. A uid that copies the answers of another cannot be faster."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let figure = heat_map(data, "share of first answers", |pair| {
            share(pair.first, pair.equal)
        });
        let figure = figure.ok_or(NO_EQUALS)?;
        let none_is_faster = figure.traces.iter().all(|trace| match &trace.data {
            Data::Heat { z, .. } => z.iter().flatten().flatten().all(|share| *share == 0.0),
            _ => false,
        });
        if none_is_faster {
            return Err("no call was faster than another with an equal completion".into());
        }
        Ok(figure)
    }
}
