//! Plot of the rewards over time with a line for each uid.

use std::cmp::Reverse;

use super::lines::{Line, draw};
use super::{NO_REWARD, NothingToDraw, Plot, merged_note};
use crate::chart::{Axis, Figure, Scale};
use crate::collect::calls::UidTally;
use crate::numbers::counted;
use crate::run_data::RunData;

/// Maximum number of lines.
const MAX_LINES: usize = 64;

pub(super) struct RewardLines;

impl Plot for RewardLines {
    fn name(&self) -> &'static str {
        "reward_lines"
    }

    fn title(&self) -> &'static str {
        "Rewards over time as lines"
    }

    fn explain(&self) -> &'static str {
        "Mean reward of each uid in each forward in which it received one. With several validators, the value \
         is the mean over them."
    }

    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw> {
        let mut rewarded: Vec<(u32, &UidTally)> = data
            .uids
            .iter()
            .filter(|(_, tally)| tally.rewards.count() > 0)
            .map(|(uid, tally)| (*uid, tally))
            .collect();
        let all = rewarded.len();
        rewarded.sort_by_key(|(uid, tally)| (Reverse(tally.rewards.count()), *uid));
        rewarded.truncate(MAX_LINES);
        rewarded.sort_by_key(|(uid, _)| *uid);
        let line = |&(uid, tally): &(u32, _)| {
            let tally: &UidTally = tally;
            Line {
                name: format!("uid {uid}"),
                uid: Some(uid),
                series: &tally.rewards_over_time,
            }
        };
        let lines: Vec<Line<'_>> = rewarded.iter().map(line).collect();
        let (traces, width) = draw(&lines);
        if traces.is_empty() {
            return Err(NO_REWARD.into());
        }
        let merged = merged_note(width, "forward");
        let note = if all > MAX_LINES {
            format!("Only the {MAX_LINES} uids with the most rewards of {all} are shown. {merged}")
        } else {
            merged
        };
        Ok(Figure {
            x: Axis::new("forward", Scale::Forward),
            y: Axis::linear("reward"),
            alternative: format!(
                "Lines of the reward of {} over forwards.",
                counted(traces.len() as u64, "uid", "uids")
            ),
            traces,
            note: note.trim_end().to_owned(),
            ..Figure::default()
        })
    }
}
