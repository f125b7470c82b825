//! Decodes the messages of nodes to rows, in parts. Only the spans of a message are separated at first, and each is
//! decoded only if its size is within [`MAX_SPAN`]. The memory for a span is therefore bounded before it is allocated.

use std::collections::HashMap;

use bytes::Bytes;
use mirror_runs::tables::{MetricRow, SpanRow};
use mirror_telemetry::spans::{self, MAX_STAGES, STAGE_DURATION};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

/// Maximum size of an encoded span in bytes.
const MAX_SPAN: usize = 64 << 10;

/// Maximum size of an encoded resource in bytes.
const MAX_RESOURCE: usize = 16 << 10;

/// Maximum size of an encoded metric in bytes: one with a series for each uid is larger than a span.
const MAX_METRIC: usize = 512 << 10;

/// Maximum number of attributes of a span that are kept.
const MAX_ATTRIBUTES: usize = 128;

/// Maximum length of a text in bytes. Longer ones are cut.
const MAX_TEXT: usize = 4_096;

/// Maximum number of links of a span that are kept.
const MAX_LINKS: usize = 128;

/// `ExportTraceServiceRequest` whose spans are not decoded.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<OfResource>,
}

/// `ResourceSpans` whose resource and spans are not decoded.
#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(bytes = "bytes", optional, tag = "1")]
    resource: Option<Bytes>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<OfScope>,
}

/// `ScopeSpans` whose spans are not decoded.
#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

/// The properties of a node that its resource states.
struct Resources {
    /// Number of earlier starts of the node.
    incarnation: u32,
    /// Number of spans that the node has dropped since it started.
    dropped_spans: u64,
}

impl Resources {
    fn of(encoded: Option<Bytes>) -> Self {
        let encoded = encoded.filter(|encoded| encoded.len() <= MAX_RESOURCE);
        let resource = encoded.and_then(|encoded| Resource::decode(encoded).ok());
        let attributes = resource.map(|resource| resource.attributes).unwrap_or_default();
        let number = |key: &str| {
            let found = attributes.iter().find(|attribute| attribute.key == key)?;
            u64::try_from(integer(found)?).ok()
        };
        Self {
            incarnation: u32::try_from(number("mirror.incarnation").unwrap_or_default()).unwrap_or(u32::MAX),
            dropped_spans: number("mirror.dropped_spans").unwrap_or_default(),
        }
    }
}

/// The spans of a message.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) rows: Vec<SpanRow>,
    /// Number of spans that were refused: too large, or invalid.
    pub(super) refused: u64,
    /// Number of spans that the node has dropped since it started.
    pub(super) dropped_by_node: u64,
    /// Number of earlier starts of the node.
    pub(super) incarnation: u32,
}

/// Returns the number of spans in a message. An invalid message counts as one.
pub(super) fn count_spans(message: Bytes) -> u64 {
    let Ok(request) = Request::decode(message) else {
        return 1;
    };
    let scopes = request.resource_spans.iter().flat_map(|spans| &spans.scope_spans);
    scopes.map(|scope| scope.spans.len() as u64).sum()
}

/// Decodes a message of the node with the name `node` in its certificate.
pub(super) fn spans(message: Bytes, node: &str) -> Decoded {
    let mut decoded = Decoded::default();
    let Ok(request) = Request::decode(message) else {
        decoded.refused = 1;
        return decoded;
    };
    for of_resource in request.resource_spans {
        let resource = Resources::of(of_resource.resource);
        decoded.incarnation = resource.incarnation;
        decoded.dropped_by_node = decoded.dropped_by_node.max(resource.dropped_spans);
        for encoded in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let span = Some(encoded).filter(|encoded| encoded.len() <= MAX_SPAN);
            let span = span.and_then(|encoded| Span::decode(encoded).ok());
            let Some(mut span) = span else {
                decoded.refused += 1;
                continue;
            };
            let stages = std::mem::take(&mut span.events);
            match row(span, node, decoded.incarnation) {
                Some(row) => {
                    let first = decoded.rows.len();
                    decoded.rows.push(row);
                    for stage in stages.into_iter().take(MAX_STAGES) {
                        let row = stage_row(stage, &decoded.rows[first]);
                        decoded.rows.extend(row);
                    }
                }
                None => decoded.refused += 1,
            }
        }
    }
    decoded
}

