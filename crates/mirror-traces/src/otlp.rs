//! The messages of OTLP, in which spans are sent to other collectors while a run lasts. Times are those of the nodes'
//! clocks, because the clocks can only be corrected when a trace is complete.

use std::collections::BTreeMap;

use mirror_runs::tables::SpanRow;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::export::attributes;
use crate::neurons::Neurons;
use crate::trace::{CLIENT, SERVER};

/// Returns the message with these spans, grouped by process.
pub fn request<'a>(
    rows: impl IntoIterator<Item = &'a SpanRow>,
    neurons: &Neurons,
) -> ExportTraceServiceRequest {
    let mut by_process: BTreeMap<(&str, u32), Vec<Span>> = BTreeMap::new();
    for row in rows {
        let process = (&*row.node, row.incarnation);
        by_process.entry(process).or_default().push(span(row, neurons));
    }
    let resource_spans = by_process
        .into_iter()
        .map(|((node, incarnation), spans)| ResourceSpans {
            resource: Some(resource(node, incarnation)),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: attributes::SCOPE.to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

/// Returns the resource of a process, by OpenTelemetry's conventions.
pub fn resource(node: &str, incarnation: u32) -> Resource {
    let attributes = attributes::of_process(node, incarnation);
    Resource {
        attributes: attributes.into_iter().map(attribute).collect(),
        ..Resource::default()
    }
}

fn span(row: &SpanRow, neurons: &Neurons) -> Span {
    let attributes = attributes::of_span(row, neurons).into_iter().map(attribute);
    let links = attributes::links(row).map(|(trace, span)| Link {
        trace_id: id(trace),
        span_id: id(span),
        ..Link::default()
    });
    Span {
        trace_id: id(&row.trace_id),
        span_id: id(&row.span_id),
        parent_span_id: row.parent_id.as_deref().map(id).unwrap_or_default(),
        name: row.name.clone(),
        kind: match &*row.kind {
            SERVER => SpanKind::Server,
            CLIENT => SpanKind::Client,
            _ => SpanKind::Internal,
        }
        .into(),
        start_time_unix_nano: row.started_ns,
        end_time_unix_nano: row.ended_ns(),
        attributes: attributes.collect(),
        dropped_attributes_count: row.dropped_attributes,
        links: links.collect(),
        status: row.error.as_ref().map(|message| Status {
            message: message.clone(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

/// Returns the bytes of an id. Ids in the table are always valid.
fn id(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap_or_default()
}

fn attribute((key, value): (String, serde_json::Value)) -> KeyValue {
    let value = match value {
        serde_json::Value::String(text) => Value::StringValue(text),
        serde_json::Value::Bool(value) => Value::BoolValue(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::IntValue(number),
            None => Value::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Value::StringValue(other.to_string()),
    };
    KeyValue {
        key,
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
