//! The events as one table, as they were known before they were kept apart: each with its calls beside it.
//!
//! Columns `completion`, `message`, `uids`, `rewards`, `scores`, `all_uids`, `all_completions`, `block`, `is_question`,
//! `call_time`, `step` and `step_sub`, and whose event it is: `validator`, `purpose`. Nothing is kept twice for it.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::iter::Peekable;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::RunError;
use crate::files::Rows;
use crate::run::Run;
use crate::tables::{EventRow, ResponseRow, Row, SUCCESS};

/// One forward with its calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// the best completion by reward; none when no call succeeded
    pub completion: Option<String>,
    /// what was asked
    pub message: String,
    /// the axons that answered well, in the order in which they were chosen
    pub uids: Vec<u32>,
    /// beside `uids`
    pub rewards: Vec<Option<f32>>,
    /// the gating model's, by uid
    pub scores: Vec<f32>,
    /// all that were asked, in the order in which they were chosen
    pub all_uids: Vec<u32>,
    /// beside `all_uids`
    pub all_completions: Vec<String>,
    /// block at which the forward was made
    pub block: u64,
    /// whether the network was asked for a question
    pub is_question: bool,
    /// seconds
    pub call_time: f64,
    /// step of the query, from 0
    pub step: u64,
    /// train: 0 the question, 1 the answer; forward: position in the chunk
    pub step_sub: u32,
    /// the validator's node name
    pub validator: String,
    /// `query` or `manual`
    pub purpose: String,
}

/// A column of the view.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// its name, as `ignore_attr` names it
    pub name: &'static str,
    cell: fn(&Event) -> Cell<'_>,
}

/// Every column, in the order in which they are written.
pub const COLUMNS: [Column; 14] = [
    Column {
        name: "completion",
        cell: |event| Cell::Completion(event.completion.as_deref()),
    },
    Column {
        name: "message",
        cell: |event| Cell::Text(&event.message),
    },
    Column {
        name: "uids",
        cell: |event| Cell::Uids(&event.uids),
    },
    Column {
        name: "rewards",
        cell: |event| Cell::Rewards(&event.rewards),
    },
    Column {
        name: "scores",
        cell: |event| Cell::Scores(&event.scores),
    },
    Column {
        name: "all_uids",
        cell: |event| Cell::Uids(&event.all_uids),
    },
    Column {
        name: "all_completions",
        cell: |event| Cell::Completions(&event.all_completions),
    },
    Column {
        name: "block",
        cell: |event| Cell::Count(event.block),
    },
    Column {
        name: "is_question",
        cell: |event| Cell::Flag(event.is_question),
    },
    Column {
        name: "call_time",
        cell: |event| Cell::Seconds(event.call_time),
    },
    Column {
        name: "step",
        cell: |event| Cell::Count(event.step),
    },
    Column {
        name: "step_sub",
        cell: |event| Cell::Count(event.step_sub.into()),
    },
    Column {
        name: "validator",
        cell: |event| Cell::Text(&event.validator),
    },
    Column {
        name: "purpose",
        cell: |event| Cell::Text(&event.purpose),
    },
];

/// The columns left when those in `ignore_attr` are hidden.
pub fn columns(ignore_attr: &[String]) -> Vec<Column> {
    let mut columns = COLUMNS.to_vec();
    columns.retain(|column| !ignore_attr.iter().any(|ignored| ignored == column.name));
    columns
}

/// The run's events, in the order step, validator, purpose, half.
pub fn events(run: &Run) -> Result<Events, RunError> {
    Ok(Events {
        events: run.rows()?,
        responses: run.rows()?.peekable(),
    })
}

/// An iterator over a run's events.
pub struct Events {
    events: Rows<EventRow>,
    responses: Peekable<Rows<ResponseRow>>,
}