/// Returns the row of a span. `None` if its ids or its times are invalid.
fn row(span: Span, node: &str, incarnation: u32) -> Option<SpanRow> {
    let mut row = SpanRow {
        trace_id: id(&span.trace_id, 16)?,
        span_id: id(&span.span_id, 8)?,
        parent_id: match &*span.parent_span_id {
            [] => None,
            parent => Some(id(parent, 8)?),
        },
        name: cut(span.name),
        kind: match SpanKind::try_from(span.kind) {
            Ok(SpanKind::Client) => "client",
            Ok(SpanKind::Server) => "server",
            _ => "internal",
        }
        .to_owned(),
        node: node.to_owned(),
        incarnation,
        started_ns: span.start_time_unix_nano,
        duration_ns: span.end_time_unix_nano.checked_sub(span.start_time_unix_nano)?,
        step: None,
        forward_index: None,
        uid: None,
        block: None,
        code: None,
        error: span
            .status
            .filter(|status| status.code == i32::from(StatusCode::Error))
            .map(|status| cut(status.message)),
        rules: None,
        links: None,
        attributes: None,
        dropped_attributes: span.dropped_attributes_count,
    };
    let links: Vec<String> = span.links.iter().take(MAX_LINKS).filter_map(link).collect();
    row.links = (!links.is_empty()).then(|| links.join(","));
    let mut others = serde_json::Map::new();
    for (position, attribute) in span.attributes.into_iter().enumerate() {
        if position >= MAX_ATTRIBUTES {
            row.dropped_attributes = row.dropped_attributes.saturating_add(1);
            continue;
        }
        put(&mut row, attribute, &mut others);
    }
    row.attributes = (!others.is_empty()).then(|| serde_json::Value::Object(others).to_string());
    Some(row)
}

/// Returns the row of a stage of a span, which is the span in `parent`. `None` for other events.
fn stage_row(event: Event, parent: &SpanRow) -> Option<SpanRow> {
    let duration = event
        .attributes
        .iter()
        .find(|attribute| attribute.key == STAGE_DURATION)?;
    let trace = u128::from_str_radix(&parent.trace_id, 16).ok()?;
    let span = u64::from_str_radix(&parent.span_id, 16).ok()?;
    let name = cut(event.name);
    Some(SpanRow {
        trace_id: parent.trace_id.clone(),
        span_id: format!("{:016x}", spans::derived(trace, span, &name, 0)),
        parent_id: Some(parent.span_id.clone()),
        name,
        kind: "internal".to_owned(),
        node: parent.node.clone(),
        incarnation: parent.incarnation,
        started_ns: event.time_unix_nano,
        duration_ns: u64::try_from(integer(duration)?).ok()?,
        ..SpanRow::default()
    })
}

/// Writes an attribute to its column, or to `others` if it has none.
fn put(row: &mut SpanRow, attribute: KeyValue, others: &mut serde_json::Map<String, serde_json::Value>) {
    let number = integer(&attribute).and_then(|number| u64::try_from(number).ok());
    let narrow = number.and_then(|number| u32::try_from(number).ok());
    match (&*attribute.key, number, narrow) {
        ("mirror.step", Some(step), _) => row.step = Some(step),
        ("mirror.block", Some(block), _) => row.block = Some(block),
        ("mirror.forward_index", _, Some(index)) => row.forward_index = Some(index),
        ("mirror.uid", _, Some(uid)) => row.uid = Some(uid),
        ("mirror.code", ..) => row.code = text(attribute),
        ("mirror.rules", ..) => row.rules = text(attribute),
        _ => {
            let value = attribute.value.and_then(|value| value.value);
            others.insert(cut(attribute.key), value.map_or(serde_json::Value::Null, json));
        }
    }
}

