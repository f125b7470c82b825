//! Plot of the mean reward by uid.

use super::{NO_REWARD, NothingToDraw, Plot};
use crate::chart::{Axis, Color, Data, Figure, Trace, Values};
use crate::inference::half_width;
use crate::numbers::{counted, value};
use crate::run_data::RunData;

pub(super) struct AverageReward;

impl Plot for AverageReward {
    fn name(&self) -> &'static str {
        "average_reward"
    }

    fn title(&self) -> &'static str {
        "Mean reward by uid"
    }

    fn explain(&self) -> &'static str {
        "Mean over all successful calls of the uid, with its 95% confidence interval."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let rewarded: Vec<_> = data
            .uids
            .iter()
            .filter_map(|(uid, tally)| Some((uid, tally.rewards, tally.rewards.mean()?)))
            .collect();
        let best = rewarded.iter().max_by(|one, other| one.2.total_cmp(&other.2));
        let (best, _, best_mean) = best.ok_or(NO_REWARD)?;
        let bars = Data::Bars {
            x: Values::uids(rewarded.iter().map(|(uid, ..)| *uid)),
            y: rewarded.iter().map(|(.., mean)| Some(*mean)).collect(),
            half_widths: rewarded
                .iter()
                .map(|(_, rewards, _)| half_width(rewards))
                .collect(),
            text: Vec::new(),
        };
        Ok(Figure {
            x: Axis::uids(),
            y: Axis::linear("mean reward"),
            traces: vec![Trace::new("mean reward", Color::Main, bars)],
            alternative: format!(
                "Bars of the mean reward of {}; the highest is {} of uid {best}.",
                counted(rewarded.len() as u64, "uid", "uids"),
                value(*best_mean)
            ),
            ..Figure::default()
        })
    }
}