impl Events {
    /// The calls of `event`, which both tables have in the same place.
    fn calls(&mut self, event: &EventRow) -> Result<Vec<ResponseRow>, RunError> {
        let mut calls = Vec::new();
        while let Some(next) = self.responses.peek() {
            let order = next
                .as_ref()
                .map_or(Ordering::Equal, |call| forward_order(call, event));
            match order {
                Ordering::Equal => calls.extend(self.responses.next().transpose()?),
                Ordering::Greater => break,
                Ordering::Less => {
                    let call = next.as_ref().map_or_else(|_| String::new(), Row::identity);
                    return Err(RunError::Orphan { call });
                }
            }
        }
        Ok(calls)
    }
}

/// Where the forward of `call` stands among the events.
fn forward_order(call: &ResponseRow, event: &EventRow) -> Ordering {
    (call.step.cmp(&event.step))
        .then_with(|| call.validator.cmp(&event.validator))
        .then_with(|| call.purpose.cmp(&event.purpose))
        .then_with(|| call.forward_index.cmp(&event.forward_index))
}

impl Iterator for Events {
    type Item = Result<Event, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let joined = self.events.next()?.and_then(|event| {
            let calls = self.calls(&event)?;
            Ok(Event::join(event, calls))
        });
        Some(joined)
    }
}

impl Event {
    fn join(event: EventRow, calls: Vec<ResponseRow>) -> Self {
        let succeeded = || calls.iter().filter(|call| call.outcome == SUCCESS);
        let best = succeeded().find(|call| Some(call.uid) == event.best_uid);
        Self {
            completion: best.map(|call| call.completion.clone()),
            message: event.message,
            uids: succeeded().map(|call| call.uid).collect(),
            rewards: succeeded().map(|call| call.reward).collect(),
            scores: event.scores,
            all_uids: calls.iter().map(|call| call.uid).collect(),
            all_completions: calls.into_iter().map(|call| call.completion).collect(),
            block: event.block,
            is_question: event.is_question,
            call_time: event.call_time,
            step: event.step,
            step_sub: event.forward_index,
            validator: event.validator,
            purpose: event.purpose,
        }
    }
}

/// Writes the view as CSV with a header; lists stand in their cells as JSON.
pub fn write_csv(run: &Run, columns: &[Column], out: impl Write) -> Result<(), RunError> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(columns.iter().map(|column| column.name))
        .map_err(csv_error)?;
    for event in events(run)? {
        let event = event?;
        let mut cells = Vec::with_capacity(columns.len());
        for column in columns {
            cells.push((column.cell)(&event).to_csv()?);
        }
        csv.write_record(&cells).map_err(csv_error)?;
    }
    csv.flush().map_err(RunError::Export)
}

fn csv_error(error: csv::Error) -> RunError {
    RunError::Export(error.into())
}

/// Writes the view as a JSON object a line. JSON has no number for what is not finite; that becomes `null`.
pub fn write_json_lines(run: &Run, columns: &[Column], mut out: impl Write) -> Result<(), RunError> {
    for event in events(run)? {
        let line = Line {
            event: &event?,
            columns,
        };
        serde_json::to_writer(&mut out, &line).map_err(|error| RunError::Export(error.into()))?;
        out.write_all(b"\n").map_err(RunError::Export)?;
    }
    out.flush().map_err(RunError::Export)
}

struct Line<'a> {
    event: &'a Event,
    columns: &'a [Column],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for column in self.columns {
            map.serialize_entry(column.name, &(column.cell)(self.event))?;
        }
        map.end()
    }
}

/// What stands in one column of one event.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Cell<'a> {
    Text(&'a str),
    Completion(Option<&'a str>),
    Completions(&'a [String]),
    Uids(&'a [u32]),
    Scores(&'a [f32]),
    Rewards(&'a [Option<f32>]),
    Count(u64),
    Seconds(f64),
    Flag(bool),
}

impl Cell<'_> {
    fn to_csv(&self) -> Result<String, RunError> {
        match self {
            Cell::Text(text) => Ok((*text).to_owned()),
            Cell::Completion(completion) => Ok(completion.unwrap_or_default().to_owned()),
            other => serde_json::to_string(other).map_err(|error| RunError::Export(io::Error::from(error))),
        }
    }
}