fn integer(attribute: &KeyValue) -> Option<i64> {
    match attribute.value.as_ref()?.value {
        Some(Value::IntValue(number)) => Some(number),
        _ => None,
    }
}

fn text(attribute: KeyValue) -> Option<String> {
    match attribute.value?.value? {
        Value::StringValue(text) => Some(cut(text)),
        other => Some(json(other).to_string()),
    }
}

/// Returns an attribute's value in JSON. Lists and maps, which nodes do not send, become their number of elements.
pub(super) fn json(value: Value) -> serde_json::Value {
    match value {
        Value::StringValue(text) => cut(text).into(),
        Value::BoolValue(value) => value.into(),
        Value::IntValue(number) => number.into(),
        Value::DoubleValue(number) => number.into(),
        Value::ArrayValue(list) => format!("list of {} values", list.values.len()).into(),
        Value::KvlistValue(map) => format!("map of {} values", map.values.len()).into(),
        Value::BytesValue(bytes) => format!("{} bytes", bytes.len()).into(),
        Value::StringValueStrindex(_) => serde_json::Value::Null,
    }
}

/// Returns attributes as a JSON object with sorted keys. `None` if there are none.
pub(super) fn json_object(attributes: Vec<KeyValue>) -> Option<String> {
    let pairs = attributes.into_iter().take(MAX_ATTRIBUTES);
    let object: serde_json::Map<_, _> = pairs
        .filter_map(|KeyValue { key, value, .. }| {
            let AnyValue { value } = value?;
            Some((cut(key), json(value?)))
        })
        .collect();
    (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
}

fn link(link: &opentelemetry_proto::tonic::trace::v1::span::Link) -> Option<String> {
    Some(format!("{}-{}", id(&link.trace_id, 16)?, id(&link.span_id, 8)?))
}

/// Returns an id in hexadecimal digits. `None` if it has another length or only zeros.
fn id(bytes: &[u8], length: usize) -> Option<String> {
    let is_valid = bytes.len() == length && bytes.iter().any(|byte| *byte != 0);
    let mut digits = vec![0; 2 * length];
    (is_valid && hex::encode_to_slice(bytes, &mut digits).is_ok())
        .then(|| String::from_utf8(digits).ok())
        .flatten()
}

/// Cuts a text to [`MAX_TEXT`] bytes.
fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.shrink_to_fit();
    }
    text
}

/// Counts the spans that each node has dropped.
#[derive(Debug, Default)]
pub(super) struct DroppedByNodes(HashMap<(String, u32), u64>);

impl DroppedByNodes {
    /// Takes the count of a node, which is cumulative since the node started.
    pub(super) fn note(&mut self, node: &str, incarnation: u32, dropped: u64) {
        if dropped > 0 {
            let known = self.0.entry((node.to_owned(), incarnation)).or_default();
            *known = dropped.max(*known);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0
            .values()
            .fold(0, |total, dropped| total.saturating_add(*dropped))
    }
}

/// The measurements of a message.
#[derive(Debug, Default)]
pub(super) struct DecodedMetrics {
    pub(super) rows: Vec<MetricRow>,
    /// Number of metrics that were refused: too large, or invalid.
    pub(super) refused: u64,
    /// Number of spans that the node has dropped since it started.
    pub(super) dropped_by_node: u64,
    /// Number of earlier starts of the node.
    pub(super) incarnation: u32,
}

/// `ExportMetricsServiceRequest` whose metrics are not decoded.
#[derive(Clone, PartialEq, Message)]
struct MetricsRequest {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<OfResource>,
}

/// Decodes a message of metrics of the node with the name `node` in its certificate.
pub(super) fn metrics(message: Bytes, node: &str) -> DecodedMetrics {
    let mut decoded = DecodedMetrics::default();
    // The fields have the same numbers as those of spans.
    let Ok(request) = MetricsRequest::decode(message) else {
        decoded.refused = 1;
        return decoded;
    };
    for of_resource in request.resource_metrics {
        let resource = Resources::of(of_resource.resource);
        decoded.incarnation = resource.incarnation;
        decoded.dropped_by_node = decoded.dropped_by_node.max(resource.dropped_spans);
        for encoded in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let metric = Some(encoded).filter(|encoded| encoded.len() <= MAX_METRIC);
            match metric.and_then(|encoded| Metric::decode(encoded).ok()) {
                Some(metric) => measurements(metric, node, decoded.incarnation, &mut decoded.rows),
                None => decoded.refused += 1,
            }
        }
    }
    decoded
}

