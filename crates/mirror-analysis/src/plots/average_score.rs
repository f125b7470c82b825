//! Plot of the mean score by uid.

use super::{NO_SCORE, NothingToDraw, Plot, scored};
use crate::chart::{Axis, Color, Data, Figure, Trace, Values};
use crate::inference::half_width;
use crate::moments::Moments;
use crate::numbers::{counted, value};
use crate::run_data::RunData;

pub(super) struct AverageScore;

impl Plot for AverageScore {
    fn name(&self) -> &'static str {
        "average_score"
    }

    fn title(&self) -> &'static str {
        "Mean score by uid"
    }

    fn explain(&self) -> &'static str {
        "Mean score of the uid by the gating model over all forwards, with its 95% confidence interval."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let scored = scored(data);
        let means: Vec<(u32, Moments, f64)> = scored
            .iter()
            .filter_map(|(uid, tally)| Some((*uid, tally.scores, tally.scores.mean()?)))
            .collect();
        let best = means.iter().max_by(|one, other| one.2.total_cmp(&other.2));
        let (best, _, best_mean) = best.ok_or(NO_SCORE)?;
        if means.len() < 2 {
            return Err(format!("only uid {best} has scores").as_str().into());
        }
        let bars = Data::Bars {
            x: Values::uids(scored.keys()),
            y: means.iter().map(|(.., mean)| Some(*mean)).collect(),
            half_widths: means.iter().map(|(_, scores, _)| half_width(scores)).collect(),
            text: Vec::new(),
        };
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::linear("mean score"),
            traces: vec![Trace::new("mean score", Color::Main, bars)],
            alternative: format!(
                "Bars of the mean score of {}; the highest is {} of uid {best}.",
                counted(means.len() as u64, "uid", "uids"),
                value(*best_mean)
            ),
            ..Figure::default()
        })
    }
}
