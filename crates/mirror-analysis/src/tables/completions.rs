//! Leaderboard of the most frequent completions.

use super::{Cell, Column, Kind, Row, Table, column};
use crate::collect::frequent::{Counted, Frequent};
use crate::collect::texts::Text;
use crate::numbers::{count, value};
use crate::run_data::RunData;
use crate::summary::Summary;

/// Number of rows of a leaderboard.
const ROWS: usize = 20;

pub(super) const COLUMNS: [Column; 3] = [
    column("completion", "the completion, shortened", Kind::Long),
    column("count", "number of occurrences", Kind::Number),
    column(
        "mean reward",
        "mean over the calls with this text that received a reward",
        Kind::Number,
    ),
];

pub(super) fn build(data: &RunData, _: &Summary) -> Option<Table> {
    leaderboard(
        "completions",
        "Most frequent completions",
        "The completions of most successful calls, with their mean reward.",
        COLUMNS.to_vec(),
        &data.texts.completions,
    )
}

/// Returns the most frequent texts. `None` if there are none.
pub(super) fn leaderboard(
    name: &'static str,
    title: &'static str,
    explain: &str,
    columns: Vec<Column>,
    texts: &Frequent<Text>,
) -> Option<Table> {
    if texts.is_empty() {
        return None;
    }
    let exact = match texts.missed() {
        0 => String::new(),
        missed => format!(
            " There are too many different texts to count all: a count is at most {} too low.",
            count(missed)
        ),
    };
    let row = |(_, counted): (u64, &Counted<Text>)| {
        let reward = counted.item.rewards.mean();
        let content = counted.item.content.as_ref()?;
        let row = Row {
            uid: None,
            cells: vec![
                Cell::text(&**content),
                Cell::number(counted.count as f64, count(counted.count)),
                reward.map_or(Cell::Empty, |reward| Cell::number(reward, value(reward))),
            ],
        };
        Some(row)
    };
    Some(Table {
        name,
        title,
        explain: format!("{explain}{exact}"),
        columns,
        rows: texts.top(ROWS).into_iter().filter_map(row).collect(),
    })
}
