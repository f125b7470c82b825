//! Plot of the pairs of uids that give equal completions.

use super::pairs::{heat_map, share};
use super::{NO_EQUALS, NothingToDraw, Plot};
use crate::chart::{Data, Figure};
use crate::run_data::RunData;

pub(super) struct AnswersAlike;

impl Plot for AnswersAlike {
    fn name(&self) -> &'static str {
        "answers_alike"
    }

    fn title(&self) -> &'static str {
        "Equal completions of two uids"
    }

    fn explain(&self) -> &'static str {
        "Share of the forwards in which two uids both answered and their completions were equal. Uids with a \
         large share copy each other, or have the same model."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let figure = heat_map(data, "share of equal completions", |pair| {
            share(pair.equal, pair.together)
        });
        let figure = figure.ok_or("no two uids answered in the same forward")?;
        let all_are = |all: f64| {
            figure.traces.iter().all(|trace| match &trace.data {
                Data::Heat { z, .. } => z.iter().flatten().flatten().all(|share| *share == all),
                _ => false,
            })
        };
        if all_are(0.0) {
            return Err(NO_EQUALS.into());
        }
        if all_are(1.0) {
            return Err("all completions of a forward were equal".into());
        }
        Ok(figure)
    }
}
