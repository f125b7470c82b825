//! The attributes and links of a span as other programs receive them.

use serde_json::{Map, Value};

use crate::trace::Span;

/// Returns the attributes of a span: those of OpenTelemetry's conventions, those that have a column, under the prefix
/// `mirror.`, and the others. Attributes that are no JSON object become one string.
pub(super) fn attributes(span: &Span) -> Map<String, Value> {
    let row = &span.row;
    let mut attributes = match &row.attributes {
        None => Map::new(),
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Object(attributes)) => attributes,
            _ => Map::from_iter([("mirror.attributes".to_owned(), text.as_str().into())]),
        },
    };
    let columns: [(&str, Option<Value>); 6] = [
        ("step", row.step.map(Value::from)),
        ("forward_index", row.forward_index.map(Value::from)),
        ("uid", row.uid.map(Value::from)),
        ("block", row.block.map(Value::from)),
        ("code", row.code.as_deref().map(Value::from)),
        ("rules", row.rules.as_deref().map(Value::from)),
    ];
    for (name, value) in row.conventional_attributes() {
        attributes.insert(name.to_owned(), value.into());
    }
    for (name, value) in columns {
        if let Some(value) = value {
            attributes.insert(format!("mirror.{name}"), value);
        }
    }
    attributes
}

/// Returns the trace and the span of each link.
pub(super) fn links(span: &Span) -> impl Iterator<Item = (&str, &str)> {
    let links = span.row.links.iter().flat_map(|links| links.split(','));
    links.filter_map(|link| link.trim().split_once('-'))
}
