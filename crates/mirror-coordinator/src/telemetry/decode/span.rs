//! Decodes one span to its row and those of its stages.

use mirror_runs::tables::SpanRow;
use mirror_telemetry::spans::{self, MAX_STAGES, STAGE_DURATION};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::attributes::{Value, attribute, object};
use super::fields::{Field, Fields, Invalid, text};
use super::{MAX_ATTRIBUTES, cut};

/// Maximum number of links of a span that are kept.
const MAX_LINKS: usize = 128;

/// Decodes the spans of a node. The lists are kept from span to span, so that they are allocated once.
pub(super) struct Spans<'a> {
    /// Name of the node, according to its certificate.
    pub(super) node: &'a str,
    /// Number of earlier starts of the node.
    pub(super) incarnation: u32,
    /// The stages of the current span in their encoding.
    stages: Vec<&'a [u8]>,
    /// The attributes of the current span that have no column.
    others: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Spans<'a> {
    pub(super) fn of(node: &'a str) -> Self {
        Self {
            node,
            incarnation: 0,
            stages: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Adds the rows of the message `Span` to `rows`: its own one and those of its stages.
    ///
    /// # Errors
    ///
    /// Returns an error, and adds no row, if the message, its ids or its times are invalid.
    pub(super) fn add(&mut self, message: &'a [u8], rows: &mut Vec<SpanRow>) -> Result<(), Invalid> {
        self.stages.clear();
        self.others.clear();
        let row = self.row(message)?;
        let first = rows.len();
        rows.push(row);
        for stage in &self.stages {
            match self.stage(stage, &rows[first]) {
                Ok(stage) => rows.extend(stage),
                Err(invalid) => {
                    rows.truncate(first);
                    return Err(invalid);
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, message: &'a [u8]) -> Result<SpanRow, Invalid> {
        let mut row = SpanRow {
            kind: "internal".to_owned(),
            node: self.node.to_owned(),
            incarnation: self.incarnation,
            ..SpanRow::default()
        };
        let mut end = 0_u64;
        let mut attributes = 0;
        let mut links = Vec::new();
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(bytes)) => row.trace_id = id::<16>(bytes)?,
                (2, Field::Bytes(bytes)) => row.span_id = id::<8>(bytes)?,
                (4, Field::Bytes([])) => row.parent_id = None,
                (4, Field::Bytes(bytes)) => row.parent_id = Some(id::<8>(bytes)?),
                (5, Field::Bytes(bytes)) => cut(text(bytes)?).clone_into(&mut row.name),
                (6, Field::Varint(number)) => kind(number).clone_into(&mut row.kind),
                (7, Field::Fixed64(time)) => row.started_ns = time,
                (8, Field::Fixed64(time)) => end = time,
                (9, Field::Bytes(message)) => {
                    if attributes < MAX_ATTRIBUTES {
                        let (key, value) = attribute(message)?;
                        self.put(key, value, &mut row);
                    } else {
                        row.dropped_attributes = row.dropped_attributes.saturating_add(1);
                    }
                    attributes += 1;
                }
                (10, Field::Varint(number)) => {
                    let dropped = u32::try_from(number).unwrap_or(u32::MAX);
                    row.dropped_attributes = row.dropped_attributes.saturating_add(dropped);
                }
                (11, Field::Bytes(message)) if self.stages.len() < MAX_STAGES => self.stages.push(message),
                (13, Field::Bytes(message)) if links.len() < MAX_LINKS => links.extend(link(message)?),
                // Those beyond the limits.
                (11 | 13, Field::Bytes(_)) => {}
                (15, Field::Bytes(message)) => row.error = error(message)?,
                (1 | 2 | 4..=11 | 13 | 15, _) => return Err(Invalid),
                _ => {}
            }
        }
        if row.trace_id.is_empty() || row.span_id.is_empty() {
            return Err(Invalid);
        }
        row.duration_ns = end.checked_sub(row.started_ns).ok_or(Invalid)?;
        row.links = (!links.is_empty()).then(|| links.join(","));
        row.attributes = object(&mut self.others);
        Ok(row)
    }

    /// Writes an attribute to its column, or to the others if it has none.
    fn put(&mut self, key: &'a str, value: Value<'a>, row: &mut SpanRow) {
        match key {
            "mirror.step" if let Some(step) = value.number() => row.step = Some(step),
            "mirror.block" if let Some(block) = value.number() => row.block = Some(block),
            "mirror.forward_index" if let Some(index) = value.number() => row.forward_index = Some(index),
            "mirror.uid" if let Some(uid) = value.number() => row.uid = Some(uid),
            "mirror.code" => row.code = value.to_text(),
            "mirror.rules" => row.rules = value.to_text(),
            _ => self.others.push((key, value)),
        }
    }

    /// Returns the row of a stage of a span, which is the span in `parent`. `None` for other events.
    fn stage(&self, message: &[u8], parent: &SpanRow) -> Result<Option<SpanRow>, Invalid> {
        let mut row = SpanRow {
            kind: "internal".to_owned(),
            node: self.node.to_owned(),
            incarnation: self.incarnation,
            ..SpanRow::default()
        };
        let mut duration = None;
        for field in Fields::of(message) {
            match field? {
                (1, Field::Fixed64(time)) => row.started_ns = time,
                (2, Field::Bytes(bytes)) => cut(text(bytes)?).clone_into(&mut row.name),
                (3, Field::Bytes(message)) => {
                    if let (STAGE_DURATION, value) = attribute(message)? {
                        duration = value.number();
                    }
                }
                (1..=3, _) => return Err(Invalid),
                _ => {}
            }
        }
        let Some(duration) = duration else {
            return Ok(None);
        };
        let trace = u128::from_str_radix(&parent.trace_id, 16).map_err(|_| Invalid)?;
        let span = u64::from_str_radix(&parent.span_id, 16).map_err(|_| Invalid)?;
        row.duration_ns = duration;
        row.span_id = id::<8>(&spans::derived(trace, span, &row.name, 0).to_be_bytes())?;
        row.trace_id.clone_from(&parent.trace_id);
        row.parent_id = Some(parent.span_id.clone());
        Ok(Some(row))
    }
}

/// Returns the name of a number of `SpanKind`.
fn kind(number: u64) -> &'static str {
    const CLIENT: u64 = SpanKind::Client as u64;
    const SERVER: u64 = SpanKind::Server as u64;
    match number {
        CLIENT => "client",
        SERVER => "server",
        _ => "internal",
    }
}

