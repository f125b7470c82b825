//! Attributes of spans and metrics, as JSON objects.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value;
use serde::{Serialize, Serializer};

use super::fields::{Field, Fields, Invalid, text};
use super::{MAX_ATTRIBUTES, cut};

/// The value of an attribute. Lists and maps, which nodes do not send, have only their size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Number of the elements.
    List(usize),
    /// Number of the entries.
    Map(usize),
    /// Number of the bytes.
    Bytes(usize),
}

impl<'a> Value<'a> {
    /// Decodes the message `AnyValue`.
    fn decode(message: &'a [u8]) -> Result<Self, Invalid> {
        Fields::of(message).try_fold(Self::None, |value, field| {
            Ok(match field? {
                (1, Field::Bytes(bytes)) => Self::Text(text(bytes)?),
                (2, Field::Varint(number)) => Self::Bool(number != 0),
                (3, Field::Varint(number)) => Self::Int(number.cast_signed()),
                (4, Field::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Field::Bytes(list)) => Self::List(elements(list)?),
                (6, Field::Bytes(map)) => Self::Map(elements(map)?),
                (7, Field::Bytes(bytes)) => Self::Bytes(bytes.len()),
                (1..=7, _) => return Err(Invalid),
                _ => value,
            })
        })
    }

    fn of(value: Option<&'a any_value::Value>) -> Self {
        match value {
            Some(any_value::Value::StringValue(text)) => Self::Text(text),
            Some(any_value::Value::BoolValue(value)) => Self::Bool(*value),
            Some(any_value::Value::IntValue(number)) => Self::Int(*number),
            Some(any_value::Value::DoubleValue(number)) => Self::Double(*number),
            Some(any_value::Value::ArrayValue(list)) => Self::List(list.values.len()),
            Some(any_value::Value::KvlistValue(map)) => Self::Map(map.values.len()),
            Some(any_value::Value::BytesValue(bytes)) => Self::Bytes(bytes.len()),
            Some(any_value::Value::StringValueStrindex(_)) | None => Self::None,
        }
    }

    /// Returns the value if it is a number of the type `T`.
    pub(super) fn number<T: TryFrom<i64>>(self) -> Option<T> {
        match self {
            Self::Int(number) => T::try_from(number).ok(),
            _ => None,
        }
    }

    /// Returns a text as it is and other values as JSON. `None` if there is no value.
    pub(super) fn to_text(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Text(text) => Some(cut(text).to_owned()),
            other => serde_json::to_string(&other).ok(),
        }
    }
}

/// Returns the number of elements of the messages `ArrayValue` and `KeyValueList`.
fn elements(message: &[u8]) -> Result<usize, Invalid> {
    Fields::of(message).try_fold(0, |count, field| Ok(count + usize::from(field?.0 == 1)))
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::None => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(cut(text)),
            Self::Bool(value) => serializer.serialize_bool(value),
            Self::Int(number) => serializer.serialize_i64(number),
            Self::Double(number) => serializer.serialize_f64(number),
            Self::List(count) => serializer.collect_str(&format_args!("list of {count} values")),
            Self::Map(count) => serializer.collect_str(&format_args!("map of {count} values")),
            Self::Bytes(count) => serializer.collect_str(&format_args!("{count} bytes")),
        }
    }
}

/// Decodes the message `KeyValue`.
pub(super) fn attribute(message: &[u8]) -> Result<(&str, Value<'_>), Invalid> {
    Fields::of(message).try_fold(("", Value::None), |(key, value), field| {
        Ok(match field? {
            (1, Field::Bytes(bytes)) => (text(bytes)?, value),
            (2, Field::Bytes(message)) => (key, Value::decode(message)?),
            (1 | 2, _) => return Err(Invalid),
            _ => (key, value),
        })
    })
}

/// Returns attributes as a JSON object with sorted keys. `None` if there are none. Of two attributes with one key, the
/// last one is kept.
pub(super) fn object(attributes: &mut [(&str, Value<'_>)]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    attributes.sort_by_key(|(key, _)| *key);
    let last_of_each_key = attributes
        .chunk_by(|(first, _), (second, _)| first == second)
        .filter_map(|of_key| of_key.last())
        .map(|(key, value)| (cut(key), value));
    serde_json::to_string(&Object(last_of_each_key)).ok()
}

/// Returns the first attributes of a metric as a JSON object. `None` if there are none.
pub(super) fn object_of(attributes: &[KeyValue]) -> Option<String> {
    let pairs = attributes.iter().take(MAX_ATTRIBUTES);
    let mut pairs: Vec<(&str, Value<'_>)> = pairs
        .map(|KeyValue { key, value, .. }| {
            let value = value.as_ref().and_then(|value| value.value.as_ref());
            (&**key, Value::of(value))
        })
        .collect();
    object(&mut pairs)
}

/// The entries of a JSON object.
struct Object<I>(I);

impl<'a, I: Iterator<Item = (&'a str, &'a Value<'a>)> + Clone> Serialize for Object<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}
