//! The file format of OTLP in JSON: one `TracesData` per line.
//!
//! The format is described in the OpenTelemetry protocol ("JSON Protobuf Encoding") and in its file exporter: ids are
//! in hexadecimal digits, 64-bit integers are strings, and enumerations are numbers.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Exporter, attributes};
use crate::neurons::Neurons;
use crate::trace::{CLIENT, SERVER, Span, Trace};

pub(super) struct OtlpJson;

impl Exporter for OtlpJson {
    fn trace(&mut self, trace: &Trace, neurons: &Neurons, out: &mut dyn Write) -> io::Result<()> {
        let mut by_process: BTreeMap<(&str, u32), Vec<Value>> = BTreeMap::new();
        for span in trace.spans() {
            let process = (&*span.row.node, span.row.incarnation);
            by_process
                .entry(process)
                .or_default()
                .push(of_span(span, neurons));
        }
        let resources: Vec<Value> = by_process
            .into_iter()
            .map(|((node, incarnation), spans)| {
                let process = attributes::of_process(node, incarnation);
                let process: Vec<Value> = process
                    .iter()
                    .map(|(name, value)| attribute(name, value))
                    .collect();
                json!({
                    "resource": { "attributes": process },
                    "scopeSpans": [{ "scope": { "name": attributes::SCOPE }, "spans": spans }],
                })
            })
            .collect();
        serde_json::to_writer(&mut *out, &json!({ "resourceSpans": resources }))?;
        out.write_all(b"\n")
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn of_span(span: &Span, neurons: &Neurons) -> Value {
    let row = &span.row;
    let attributes: Vec<Value> = attributes::of_span(row, neurons)
        .iter()
        .map(|(name, value)| attribute(name, value))
        .collect();
    let links: Vec<Value> = attributes::links(row)
        .map(|(trace, span)| json!({ "traceId": trace, "spanId": span }))
        .collect();
    let status = match &row.error {
        Some(message) => json!({ "code": 2, "message": message }),
        None => json!({}),
    };
    json!({
        "traceId": row.trace_id,
        "spanId": row.span_id,
        "parentSpanId": row.parent_id.as_deref().unwrap_or_default(),
        "name": row.name,
        "kind": match &*row.kind {
            SERVER => 2,
            CLIENT => 3,
            _ => 1,
        },
        // A time before 1970 exists only in a damaged file.
        "startTimeUnixNano": span.start_ns.max(0).to_string(),
        "endTimeUnixNano": span.end_ns().max(0).to_string(),
        "attributes": attributes,
        "droppedAttributesCount": row.dropped_attributes,
        "links": links,
        "status": status,
    })
}

fn attribute(name: &str, value: &Value) -> Value {
    let value = match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!({ "intValue": number.to_string() }),
            None => json!({ "doubleValue": number }),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => json!({ "stringValue": value.to_string() }),
    };
    json!({ "key": name, "value": value })
}
