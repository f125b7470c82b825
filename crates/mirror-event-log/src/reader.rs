//! All events of a file.
//!
//! The format is that of the first line that is a JSON object or the header of a CSV file. Lines before it are left
//! out.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use csv::StringRecord;
use mirror_proto::mirror::v1::ForwardEvent;

use crate::event::{self, Logged};
use crate::finding::{Findings, Reason};
use crate::lines::{Line, Lines};
use crate::literal::{Syntax, Unreadable, Value, parse};
use crate::rows::{self, Row, Rows};
use crate::steps::Steps;

/// Columns with text. All other columns contain values.
const TEXTS: [&str; 5] = ["completion", "message", "prompt", "validator", "purpose"];

/// Columns with values.
const VALUES: [&str; 12] = [
    "uids",
    "rewards",
    "scores",
    "all_uids",
    "all_completions",
    "block",
    "is_question",
    "call_time",
    "step",
    "step_sub",
    "gating_loss",
    "loss",
];

/// Reads files of events one after another.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) findings: Findings,
    steps: Steps,
}

/// The end of a read: a file that cannot be read, or an error of the receiver of the events.
#[derive(Debug)]
pub(crate) enum Stopped<E> {
    Unread(io::Error),
    Refused(E),
}

impl<E> From<io::Error> for Stopped<E> {
    fn from(error: io::Error) -> Self {
        Self::Unread(error)
    }
}

impl Reader {
    /// Passes all events of a file to `receive`. Places in the findings name the file `name`.
    pub(crate) fn read<E>(
        &mut self,
        path: &Path,
        name: &str,
        receive: &mut impl FnMut(ForwardEvent) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let mut lines = Lines::open(path)?;
        let mut buffer = Vec::new();
        let mut is_json = false;
        loop {
            let line = lines.next(&mut buffer)?;
            let number = lines.number();
            let left_out = match line {
                Line::End => return Ok(()),
                Line::Damaged => {
                    self.findings.add(Reason::Damaged, name, number);
                    return Ok(());
                }
                Line::TooLong => Some(Reason::TooLong),
                Line::Ended | Line::Unended if buffer.trim_ascii().is_empty() => None,
                Line::Ended | Line::Unended => match std::str::from_utf8(&buffer) {
                    Err(_) => Some(Reason::NotUtf8),
                    Ok(text) if is_json || text.trim_start().starts_with('{') => {
                        is_json = true;
                        let read = parse_line(text, line == Line::Unended);
                        self.receive(read, name, number, receive)?;
                        None
                    }
                    Ok(_) => match rows::parse(&buffer).filter(is_header) {
                        Some(header) => return self.read_rows(lines, &header, name, receive),
                        None => Some(Reason::NeitherFormat),
                    },
                },
            };
            if let Some(reason) = left_out {
                self.findings.add(reason, name, number);
            }
        }
    }

    fn read_rows<E>(
        &mut self,
        lines: Lines,
        header: &StringRecord,
        name: &str,
        receive: &mut impl FnMut(ForwardEvent) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let mut rows = Rows::new(lines, header.len());
        loop {
            let (number, row) = rows.next()?;
            let reason = match row {
                Row::End => return Ok(()),
                Row::Damaged => {
                    self.findings.add(Reason::Damaged, name, number);
                    return Ok(());
                }
                Row::Cells(cells) => {
                    let read = fields(header, &cells).and_then(|fields| event::read(&fields, None));
                    self.receive(read, name, number, receive)?;
                    continue;
                }
                Row::Mismatched => Reason::OtherCells,
                Row::Unended => Reason::Unended,
                Row::TooLong => Reason::TooLong,
            };
            self.findings.add(reason, name, number);
        }
    }

    /// Passes an event on, or counts why there is none.
    fn receive<E>(
        &mut self,
        read: Result<Logged, Reason>,
        name: &str,
        number: u64,
        receive: &mut impl FnMut(ForwardEvent) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let numbered = read.and_then(|mut logged| {
            let remarks = std::mem::take(&mut logged.remarks);
            self.steps.number(logged).map(|numbered| (numbered, remarks))
        });
        match numbered {
            Ok(((event, begins_again), remarks)) => {
                for remark in remarks {
                    self.findings.add(remark, name, number);
                }
                if begins_again {
                    self.findings.add(Reason::StepsBeginAgain, name, number);
                }
                receive(event).map_err(Stopped::Refused)
            }
            Err(reason) => {
                self.findings.add(reason, name, number);
                Ok(())
            }
        }
    }
}

/// Reads a line of JSON: a record of loguru, or the fields of an event.
fn parse_line(text: &str, is_unended: bool) -> Result<Logged, Reason> {
    let line = match parse(text, Syntax::Json) {
        Ok(line @ Value::Map(_)) => line,
        Err(Unreadable::TooLarge) => return Err(Reason::TooLarge),
        _ if is_unended => return Err(Reason::Unended),
        _ => return Err(Reason::NotJson),
    };
    let Some(record) = line.get("record") else {
        return event::read(&line, None);
    };
    let time = record.get("time").and_then(|time| time.get("timestamp"));
    let logged_at = match time {
        Some(Value::Number(text)) => text.parse().ok(),
        _ => None,
    };
    event::read(record.get("extra").ok_or(Reason::NoEvent)?, logged_at)
}

/// Returns whether a row is the header of a CSV file of events.
fn is_header(row: &StringRecord) -> bool {
    let has = |name| row.iter().any(|cell| cell == name);
    (has("uids") || has("all_uids")) && (has("prompt") || has("message"))
}

/// Returns the cells of a row as the fields of an event. Columns of other names are skipped.
fn fields<'a>(header: &'a StringRecord, cells: &'a StringRecord) -> Result<Value<'a>, Reason> {
    let mut fields = Vec::new();
    for (name, cell) in header.iter().zip(cells) {
        if TEXTS.contains(&name) {
            // An empty cell is a missing text, but a message may be empty.
            if cell.is_empty() && name != "message" {
                continue;
            }
            fields.push((Cow::Borrowed(name), Value::Text(Cow::Borrowed(cell))));
        } else if let Some(known) = VALUES.into_iter().find(|known| *known == name) {
            fields.push((Cow::Borrowed(name), value(cell).ok_or(Reason::Field(known))?));
        }
    }
    Ok(Value::Map(fields))
}

/// Reads a cell in the syntax of JSON, in which the cells of this project are written, or of Python.
fn value(cell: &str) -> Option<Value<'_>> {
    if cell.trim().is_empty() {
        return Some(Value::Null);
    }
    let python = || parse(cell, Syntax::Python);
    parse(cell, Syntax::Json).or_else(|_| python()).ok()
}
