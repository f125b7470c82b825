//! Table of the faults.

use super::{Cell, Column, Kind, Row, Table, column, trace_column};
use crate::collect::faults::FaultTally;
use crate::numbers::{count, counted, percent, shortened};
use crate::run_data::RunData;
use crate::summary::Summary;

/// Maximum number of rows.
const ROWS: usize = 500;

/// Maximum number of characters of a text.
const LONGEST: usize = 400;

const COLUMNS: [Column; 10] = [
    column("fault", "name of the fault", Kind::Text),
    column("kind", "kind of the fault", Kind::Text),
    column("who", "the nodes that the fault names", Kind::Long),
    column(
        "from step",
        "the first step that the fault could affect",
        Kind::Number,
    ),
    column(
        "to step",
        "the first step after the fault was last lifted, empty if it lasted to the end",
        Kind::Number,
    ),
    column(
        "occurrences",
        "number of times that the fault took effect",
        Kind::Number,
    ),
    column(
        "calls affected",
        "number of calls that the fault affected",
        Kind::Number,
    ),
    column(
        "of these failed",
        "number of affected calls that did not succeed",
        Kind::Number,
    ),
    column(
        "share of calls affected",
        "the affected calls as a share of all calls of the run",
        Kind::Number,
    ),
    column(
        "detail",
        "the first problem, such as a node that was not running",
        Kind::Long,
    ),
];

pub(super) fn build(data: &RunData, _: &Summary) -> Option<Table> {
    let faults = &data.faults;
    if faults.is_empty() {
        return None;
    }
    let calls = data.outcomes().calls();
    let more = match faults.all.len().saturating_sub(ROWS) {
        0 => String::new(),
        left_out => format!(
            " {} in the table faults of the run.",
            counted(left_out as u64, "more is", "more are")
        ),
    };
    let trace_column = trace_column(
        data,
        "trace of the first affected call: a link to its waterfall, or the command that shows it; only the id if it \
         was not kept",
    );
    let has_traces = trace_column.is_some();
    let row = |fault: &FaultTally| {
        let mut of_fault = cells(fault, calls);
        of_fault.extend(has_traces.then(|| Cell::trace(data, fault.first_trace.as_ref())));
        Row {
            uid: None,
            cells: of_fault,
        }
    };
    Some(Table {
        name: "faults",
        title: "Faults",
        explain: format!(
            "Faults that were due, in the order in which they began. A call that several faults affected counts for \
             each of them.{more}"
        ),
        columns: COLUMNS.into_iter().chain(trace_column).collect(),
        rows: faults.all.iter().take(ROWS).map(row).collect(),
    })
}

fn cells(fault: &FaultTally, calls_of_run: u64) -> Vec<Cell> {
    let number = |number: u64| Cell::number(number as f64, count(number));
    let share = (calls_of_run > 0).then(|| fault.calls as f64 / calls_of_run as f64);
    let detail = match fault.detail.as_str() {
        "" => Cell::Empty,
        detail => Cell::text(shortened(detail, LONGEST)),
    };
    vec![
        Cell::text(&*fault.fault),
        Cell::text(&*fault.kind),
        Cell::text(shortened(&fault.who, LONGEST)),
        fault.from_step.map_or(Cell::Empty, number),
        fault.to_step.map_or(Cell::Empty, number),
        number(fault.occurrences),
        number(fault.calls),
        number(fault.failed),
        share.map_or(Cell::Empty, |share| Cell::number(share, percent(share))),
        detail,
    ]
}
