//! Table of events: the first forwards of the run.

use super::{Cell, Column, Kind, Row, Table, column, trace_column};
use crate::collect::sample::SampledForward;
use crate::numbers::{count, counted, milliseconds, shortened, value};
use crate::run_data::RunData;
use crate::summary::Summary;

/// Maximum number of rows.
const ROWS: usize = 500;

/// Maximum number of characters of a text.
const LONGEST: usize = 160;

const COLUMNS: [Column; 9] = [
    column("step", "step of the query, from 0", Kind::Number),
    column(
        "forward",
        "0 for the question and 1 for the answer in training, otherwise the position in the chunk",
        Kind::Number,
    ),
    column("validator", "name of the validator's node", Kind::Text),
    column("block", "block at which the forward was made", Kind::Number),
    column("prompt", "the prompt, shortened", Kind::Long),
    column(
        "best completion",
        "the completion with the highest reward, shortened",
        Kind::Long,
    ),
    column("calls", "number of calls, and of successful ones", Kind::Text),
    column("best reward", "the highest reward", Kind::Number),
    column("call time (ms)", "duration of the forward", Kind::Number),
];

pub(super) fn build(data: &RunData, _: &Summary) -> Option<Table> {
    let forwards = data.sample.forwards();
    if forwards.is_empty() {
        return None;
    }
    let all = data.sample.of;
    let shown = forwards.len().min(ROWS);
    let explain = if (shown as u64) < all {
        format!(
            "{} of the {}. `mirror runs show RUN --events csv` prints all of them.",
            counted(shown as u64, "event", "events"),
            counted(all, "event", "events")
        )
    } else {
        "One row per forward of a validator.".to_owned()
    };
    let trace_column = trace_column(
        data,
        "trace of the step: a link to its waterfall, or the command that shows it; only the id if it was not kept",
    );
    let has_traces = trace_column.is_some();
    let row = |forward: &SampledForward| {
        let mut cells = cells(forward);
        cells.extend(has_traces.then(|| Cell::trace(data, forward.trace.as_ref())));
        Row { uid: None, cells }
    };
    Some(Table {
        name: "events",
        title: "Events",
        explain,
        columns: COLUMNS.into_iter().chain(trace_column).collect(),
        rows: forwards.into_iter().take(ROWS).map(row).collect(),
    })
}

fn cells(forward: &SampledForward) -> Vec<Cell> {
    let number = |number: u64| Cell::number(number as f64, count(number));
    let rewards = forward
        .rewards
        .iter()
        .copied()
        .filter(|reward| reward.is_finite());
    let best = rewards.reduce(f64::max);
    vec![
        number(forward.step),
        number(forward.forward_index.into()),
        Cell::text(&*forward.validator),
        number(forward.block),
        Cell::text(shortened(&forward.message, LONGEST)),
        forward
            .completion
            .as_ref()
            .map_or(Cell::Empty, |text| Cell::text(shortened(text, LONGEST))),
        Cell::text(format!("{} of {}", forward.uids.len(), forward.all_uids.len())),
        best.map_or(Cell::Empty, |best| Cell::number(best, value(best))),
        forward.call_time.map_or(Cell::Empty, |seconds| {
            Cell::number(seconds, milliseconds(seconds))
        }),
    ]
}
