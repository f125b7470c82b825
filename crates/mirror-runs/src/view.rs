//! Shows the events as one table in upstream's columns, in which each event contains its calls.
//!
//! The columns are `completion`, `message`, `uids`, `rewards`, `scores`, `all_uids`, `all_completions`, `block`,
//! `is_question`, `call_time`, `step` and `step_sub`, followed by `validator` and `purpose`, which identify the source
//! of the event. The table is computed from the recorded tables and is not stored.

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
    /// The completion with the highest reward. `None` if no call succeeded.
    pub completion: Option<String>,
    /// The message that was sent.
    pub message: String,
    /// Uids of the successful calls, in the order in which they were chosen.
    pub uids: Vec<u32>,
    /// Reward of each uid in `uids`.
    pub rewards: Vec<Option<f32>>,
    /// Scores of the gating model, by uid.
    pub scores: Vec<f32>,
    /// Uids of all calls, in the order in which they were chosen.
    pub all_uids: Vec<u32>,
    /// Completion of each uid in `all_uids`.
    pub all_completions: Vec<String>,
    /// Block at which the forward was made.
    pub block: u64,
    /// Whether the network was asked for a question.
    pub is_question: bool,
    /// Duration of the forward in seconds.
    pub call_time: f64,
    /// Step of the query, from 0.
    pub step: u64,
    /// In `train`: 0 for the question, 1 for the answer. In `forward`: the position in the chunk.
    pub step_sub: u32,
    /// Name of the validator's node.
    pub validator: String,
    /// `query` or `manual`.
    pub purpose: String,
}

/// A column of the view.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name of the column, as used in `ignore_attr`.
    pub name: &'static str,
    cell: fn(&Event) -> Cell<'_>,
}

/// All columns, in the order in which they are written.
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

/// Returns the columns that are not in `ignore_attr`.
pub fn columns(ignore_attr: &[String]) -> Vec<Column> {
    let mut columns = COLUMNS.to_vec();
    columns.retain(|column| !ignore_attr.iter().any(|ignored| ignored == column.name));
    columns
}

/// Returns the run's events, sorted by step, validator, purpose and forward index.
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
    /// Returns the calls of `event`. Both tables have the same order.
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

/// Compares the forward of `call` with `event` in the order of the events.
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

/// Writes the view as CSV with a header. Lists are written as JSON in their cells.
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
    let message = error.to_string();
    RunError::Export(match error.into_kind() {
        // The kind of the error must be kept: a pipe that the reader closed is not a failure.
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other(message),
    })
}

/// Writes the view as one JSON object per line. Numbers that are not finite become `null`, because JSON does not
/// support them.
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

/// The value of one column of one event.
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