/// Returns the description of the error in the message `Status`. `None` if it states none.
fn error(message: &[u8]) -> Result<Option<String>, Invalid> {
    const ERROR: u64 = StatusCode::Error as u64;
    let mut description = "";
    let mut is_error = false;
    for field in Fields::of(message) {
        match field? {
            (2, Field::Bytes(bytes)) => description = text(bytes)?,
            (3, Field::Varint(code)) => is_error = code == ERROR,
            (2 | 3, _) => return Err(Invalid),
            _ => {}
        }
    }
    Ok(is_error.then(|| cut(description).to_owned()))
}

/// Returns the message `Link` as `<trace>-<span>`. `None` if its ids are invalid.
fn link(message: &[u8]) -> Result<Option<String>, Invalid> {
    let (mut trace, mut span): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(bytes)) => trace = bytes,
            (2, Field::Bytes(bytes)) => span = bytes,
            (1 | 2, _) => return Err(Invalid),
            _ => {}
        }
    }
    let ids = id::<16>(trace).and_then(|trace| Ok((trace, id::<8>(span)?)));
    Ok(ids.ok().map(|(trace, span)| format!("{trace}-{span}")))
}

/// Returns an id of `LENGTH` bytes in hexadecimal digits.
///
/// # Errors
///
/// Returns an error if it has another length or only zeros.
fn id<const LENGTH: usize>(bytes: &[u8]) -> Result<String, Invalid> {
    let bytes: &[u8; LENGTH] = bytes.try_into().map_err(|_| Invalid)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(Invalid);
    }
    Ok(hex::encode(bytes))
}
