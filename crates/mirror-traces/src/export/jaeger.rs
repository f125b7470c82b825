//! The JSON of Jaeger's query service, which its user interface also loads from a file.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Exporter, attributes, element};
use crate::neurons::Neurons;
use crate::trace::{Span, Trace};

pub(super) struct Jaeger {
    is_first: bool,
}

impl Default for Jaeger {
    fn default() -> Self {
        Self { is_first: true }
    }
}

const START: &str = "{\"data\":[\n";

impl Exporter for Jaeger {
    fn trace(&mut self, trace: &Trace, neurons: &Neurons, out: &mut dyn Write) -> io::Result<()> {
        // A process of Jaeger is a node at one of its starts.
        let mut numbers: BTreeMap<(&str, u32), usize> = BTreeMap::new();
        let mut spans = Vec::with_capacity(trace.spans().len());
        for span in trace.spans() {
            let next = numbers.len() + 1;
            let process = (&*span.row.node, span.row.incarnation);
            let number = *numbers.entry(process).or_insert(next);
            spans.push(of_span(span, number, neurons));
        }
        let processes: serde_json::Map<String, Value> = numbers
            .into_iter()
            .map(|((node, incarnation), number)| {
                let tags = [tag("mirror.incarnation", &incarnation.into())];
                (format!("p{number}"), json!({ "serviceName": node, "tags": tags }))
            })
            .collect();
        let warnings: Vec<String> = trace.clock_offsets().iter().map(ToString::to_string).collect();
        let value = json!({
            "traceID": trace.id(),
            "spans": spans,
            "processes": processes,
            "warnings": if warnings.is_empty() { Value::Null } else { warnings.into() },
        });
        element(out, &mut self.is_first, START, &value)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let start = if self.is_first { START } else { "" };
        writeln!(
            out,
            "{start}\n],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}}"
        )
    }
}

fn of_span(span: &Span, process: usize, neurons: &Neurons) -> Value {
    let row = &span.row;
    let mut references = Vec::new();
    if let Some(parent) = &row.parent_id {
        references.push(json!({ "refType": "CHILD_OF", "traceID": row.trace_id, "spanID": parent }));
    }
    for (trace, span) in attributes::links(row) {
        references.push(json!({ "refType": "FOLLOWS_FROM", "traceID": trace, "spanID": span }));
    }
    let mut tags = vec![tag("span.kind", &Value::from(&*row.kind))];
    tags.extend(
        attributes::of_span(row, neurons)
            .iter()
            .map(|(name, value)| tag(name, value)),
    );
    if let Some(message) = &row.error {
        tags.push(tag("error", &true.into()));
        tags.push(tag("otel.status_code", &"ERROR".into()));
        tags.push(tag("otel.status_description", &Value::from(&**message)));
    }
    // Both ends are rounded down to microseconds, so that spans inside others stay there.
    let start = span.start_ns.max(0) / 1_000;
    json!({
        "traceID": row.trace_id,
        "spanID": row.span_id,
        "operationName": row.name,
        "references": references,
        "startTime": start,
        "duration": span.end_ns().max(0) / 1_000 - start,
        "tags": tags,
        "logs": [],
        "processID": format!("p{process}"),
        "warnings": Value::Null,
    })
}

fn tag(name: &str, value: &Value) -> Value {
    let (kind, value) = match value {
        Value::String(_) => ("string", value.clone()),
        Value::Bool(_) => ("bool", value.clone()),
        Value::Number(number) if number.is_f64() => ("float64", value.clone()),
        Value::Number(_) => ("int64", value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => ("string", value.to_string().into()),
    };
    json!({ "key": name, "type": kind, "value": value })
}
