//! The encoding of spans in protobuf, as `opentelemetry/proto/trace/v1/trace.proto` defines it.
//!
//! Spans are encoded field by field while they are recorded, without building the messages of `opentelemetry-proto`. A
//! test decodes them with that crate.

use bytes::BufMut;
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint};

use super::STAGE_DURATION;

/// Fields of `Span`.
const TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const PARENT_SPAN_ID: u32 = 4;
const NAME: u32 = 5;
const KIND: u32 = 6;
const START: u32 = 7;
const END: u32 = 8;
const ATTRIBUTES: u32 = 9;
const DROPPED_ATTRIBUTES: u32 = 10;
const EVENTS: u32 = 11;
const LINKS: u32 = 13;
const STATUS: u32 = 15;

/// The field of `ScopeSpans` that contains the spans.
const SPANS: u32 = 2;

/// The status code of a span that failed.
const ERROR: u64 = 2;

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Double(f64),
}

/// A span without its attributes.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) trace: u128,
    pub(super) id: u64,
    /// 0 for none.
    pub(super) parent: u64,
    pub(super) name: &'a str,
    /// A number of `SpanKind`.
    pub(super) kind: u64,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) dropped_attributes: u32,
    pub(super) link: Option<(u128, u64)>,
    pub(super) error: Option<&'a str>,
}

/// Appends an attribute of a span.
pub(super) fn attribute(out: &mut Vec<u8>, key: &str, value: Value<'_>) {
    let length = match value {
        Value::Text(text) => field_length(text.len()),
        Value::Bool(_) => 2,
        Value::Int(number) => 1 + encoded_len_varint(number as u64),
        Value::Double(_) => 9,
    };
    start(out, ATTRIBUTES, field_length(key.len()) + field_length(length));
    put(out, 1, key.as_bytes());
    start(out, 2, length);
    match value {
        Value::Text(text) => put(out, 1, text.as_bytes()),
        Value::Bool(value) => varint(out, 2, value.into()),
        Value::Int(number) => varint(out, 3, number as u64),
        Value::Double(number) => {
            encode_key(4, WireType::SixtyFourBit, out);
            out.put_f64_le(number);
        }
    }
}

/// Appends an event of a span: a stage that began at `time`, in nanoseconds since 1970, and took `duration` of them.
pub(super) fn stage(out: &mut Vec<u8>, name: &str, time: u64, duration: u64) {
    let value = 1 + encoded_len_varint(duration);
    let attribute = field_length(STAGE_DURATION.len()) + field_length(value);
    start(
        out,
        EVENTS,
        9 + field_length(name.len()) + field_length(attribute),
    );
    fixed(out, 1, time);
    put(out, 2, name.as_bytes());
    start(out, 3, attribute);
    put(out, 1, STAGE_DURATION.as_bytes());
    start(out, 2, value);
    varint(out, 3, duration);
}

/// Appends a span to the spans of a `ScopeSpans` message. `attributes` are those that [`attribute`] has encoded.
pub(super) fn span(out: &mut Vec<u8>, head: &Head<'_>, attributes: &[u8]) {
    let status = head.error.map(|message| field_length(message.len()) + 2);
    let mut length =
        field_length(16) + field_length(8) + field_length(head.name.len()) + 2 + 9 + 9 + attributes.len();
    if head.parent != 0 {
        length += field_length(8);
    }
    if head.dropped_attributes != 0 {
        length += encoding::uint32::encoded_len(DROPPED_ATTRIBUTES, &head.dropped_attributes);
    }
    if head.link.is_some() {
        length += field_length(LINK_LENGTH);
    }
    if let Some(status) = status {
        length += field_length(status);
    }
    start(out, SPANS, length);
    put(out, TRACE_ID, &head.trace.to_be_bytes());
    put(out, SPAN_ID, &head.id.to_be_bytes());
    if head.parent != 0 {
        put(out, PARENT_SPAN_ID, &head.parent.to_be_bytes());
    }
    put(out, NAME, head.name.as_bytes());
    varint(out, KIND, head.kind);
    fixed(out, START, head.start);
    fixed(out, END, head.end);
    out.extend_from_slice(attributes);
    if head.dropped_attributes != 0 {
        varint(out, DROPPED_ATTRIBUTES, head.dropped_attributes.into());
    }
    if let Some((trace, span)) = head.link {
        start(out, LINKS, LINK_LENGTH);
        put(out, 1, &trace.to_be_bytes());
        put(out, 2, &span.to_be_bytes());
    }
    if let (Some(message), Some(status)) = (head.error, status) {
        start(out, STATUS, status);
        put(out, 2, message.as_bytes());
        varint(out, 3, ERROR);
    }
}

