//! Leaderboard of the most frequent prompts.

use super::column;
use super::completions::{COLUMNS, leaderboard};
use super::{Kind, Table};
use crate::run_data::RunData;
use crate::summary::Summary;

pub(super) fn build(data: &RunData, _: &Summary) -> Option<Table> {
    let mut columns = COLUMNS.to_vec();
    columns[0] = column("prompt", "the prompt, shortened", Kind::Long);
    leaderboard(
        "prompts",
        "Most frequent prompts",
        "The prompts of most forwards, with the mean reward of the answers to each.",
        columns,
        &data.texts.prompts,
    )
}
