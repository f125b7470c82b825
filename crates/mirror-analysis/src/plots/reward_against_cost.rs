//! Plot of the mean reward of each uid against the size of its completions.

use super::points::by_label;
use super::{NO_REWARD, NothingToDraw, Plot};
use crate::chart::{Axis, Figure};
use crate::numbers::counted;
use crate::run_data::RunData;

pub(super) struct RewardAgainstCost;

impl Plot for RewardAgainstCost {
    fn name(&self) -> &'static str {
        "reward_against_cost"
    }

    fn title(&self) -> &'static str {
        "Mean reward against size of completions"
    }

    fn explain(&self) -> &'static str {
        "Mean reward of each uid against the mean size of its successful completions, which stands for the \
         cost of the answers. Coloured by label."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let points: Vec<(u32, f64, f64)> = data
            .uids
            .iter()
            .filter_map(|(uid, tally)| Some((*uid, tally.sizes.mean()?, tally.rewards.mean()?)))
            .collect();
        if points.is_empty() {
            return Err(NO_REWARD.into());
        }
        if points.len() < 2 {
            return Err("only one uid received a reward".into());
        }
        Ok(Figure {
            x: Axis::linear("mean size of a completion in bytes"),
            y: Axis::linear("mean reward"),
            alternative: format!(
                "Points of the mean reward against the mean size of a completion for {}.",
                counted(points.len() as u64, "uid", "uids")
            ),
            traces: by_label(data, points),
            ..Figure::default()
        })
    }
}
