//! The attributes of a span, from the columns of its row.

use mirror_runs::tables::SpanRow;
use serde_json::Value;

use crate::neurons::Neurons;

/// Name of the scope of all spans.
pub(crate) const SCOPE: &str = "mirror-neuron";

/// Returns the attributes of a process, by OpenTelemetry's conventions for resources.
pub(crate) fn of_process(node: &str, incarnation: u32) -> Vec<(String, Value)> {
    [
        ("service.namespace", SCOPE.into()),
        ("service.name", node.into()),
        ("service.instance.id", format!("{node}/{incarnation}").into()),
        ("mirror.incarnation", incarnation.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Returns the attributes of a span: its columns, by the names under which nodes send them, then those of
/// OpenTelemetry's conventions, then those of its neuron, and then the others.
pub(crate) fn of_span(row: &SpanRow, neurons: &Neurons) -> Vec<(String, Value)> {
    let columns = [
        ("mirror.step", row.step.map(Value::from)),
        ("mirror.forward_index", row.forward_index.map(Value::from)),
        ("mirror.uid", row.uid.map(Value::from)),
        ("mirror.block", row.block.map(Value::from)),
        ("mirror.code", row.code.clone().map(Value::from)),
        ("mirror.rules", row.rules.clone().map(Value::from)),
    ];
    let mut attributes: Vec<(String, Value)> = columns
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    let conventional = row.conventional_attributes().into_iter();
    attributes.extend(conventional.map(|(name, value)| (name.to_owned(), value.into())));
    let of_neuron = row.uid.into_iter().flat_map(|uid| neurons.attributes(uid));
    attributes.extend(of_neuron.map(|(name, value)| (name.to_owned(), value.into())));
    let others = row.attributes.as_deref().map(serde_json::from_str);
    if let Some(Ok(Value::Object(others))) = others {
        attributes.extend(others);
    }
    attributes
}

/// Returns the linked spans as pairs of a trace id and a span id.
pub(crate) fn links(row: &SpanRow) -> impl Iterator<Item = (&str, &str)> {
    let links = row.links.as_deref().unwrap_or_default();
    links.split(',').filter_map(|link| link.trim().split_once('-'))
}