/// Adds the measurements of a metric. Kinds that nodes do not send are left out.
fn measurements(metric: Metric, node: &str, incarnation: u32, rows: &mut Vec<MetricRow>) {
    let Metric { name, unit, data, .. } = metric;
    let (name, unit) = (cut(name), cut(unit));
    let row = |kind: &str, attributes, time_ns| MetricRow {
        node: node.to_owned(),
        incarnation,
        name: name.clone(),
        unit: unit.clone(),
        kind: kind.to_owned(),
        attributes: json_object(attributes),
        time_ns,
        value: 0.0,
        count: None,
        bounds: Vec::new(),
        buckets: Vec::new(),
    };
    let numbers = |kind, points: Vec<NumberDataPoint>| {
        points.into_iter().map(move |point| MetricRow {
            value: match point.value {
                Some(number_data_point::Value::AsDouble(value)) => value,
                Some(number_data_point::Value::AsInt(value)) => value as f64,
                None => f64::NAN,
            },
            ..row(kind, point.attributes, point.time_unix_nano)
        })
    };
    match data {
        Some(metric::Data::Gauge(gauge)) => rows.extend(numbers("gauge", gauge.data_points)),
        Some(metric::Data::Sum(sum)) => {
            // A sum that may fall is a current value.
            let kind = if sum.is_monotonic { "counter" } else { "gauge" };
            rows.extend(numbers(kind, sum.data_points));
        }
        Some(metric::Data::Histogram(histogram)) => {
            rows.extend(histogram.data_points.into_iter().map(|point| MetricRow {
                value: point.sum.unwrap_or_default(),
                count: Some(point.count),
                bounds: point.explicit_bounds,
                buckets: point.bucket_counts,
                ..row("histogram", point.attributes, point.time_unix_nano)
            }));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, ResourceMetrics, ScopeMetrics};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

    use super::*;

    fn attribute(key: impl Into<String>, value: Value) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    fn span(attributes: Vec<KeyValue>) -> Span {
        Span {
            trace_id: vec![0xab; 16],
            span_id: vec![1; 8],
            name: "step".to_owned(),
            start_time_unix_nano: 5,
            end_time_unix_nano: 9,
            attributes,
            ..Span::default()
        }
    }

    fn message(spans: Vec<Span>) -> Bytes {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        request.encode_to_vec().into()
    }

    #[test]
    fn a_span_with_a_million_attributes_is_refused_and_the_others_are_kept() {
        let huge = span(vec![attribute("", Value::BoolValue(true)); 1_000_000]);
        let decoded = spans(message(vec![span(vec![]), huge, span(vec![])]), "miner-0");
        assert_eq!((decoded.rows.len(), decoded.refused), (2, 1));
    }

    #[test]
    fn attributes_beyond_the_limit_are_counted_and_texts_are_cut() {
        let mut attributes: Vec<KeyValue> = (0..MAX_ATTRIBUTES + 7)
            .map(|number| attribute(format!("key{number}"), Value::IntValue(1)))
            .collect();
        attributes[0] = attribute("long", Value::StringValue("é".repeat(MAX_TEXT)));
        let decoded = spans(message(vec![span(attributes)]), "miner-0");
        let [row] = &decoded.rows[..] else {
            panic!("one row: {decoded:?}")
        };
        assert_eq!(row.dropped_attributes, 7);
        let kept: serde_json::Value =
            serde_json::from_str(row.attributes.as_deref().expect("attributes")).expect("JSON");
        assert_eq!(kept.as_object().expect("an object").len(), MAX_ATTRIBUTES);
        assert_eq!(kept["long"].as_str().expect("a text").len(), MAX_TEXT);
    }

    #[test]
    fn stages_are_spans_under_theirs_and_other_events_are_left_out() {
        let stage = |name: &str, duration| Event {
            time_unix_nano: 6,
            name: name.to_owned(),
            attributes: vec![attribute(STAGE_DURATION, Value::IntValue(duration))],
            ..Event::default()
        };
        let other = Event {
            name: "exception".to_owned(),
            ..Event::default()
        };
        let mut call = span(vec![]);
        call.events = vec![stage("axon.check", 2), other, stage("axon.queue", -1)];
        let mut many = span(vec![]);
        many.events = vec![stage("axon.check", 2); 1_000];
        let decoded = spans(message(vec![call, many]), "miner-0");
        let [call, check, many, rest @ ..] = &decoded.rows[..] else {
            panic!("a row for each span and stage: {decoded:?}")
        };
        assert_eq!(
            (&*check.name, check.started_ns, check.duration_ns),
            ("axon.check", 6, 2)
        );
        assert_eq!(check.parent_id.as_ref(), Some(&call.span_id));
        assert_eq!((&check.trace_id, &check.node), (&call.trace_id, &call.node));
        assert_ne!(check.span_id, call.span_id);
        assert_eq!((&*many.name, rest.len()), ("step", MAX_STAGES));
    }

    #[test]
    fn spans_with_impossible_ids_or_times_are_refused() {
        let impossible = [
            Span {
                trace_id: vec![0; 16],
                ..span(vec![])
            },
            Span {
                span_id: vec![1; 9],
                ..span(vec![])
            },
            Span {
                parent_span_id: vec![1],
                ..span(vec![])
            },
            Span {
                end_time_unix_nano: 4,
                ..span(vec![])
            },
        ];
        let decoded = spans(message(impossible.into()), "miner-0");
        assert_eq!((decoded.rows.len(), decoded.refused), (0, 4));
        // Bytes that are no message count as one span, and no bytes are a message without spans.
        assert_eq!(spans(Bytes::from_static(b"\xff\xff"), "miner-0").refused, 1);
        assert_eq!(spans(Bytes::new(), "miner-0").refused, 0);
    }

    #[test]
    fn the_node_of_a_row_is_that_of_the_certificate() {
        let mut request = ExportTraceServiceRequest::decode(message(vec![span(vec![])])).expect("valid");
        request.resource_spans[0].resource = Some(Resource {
            attributes: vec![
                attribute("service.name", Value::StringValue("validator-0".to_owned())),
                attribute("mirror.incarnation", Value::IntValue(2)),
            ],
            ..Resource::default()
        });
        let decoded = spans(request.encode_to_vec().into(), "miner-3");
        assert_eq!(
            (&*decoded.rows[0].node, decoded.rows[0].incarnation),
            ("miner-3", 2)
        );
    }

    #[test]
    fn a_metric_that_is_too_large_is_refused() {
        let metric = |points: usize| Metric {
            name: "mirror.weight".to_owned(),
            data: Some(metric::Data::Gauge(Gauge {
                data_points: vec![
                    NumberDataPoint {
                        value: Some(number_data_point::Value::AsDouble(0.5)),
                        ..NumberDataPoint::default()
                    };
                    points
                ],
            })),
            ..Metric::default()
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![ScopeMetrics {
                    metrics: vec![metric(4_096), metric(1_000_000)],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let decoded = metrics(request.encode_to_vec().into(), "validator-0");
        assert_eq!((decoded.rows.len(), decoded.refused), (4_096, 1));
    }
}
