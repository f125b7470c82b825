//! The plots of the report. To add a plot, add its module and an entry in [`PLOTS`].

use std::collections::BTreeMap;

use crate::chart::{Axis, Data, Figure, Height, Scale, Trace};
use crate::collect::calls::UidTally;
use crate::moments::Mean;
use crate::numbers::counted;
use crate::run_data::RunData;
use crate::series::{Series, middle};

mod average_reward;
mod call_time;
mod calls_by_uid;
mod incentive_by_uid;
mod outcomes_by_uid;
pub(crate) mod pay_by_label;
mod rewards_by_uid;
mod trust_by_uid;
mod weights_by_uid;

/// All plots, in the order of the report.
pub const PLOTS: &[&dyn Plot] = &[
    &pay_by_label::PayByLabel,
    &rewards_by_uid::RewardsByUid,
    &average_reward::AverageReward,
    &calls_by_uid::CallsByUid,
    &outcomes_by_uid::OutcomesByUid,
    &call_time::CallTime,
    &weights_by_uid::WeightsByUid,
    &incentive_by_uid::IncentiveByUid,
    &trust_by_uid::TrustByUid,
];

/// A plot of a run.
pub trait Plot: Sync {
    /// Returns the name in files and links: lower-case letters and underscores.
    fn name(&self) -> &'static str;
    /// Returns the heading.
    fn title(&self) -> &'static str;
    /// Returns an explanation of the plot in one or two sentences.
    fn explain(&self) -> &'static str;
    /// Draws the plot. Returns [`NothingToDraw`] if the run lacks its data, or if the plot would show nothing.
    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw>;
}

/// The reason why a run has no such plot: `no call received a reward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingToDraw(pub String);

impl From<&str> for NothingToDraw {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

/// Reason why there is no data of the chain's epochs.
const NO_EPOCH: &str = "the run ended before the chain's first epoch";

/// Reason why there is no data of rewards.
const NO_REWARD: &str = "no call received a reward";

/// Maximum number of cells of a heat map. Columns are merged to stay below it.
const CELLS: usize = 40_000;

/// Treatment of columns without values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gaps {
    /// The column is kept blank.
    Kept,
    /// The column is removed, and the remaining columns are adjacent.
    Closed,
    /// A cell without a value repeats the last value of its row.
    Filled,
}

/// Description of a heat map of uids over time.
struct Heat {
    /// Value of a cell: `mean reward`.
    value: &'static str,
    /// Unit of time: `forward`.
    position: &'static str,
    /// Scale of the time axis.
    scale: Scale,
    /// Treatment of times at which no uid has a value.
    gaps: Gaps,
    /// Reason for an empty cell: `was not called or received no reward`.
    blank: &'static str,
}

/// Returns the series of every uid that was called or has a weight.
fn of_tallies(data: &RunData, of: fn(&UidTally) -> &Series<Mean>) -> BTreeMap<u32, &Series<Mean>> {
    data.uids.iter().map(|(&uid, tally)| (uid, of(tally))).collect()
}

/// Draws a heat map with one row per uid and one column per bin of time. Cells without a value are blank.
fn heat_map(series: &BTreeMap<u32, &Series<Mean>>, heat: &Heat) -> Option<Figure> {
    let mut width = series.values().map(|series| series.width()).max()?;
    let rows = loop {
        let rows: Vec<Vec<Mean>> = series.values().map(|series| series.widened(width)).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        if columns <= 1 || columns * rows.len() <= CELLS {
            break rows;
        }
        width *= 2;
    };
    let cell = |row: &Vec<Mean>, column: usize| row.get(column).and_then(Mean::mean);
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns: Vec<usize> = (0..longest).collect();
    if heat.gaps == Gaps::Closed {
        columns.retain(|&column| rows.iter().any(|row| cell(row, column).is_some()));
    }
    if !rows
        .iter()
        .any(|row| row.iter().any(|cell| cell.mean().is_some()))
    {
        return None;
    }
    let cells = |row: &Vec<Mean>| -> Vec<Option<f64>> {
        let mut last = None;
        let cells = columns.iter().map(|&column| {
            let value = cell(row, column);
            if heat.gaps == Gaps::Filled {
                last = value.or(last);
                last
            } else {
                value
            }
        });
        cells.collect()
    };
    let trace = Trace::new(
        heat.value,
        Default::default(),
        Data::Heat {
            x: columns
                .iter()
                .map(|&column| middle(column as u64, width))
                .collect(),
            y: series.keys().map(u32::to_string).collect(),
            z: rows.iter().map(cells).collect(),
            title: heat.value.to_owned(),
        },
    );
    let merged = match width {
        1 => String::new(),
        width => format!("Each column is the mean over {width} {}s. ", heat.position),
    };
    Some(Figure {
        x: Axis::new(heat.position, heat.scale),
        y: Axis::uids(),
        traces: vec![trace],
        height: Height((120 + 18 * series.len() as u32).clamp(260, 720)),
        alternative: format!(
            "Heat map of the {} of {} over {}.",
            heat.value,
            counted(series.len() as u64, "uid", "uids"),
            counted(columns.len() as u64, "time bin", "time bins")
        ),
        note: format!("{merged}Blank: the uid {}.", heat.blank),
        ..Figure::default()
    })
}

/// Returns a note about merged positions of a line: `Each point represents 4 steps.`, or an empty text.
fn merged_note(width: u64, position: &str) -> String {
    match width {
        1 => String::new(),
        width => format!("Each point represents {width} {position}s."),
    }
}
