//! Decodes the messages of nodes to rows, in parts. Only the spans of a message are separated at first, and each is
//! decoded only if its size is within [`MAX_SPAN`]. The memory for a span is therefore bounded before it is allocated.

mod attributes;
mod fields;
mod span;

use std::collections::HashMap;

use bytes::Bytes;
use mirror_runs::tables::{MetricRow, SpanRow};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use prost::Message;

use self::fields::{Field, Fields};
use self::span::Spans;

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
#[derive(Default)]
struct Resources {
    /// Number of earlier starts of the node.
    incarnation: u32,
    /// Number of spans that the node has dropped since it started.
    dropped_spans: u64,
}

impl Resources {
    /// Decodes the message `Resource`. What is missing or invalid is 0.
    fn of(message: Option<&Bytes>) -> Self {
        let message = message.filter(|message| message.len() <= MAX_RESOURCE);
        let mut resource = Self::default();
        for field in Fields::of(message.map_or(&[], |message| message)) {
            let Ok((1, Field::Bytes(message))) = field else {
                continue;
            };
            match attributes::attribute(message) {
                Ok(("mirror.incarnation", value)) => {
                    resource.incarnation = value.number().unwrap_or_default();
                }
                Ok(("mirror.dropped_spans", value)) => {
                    resource.dropped_spans = value.number().unwrap_or_default();
                }
                _ => {}
            }
        }
        resource
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
    let mut spans = Spans::of(node);
    for of_resource in &request.resource_spans {
        let resource = Resources::of(of_resource.resource.as_ref());
        decoded.incarnation = resource.incarnation;
        decoded.dropped_by_node = decoded.dropped_by_node.max(resource.dropped_spans);
        spans.incarnation = resource.incarnation;
        for message in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let is_valid = message.len() <= MAX_SPAN && spans.add(message, &mut decoded.rows).is_ok();
            decoded.refused += u64::from(!is_valid);
        }
    }
    decoded
}

/// Cuts a text to [`MAX_TEXT`] bytes.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
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
        let resource = Resources::of(of_resource.resource.as_ref());
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
    let (name, unit) = (cut(&name), cut(&unit));
    let row = |kind: &str, attributes: &[KeyValue], time_ns| MetricRow {
        node: node.to_owned(),
        incarnation,
        name: name.to_owned(),
        unit: unit.to_owned(),
        kind: kind.to_owned(),
        attributes: attributes::object_of(attributes),
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
            ..row(kind, &point.attributes, point.time_unix_nano)
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
                ..row("histogram", &point.attributes, point.time_unix_nano)
            }));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use mirror_telemetry::spans::{MAX_STAGES, STAGE_DURATION};
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, ResourceMetrics, ScopeMetrics};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::Status;
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use opentelemetry_proto::tonic::trace::v1::span::Link;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

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

    /// A span with every field that is read.
    fn whole_span() -> Span {
        Span {
            parent_span_id: vec![2; 8],
            kind: 3,
            dropped_attributes_count: 3,
            events: vec![Event {
                time_unix_nano: 6,
                name: "axon.check".to_owned(),
                attributes: vec![attribute(STAGE_DURATION, Value::IntValue(2))],
                ..Event::default()
            }],
            links: vec![Link {
                trace_id: vec![3; 16],
                span_id: vec![4; 8],
                ..Link::default()
            }],
            status: Some(Status {
                message: "timeout".to_owned(),
                code: 2,
            }),
            ..span(vec![
                attribute("mirror.uid", Value::IntValue(7)),
                attribute("mirror.code", Value::StringValue("timeout".to_owned())),
                attribute("text", Value::StringValue("first".to_owned())),
                attribute("half", Value::DoubleValue(0.5)),
                attribute("text", Value::StringValue("a \"quote\"".to_owned())),
                attribute("negative", Value::IntValue(-1)),
                attribute("bytes", Value::BytesValue(vec![0; 5])),
            ])
        }
    }

    #[test]
    fn every_field_of_a_span_has_its_column() {
        let decoded = spans(message(vec![whole_span()]), "miner-0");
        let expected = SpanRow {
            trace_id: "ab".repeat(16),
            span_id: "01".repeat(8),
            parent_id: Some("02".repeat(8)),
            name: "step".to_owned(),
            kind: "client".to_owned(),
            node: "miner-0".to_owned(),
            started_ns: 5,
            duration_ns: 4,
            uid: Some(7),
            code: Some("timeout".to_owned()),
            error: Some("timeout".to_owned()),
            links: Some(format!("{}-{}", "03".repeat(16), "04".repeat(8))),
            attributes: Some(
                r#"{"bytes":"5 bytes","half":0.5,"negative":-1,"text":"a \"quote\""}"#.to_owned(),
            ),
            dropped_attributes: 3,
            ..SpanRow::default()
        };
        assert_eq!(decoded.rows[0], expected);
        assert_eq!((decoded.rows.len(), decoded.refused), (2, 0));
    }

    /// Each byte is replaced, and the end is cut off at each position. The reference also refuses invalid fields that
    /// are not read here.
    #[test]
    fn a_damaged_span_is_refused_or_is_what_the_reference_decodes() {
        let whole = whole_span().encode_to_vec();
        let replaced = (0..whole.len()).flat_map(|position| {
            let whole = &whole;
            (0..=u8::MAX).map(move |byte| {
                let mut damaged = whole.clone();
                damaged[position] = byte;
                damaged
            })
        });
        let cut_off = (0..whole.len()).map(|length| whole[..length].to_vec());
        let (mut taken, mut refused) = (0, 0);
        for damaged in replaced.chain(cut_off) {
            let mut rows = Vec::new();
            if Spans::of("miner-0").add(&damaged, &mut rows).is_err() {
                assert!(rows.is_empty());
                refused += 1;
                continue;
            }
            let Ok(reference) = Span::decode(&*damaged) else {
                continue;
            };
            taken += 1;
            let row = &rows[0];
            assert_eq!(row.trace_id, hex::encode(&reference.trace_id));
            assert_eq!(row.span_id, hex::encode(&reference.span_id));
            assert_eq!(row.name, reference.name);
            assert_eq!(row.started_ns, reference.start_time_unix_nano);
            assert_eq!(row.ended_ns(), reference.end_time_unix_nano);
            let status = reference.status.filter(|status| status.code == 2);
            assert_eq!(row.error, status.map(|status| status.message));
        }
        assert!(
            taken > 1_000 && refused > 1_000,
            "{taken} taken, {refused} refused"
        );
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
