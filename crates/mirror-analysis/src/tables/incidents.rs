//! Table of the incidents of nodes.

use mirror_runs::tables::IncidentRow;

use super::{Cell, Column, Kind, Row, Table, column};
use crate::numbers::{count, counted, duration, shortened};
use crate::run_data::RunData;
use crate::summary::Summary;

/// Maximum number of characters of a log and of a reason that are shown.
const LONGEST: usize = 4_000;

const COLUMNS: [Column; 5] = [
    column("node", "name of the node", Kind::Text),
    column("incident", "what happened", Kind::Text),
    column(
        "time",
        "time since the first forward, block, and number of the node's start",
        Kind::Text,
    ),
    column("reason", "description of the reason", Kind::Long),
    column("last log lines", "the last lines of the node's log", Kind::Long),
];

pub(super) fn build(data: &RunData, _: &Summary) -> Option<Table> {
    let incidents = &data.incidents;
    if incidents.first.is_empty() {
        return None;
    }
    let left_out = incidents.count() - incidents.first.len() as u64;
    let more = match left_out {
        0 => String::new(),
        left_out => format!(
            " {} in the table incidents of the run.",
            counted(left_out, "more is", "more are")
        ),
    };
    Some(Table {
        name: "incidents",
        title: "Incidents",
        explain: format!("Incidents of nodes, in the order in which they became known.{more}"),
        columns: COLUMNS.to_vec(),
        rows: incidents
            .first
            .iter()
            .map(|incident| row(incident, data))
            .collect(),
    })
}

fn row(incident: &IncidentRow, data: &RunData) -> Row {
    let after = incident
        .occurred_at
        .and_then(|at| data.events.seconds_until(at))
        .map(|seconds| format!("after {}", duration(seconds)));
    let start = incident
        .incarnation
        .map(|before| format!("start {}", u64::from(before) + 1));
    let block = incident.block.map(|block| format!("block {}", count(block)));
    let when: Vec<String> = [after, block, start].into_iter().flatten().collect();
    let last_log = incident.last_log.as_deref().filter(|log| !log.trim().is_empty());
    let cells = vec![
        Cell::text(&*incident.node),
        Cell::text(&*incident.what),
        Cell::text(when.join(", ")),
        Cell::text(shortened(&incident.detail, LONGEST)),
        last_log.map_or(Cell::Empty, |log| Cell::text(shortened(log, LONGEST))),
    ];
    Row { uid: None, cells }
}
