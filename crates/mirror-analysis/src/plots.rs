//! The plots of the report. To add a plot, add its module and an entry in [`PLOTS`].

use std::collections::BTreeMap;

use plotly::common::{ColorBar, ColorScale, ColorScalePalette, Title};
use plotly::layout::{Axis, AxisRange, AxisType, Layout};
use plotly::{HeatMap, Plot as Chart};

use crate::moments::Mean;
use crate::numbers::{counted, rounded};
use crate::run_data::RunData;
use crate::series::{Series, middle};
use crate::tally::UidTally;

mod average_reward;
mod call_time;
mod calls_by_uid;
pub(crate) mod emission_by_role;
mod incentive_by_uid;
mod outcomes_by_uid;
mod rewards_by_uid;
mod trust_by_uid;
mod weights_by_uid;

/// All plots, in the order of the report.
pub const PLOTS: &[&dyn Plot] = &[
    &rewards_by_uid::RewardsByUid,
    &average_reward::AverageReward,
    &calls_by_uid::CallsByUid,
    &outcomes_by_uid::OutcomesByUid,
    &call_time::CallTime,
    &weights_by_uid::WeightsByUid,
    &emission_by_role::EmissionByRole,
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
    /// Draws the plot. Returns [`NothingToDraw`] if the run lacks its data.
    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw>;
}

/// The reason why a run has no such plot: `no call received a reward`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingToDraw(pub &'static str);

/// A drawn plot.
#[derive(Clone)]
pub struct Figure {
    /// The traces and the axes. The report sets the colours of text and background.
    pub chart: Chart,
    /// Height in pixels.
    pub height: u32,
    /// Text alternative for readers who cannot see the plot.
    pub alternative: String,
    /// Description of how the data was reduced, or empty.
    pub note: String,
}

/// Colour of the main data of a plot.
const MAIN: &str = "#3b7dd8";

/// Colour of the data in the background.
const BEHIND: &str = "rgba(140, 150, 165, 0.45)";

/// Colours of lines of equal importance. Most people with colour vision deficiencies can distinguish them (after Okabe
/// and Ito).
const SERIES: [&str; 7] = [
    "#3b7dd8", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6bb1",
];

/// Height of a plot with one bar per uid, in pixels.
const BARS_HEIGHT: u32 = 340;

/// Maximum number of cells of a heat map. Columns are merged to stay below it.
const CELLS: usize = 40_000;

/// Returns an axis of uids as categories, with equal distances regardless of their numbers.
fn uid_axis() -> Axis {
    Axis::new()
        .title(Title::with_text("uid"))
        .type_(AxisType::Category)
        .auto_margin(true)
        .show_grid(false)
}

fn axis(title: &str) -> Axis {
    Axis::new().title(Title::with_text(title)).auto_margin(true)
}

fn uid_labels<'a>(uids: impl Iterator<Item = &'a u32>) -> Vec<String> {
    uids.map(u32::to_string).collect()
}

fn chart(layout: Layout) -> Chart {
    let mut chart = Chart::new();
    chart.set_layout(layout);
    chart
}

/// Treatment of columns without values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gaps {
    /// The column is kept blank.
    Kept,
    /// The column is removed, and the remaining columns are adjacent.
    Closed,
}

/// Description of a heat map of uids over time.
struct Heat {
    /// Value of a cell: `mean reward`.
    value: &'static str,
    /// Unit of time: `forward`.
    position: &'static str,
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
    let cell = |row: &Vec<Mean>, column: usize| row.get(column).and_then(Mean::mean).map(rounded);
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns: Vec<usize> = (0..longest).collect();
    if heat.gaps == Gaps::Closed {
        columns.retain(|&column| rows.iter().any(|row| cell(row, column).is_some()));
    }
    if columns.is_empty() {
        return None;
    }
    let z: Vec<Vec<Option<f64>>> = rows
        .iter()
        .map(|row| columns.iter().map(|&column| cell(row, column)).collect())
        .collect();
    let x: Vec<f64> = columns
        .iter()
        .map(|&column| middle(column as u64, width))
        .collect();
    let trace = HeatMap::new(x, uid_labels(series.keys()), z)
        .color_scale(ColorScale::Palette(ColorScalePalette::Viridis))
        .color_bar(
            ColorBar::new()
                .title(Title::with_text(heat.value))
                .thickness(14)
                .outline_width(0),
        )
        .hover_on_gaps(false)
        .hover_template(format!(
            "uid %{{y}}<br>{} %{{x}}<br>{} %{{z:.4g}}<extra></extra>",
            heat.position, heat.value
        ));
    let time_axis = axis(heat.position).show_grid(false).zero_line(false);
    // The first uid is at the top, as in a table.
    let uids = AxisRange::new(series.len() as f64 - 0.5, -0.5);
    let layout = Layout::new()
        .x_axis(match heat.gaps {
            Gaps::Kept => time_axis,
            Gaps::Closed => time_axis.type_(AxisType::Category),
        })
        .y_axis(uid_axis().range(uids));
    let mut chart = chart(layout);
    chart.add_trace(trace);
    let note = if width == 1 {
        format!("Blank: the uid {}.", heat.blank)
    } else {
        format!(
            "Each column is the mean over {width} {}s. Blank: the uid {}.",
            heat.position, heat.blank
        )
    };
    Some(Figure {
        chart,
        height: (120 + 18 * series.len() as u32).clamp(260, 720),
        alternative: format!(
            "Heat map of the {} of {} over {}.",
            heat.value,
            counted(series.len() as u64, "uid", "uids"),
            counted(columns.len() as u64, "time bin", "time bins")
        ),
        note,
    })
}
