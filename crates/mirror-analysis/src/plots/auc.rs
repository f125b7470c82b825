//! Plot of the agreement of scores with rewards by fifth of the run.

use super::{FIFTH_NAMES, NO_SCORE, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Figure, Scale, Trace, Values};
use crate::numbers::value;
use crate::run_data::RunData;

pub(super) struct Auc;

impl Plot for Auc {
    fn name(&self) -> &'static str {
        "auc"
    }

    fn title(&self) -> &'static str {
        "Agreement of scores with rewards (AUC)"
    }

    fn explain(&self) -> &'static str {
        "Probability that of two uids called in the same forward the one with the higher reward has the \
         higher score, by fifth of the run. 0.5 is chance, and 1 is a gating model that orders all uids by \
         their rewards."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let fifths = FIFTH_NAMES.iter().zip(&data.agreement.pairs_by_fifth);
        let (names, areas): (Vec<String>, Vec<Option<f64>>) = fifths
            .filter_map(|(name, pairs)| Some(((*name).to_owned(), Some(pairs.auc()?))))
            .unzip();
        if data.scores.uids.is_empty() {
            return Err(NO_SCORE.into());
        }
        if areas.len() < 2 {
            return Err("fewer than two fifths of the run have forwards with different rewards".into());
        }
        let known: Vec<String> = areas.iter().flatten().map(|area| value(*area)).collect();
        Ok(Figure {
            x: Axis::new("part of the run", Scale::Words),
            y: Axis::linear("AUC"),
            traces: vec![Trace::bars("AUC", Color::Main, Values::Words(names), areas)],
            alternative: format!(
                "Bars of the AUC of the scores by fifth of the run: {}. 0.5 is chance.",
                known.join(", ")
            ),
            ..Figure::default()
        })
    }
}
