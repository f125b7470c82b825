//! The OTLP file format: one `TracesData` message as JSON per line
//! (<https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>). Ids are hexadecimal digits, integers of 64
//! bits are strings, and enumerations are numbers.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::attributes::{attributes, links};
use super::{Export, Format};
use crate::trace::{Span, Trace};

/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u32 = 2;

pub(super) const FORMAT: Format = Format {
    name: "otlp-json",
    about: "the OTLP file format, one trace per line",
    new: || Box::new(OtlpJson),
};

struct OtlpJson;

impl Export for OtlpJson {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn trace(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
        let mut by_process: BTreeMap<(&str, u32), Vec<Value>> = BTreeMap::new();
        for span in trace.spans() {
            let process = (span.row.node.as_str(), span.row.incarnation);
            by_process.entry(process).or_default().push(span_of(span));
        }
        let resource_spans: Vec<Value> = by_process
            .into_iter()
            .map(|((node, incarnation), spans)| {
                let resource = Map::from_iter([
                    ("service.name".to_owned(), Value::from(node)),
                    (
                        "service.instance.id".to_owned(),
                        format!("{node}/{incarnation}").into(),
                    ),
                ]);
                json!({
                    "resource": { "attributes": key_values(&resource) },
                    "scopeSpans": [{ "scope": { "name": "mirror" }, "spans": spans }],
                })
            })
            .collect();
        serde_json::to_writer(&mut *out, &json!({ "resourceSpans": resource_spans }))?;
        out.write_all(b"\n")
    }

    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn span_of(span: &Span) -> Value {
    let row = &span.row;
    let kind = match row.kind.as_str() {
        "server" => 2,
        "client" => 3,
        _ => 1,
    };
    let mut value = json!({
        "traceId": row.trace_id,
        "spanId": row.span_id,
        "name": row.name,
        "kind": kind,
        "startTimeUnixNano": span.start.max(0).to_string(),
        "endTimeUnixNano": span.end().max(0).to_string(),
        "attributes": key_values(&attributes(span)),
        "droppedAttributesCount": row.dropped_attributes,
    });
    if let Some(parent) = &row.parent_id {
        value["parentSpanId"] = parent.as_str().into();
    }
    if let Some(error) = &row.error {
        value["status"] = json!({ "code": STATUS_ERROR, "message": error });
    }
    let links: Vec<Value> = links(span)
        .map(|(trace, span)| json!({ "traceId": trace, "spanId": span }))
        .collect();
    if !links.is_empty() {
        value["links"] = links.into();
    }
    value
}

/// Returns attributes as a list of `KeyValue`.
fn key_values(attributes: &Map<String, Value>) -> Value {
    let pairs = attributes.iter();
    let pairs = pairs.map(|(key, value)| json!({ "key": key, "value": any_value(value) }));
    Value::Array(pairs.collect())
}

/// Returns an `AnyValue`. Objects, and lists within lists, become their JSON text.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let values: Vec<Value> = items.iter().map(scalar).collect();
            json!({ "arrayValue": { "values": values } })
        }
        other => scalar(other),
    }
}

fn scalar(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => json!({ "intValue": integer.to_string() }),
            None => json!({ "doubleValue": number.as_f64() }),
        },
        other => json!({ "stringValue": other.to_string() }),
    }
}
