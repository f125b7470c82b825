//! The JSON that Jaeger's query service returns and that its user interface loads from a file: traces with their spans,
//! and with the processes to which the spans refer. Times are in microseconds.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::attributes::{attributes, links};
use super::{Export, Format, Items};
use crate::trace::{Span, Trace};

pub(super) const FORMAT: Format = Format {
    name: "jaeger",
    about: "JSON that Jaeger's user interface loads",
    new: || Box::new(Jaeger::default()),
};

#[derive(Default)]
struct Jaeger {
    items: Items,
}

impl Export for Jaeger {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{\"data\":[\n")
    }

    fn trace(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
        let mut processes: BTreeMap<(&str, u32), String> = BTreeMap::new();
        let mut spans = Vec::new();
        for span in trace.spans() {
            let number = processes.len() + 1;
            let process = processes.entry((&span.row.node, span.row.incarnation));
            spans.push(span_of(span, process.or_insert_with(|| format!("p{number}"))));
        }
        let processes: Map<String, Value> = processes
            .into_iter()
            .map(|((node, incarnation), id)| {
                let tags = [tag("mirror.incarnation", &incarnation.into())];
                (id, json!({ "serviceName": node, "tags": tags }))
            })
            .collect();
        let warnings: Vec<String> = trace.clocks().iter().map(ToString::to_string).collect();
        let value = json!({
            "traceID": trace.id(),
            "spans": spans,
            "processes": processes,
            "warnings": warnings,
        });
        self.items.write(&value, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n]}\n")
    }
}

fn span_of(span: &Span, process: &str) -> Value {
    let row = &span.row;
    let reference =
        |kind: &str, trace: &str, span: &str| json!({ "refType": kind, "traceID": trace, "spanID": span });
    let parent = row.parent_id.iter();
    let mut references: Vec<Value> = parent
        .map(|parent| reference("CHILD_OF", &row.trace_id, parent))
        .collect();
    references.extend(links(span).map(|(trace, span)| reference("FOLLOWS_FROM", trace, span)));
    let attributes = attributes(span);
    let mut tags: Vec<Value> = attributes.iter().map(|(key, value)| tag(key, value)).collect();
    tags.push(tag("span.kind", &row.kind.as_str().into()));
    if let Some(error) = &row.error {
        tags.push(tag("error", &true.into()));
        tags.push(tag("otel.status_description", &error.as_str().into()));
    }
    json!({
        "traceID": row.trace_id,
        "spanID": row.span_id,
        "operationName": row.name,
        "references": references,
        "startTime": span.start.max(0) / 1000,
        "duration": span.duration / 1000,
        "tags": tags,
        "logs": [],
        "processID": process,
        "warnings": null,
    })
}

fn tag(key: &str, value: &Value) -> Value {
    let (kind, value): (&str, Value) = match value {
        Value::String(text) => ("string", text.as_str().into()),
        Value::Bool(flag) => ("bool", (*flag).into()),
        Value::Number(number) if number.is_f64() => ("float64", number.clone().into()),
        Value::Number(number) => ("int64", number.clone().into()),
        other => ("string", other.to_string().into()),
    };
    json!({ "key": key, "type": kind, "value": value })
}