/// Length of a link: two ids with their keys and lengths.
const LINK_LENGTH: usize = 18 + 10;

/// Returns the length of a field with a key of one byte and `length` bytes of content.
fn field_length(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// Begins a field of `length` bytes.
fn start(out: &mut Vec<u8>, field: u32, length: usize) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn put(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    start(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

fn fixed(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.put_u64_le(value);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
    use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
    use prost::Message;

    use super::*;

    /// Long texts have lengths of two bytes, and negative and large numbers all bits.
    #[test]
    fn the_reference_decodes_every_field() {
        let long = "x".repeat(300);
        let values = [
            ("a", Value::Text(""), any_value::Value::StringValue(String::new())),
            (
                "text",
                Value::Text(&long),
                any_value::Value::StringValue(long.clone()),
            ),
            ("yes", Value::Bool(true), any_value::Value::BoolValue(true)),
            ("no", Value::Bool(false), any_value::Value::BoolValue(false)),
            ("negative", Value::Int(-7), any_value::Value::IntValue(-7)),
            (
                "large",
                Value::Int(i64::MAX),
                any_value::Value::IntValue(i64::MAX),
            ),
            (
                "double",
                Value::Double(-0.25),
                any_value::Value::DoubleValue(-0.25),
            ),
        ];
        let mut attributes = Vec::new();
        for (key, value, _) in &values {
            attribute(&mut attributes, key, *value);
        }
        let whole = Head {
            trace: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
            id: 0x1112_1314_1516_1718,
            parent: 0x2122_2324_2526_2728,
            name: &long,
            kind: SpanKind::Server as u64,
            start: 1_700_000_000_000_000_000,
            end: 1_700_000_000_000_000_001,
            dropped_attributes: 300,
            link: Some((3, 4)),
            error: Some(&long),
        };
        let least = Head {
            parent: 0,
            name: "s",
            dropped_attributes: 0,
            link: None,
            error: None,
            ..whole
        };
        let mut encoded = Vec::new();
        span(&mut encoded, &whole, &attributes);
        span(&mut encoded, &least, &[]);
        let decoded = ScopeSpans::decode(&*encoded).expect("valid protobuf").spans;
        let [first, second] = &decoded[..] else {
            panic!("two spans, not {}", decoded.len());
        };
        assert_eq!(first.trace_id, (1..=16).collect::<Vec<u8>>());
        assert_eq!(first.span_id, (0x11..=0x18).collect::<Vec<u8>>());
        assert_eq!(first.parent_span_id, (0x21..=0x28).collect::<Vec<u8>>());
        assert_eq!(first.name, long);
        assert_eq!(first.kind(), SpanKind::Server);
        assert_eq!(first.end_time_unix_nano - first.start_time_unix_nano, 1);
        assert_eq!(first.dropped_attributes_count, 300);
        assert_eq!(first.links[0].trace_id[15], 3);
        assert_eq!(first.links[0].span_id[7], 4);
        let status = first.status.as_ref().expect("a status");
        assert_eq!((status.code(), &status.message), (StatusCode::Error, &long));
        assert_eq!(first.attributes.len(), values.len());
        for (attribute, (key, _, value)) in first.attributes.iter().zip(&values) {
            assert_eq!(attribute.key, *key);
            let decoded = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            assert_eq!(decoded, Some(value));
        }
        assert!(second.parent_span_id.is_empty() && second.status.is_none());
        assert!(second.links.is_empty() && second.attributes.is_empty());
    }
}
