//! The tables of the report. To add a table, add its module and an entry in [`TABLES`].

use serde::Serialize;

use crate::collect::steps::TraceOfRun;
use crate::forwards::is_trace_id;
use crate::run_data::RunData;
use crate::summary::Summary;

mod completions;
mod events;
mod faults;
mod groups;
mod incidents;
mod prompts;
pub(crate) mod uids;

pub(crate) use groups::{for_terminal as groups_for_terminal, table as groups_table};

/// All tables, in the order of the report.
pub(crate) const TABLES: &[fn(&RunData, &Summary) -> Option<Table>] = &[
    groups::build,
    uids::build,
    faults::build,
    incidents::build,
    prompts::build,
    completions::build,
    events::build,
];

/// A table of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Table {
    /// Name in links and files: lower-case letters and underscores.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Explanation in one or two sentences.
    pub(crate) explain: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Description for a new reader.
    pub(crate) about: &'static str,
    #[serde(skip)]
    pub(crate) kind: Kind,
}

/// Kind of the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    /// Short text, on one line.
    Text,
    /// Text that is wrapped.
    Long,
}

impl Kind {
    /// Returns the CSS class.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Text => "text",
            Self::Long => "long",
        }
    }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// The uid that the row describes, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    pub(crate) cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    /// A number, and how it is shown.
    Number {
        #[serde(rename = "value")]
        number: f64,
        text: String,
    },
    /// A text.
    Text(String),
    /// The id of a run, which links to its report.
    Run {
        /// The id.
        id: String,
    },
    /// A trace.
    Trace(TraceCell),
    /// No value.
    Empty,
}

/// A trace, and how a reader sees its spans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum TraceCell {
    /// The page has its waterfall.
    OnPage {
        /// Id of the trace.
        trace: String,
        /// Id of the waterfall on the page.
        anchor: String,
    },
    /// A command shows its spans.
    ByCommand {
        /// Id of the trace.
        trace: String,
        /// The command.
        command: String,
    },
    /// Its spans were not kept.
    NotKept {
        /// Id of the trace.
        trace: String,
    },
}

impl TraceCell {
    fn of(data: &RunData, trace: &TraceOfRun) -> Self {
        let id = trace.id.clone();
        if let Some(place) = data.traces.place_of(trace) {
            let anchor = anchor(data, place);
            return Self::OnPage { trace: id, anchor };
        }
        if data.traces.has(trace) {
            let command = trace.command();
            return Self::ByCommand { trace: id, command };
        }
        Self::NotKept { trace: id }
    }
}

/// Returns the id on the page of the waterfall at `place` among the slowest steps.
pub(crate) fn anchor(data: &RunData, place: usize) -> String {
    let slowest = &data.traces.slowest;
    let id = &slowest[place].trace.id;
    // Only runs with equal random seeds, or a damaged table, have equal or invalid ids.
    let is_first = slowest[..place].iter().all(|step| step.trace.id != *id);
    if is_trace_id(id) && is_first {
        format!("trace-{id}")
    } else {
        format!("trace-{place}")
    }
}

/// Returns the column of traces if the run has spans.
pub(crate) fn trace_column(data: &RunData, about: &'static str) -> Option<Column> {
    (data.traces.spans > 0).then(|| column("trace", about, Kind::Long))
}

impl Cell {
    /// Returns the cell of a trace in the report about `data`.
    pub(crate) fn trace(data: &RunData, trace: Option<&TraceOfRun>) -> Self {
        trace.map_or(Self::Empty, |trace| Self::Trace(TraceCell::of(data, trace)))
    }

    pub(crate) fn number(number: f64, text: String) -> Self {
        Self::Number { number, text }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns the text that is shown.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Number { text, .. }
            | Self::Text(text)
            | Self::Run { id: text }
            | Self::Trace(
                TraceCell::OnPage { trace: text, .. }
                | TraceCell::ByCommand { command: text, .. }
                | TraceCell::NotKept { trace: text },
            ) => text,
            Self::Empty => "–",
        }
    }

    /// Returns the address that the cell links to: a report, relative to that of a group, or a place on the page.
    pub(crate) fn link(&self) -> Option<String> {
        match self {
            Self::Run { id } => Some(format!("../{id}/report.html")),
            Self::Trace(TraceCell::OnPage { anchor, .. }) => Some(format!("#{anchor}")),
            Self::Number { .. } | Self::Text(_) | Self::Trace(_) | Self::Empty => None,
        }
    }

    /// Returns the key by which a script sorts the cell if it is not the shown text. Cells with an empty key sort last.
    pub(crate) fn sort_key(&self) -> Option<String> {
        match self {
            Self::Number { number, text } => {
                // In full precision, because the export has it as well.
                let key = number.to_string();
                (key != *text).then_some(key)
            }
            Self::Text(_) | Self::Run { .. } | Self::Trace(_) => None,
            Self::Empty => Some(String::new()),
        }
    }
}

pub(crate) const fn column(title: &'static str, about: &'static str, kind: Kind) -> Column {
    Column { title, about, kind }
}
