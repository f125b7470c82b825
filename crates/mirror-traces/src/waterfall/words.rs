//! The words about a span in a waterfall.

use crate::trace::{Detached, Span};

/// Returns the name of a span with the number that distinguishes it from others of this name: `dendrite.forward 7`.
pub fn title(span: &Span) -> String {
    let row = &span.row;
    let detail = match (row.uid, row.step, row.forward_index, row.block) {
        (Some(uid), ..) => format!(" {uid}"),
        (None, Some(step), ..) if row.name == "step" => format!(" {step}"),
        (None, _, Some(index), _) if row.name == "forward" => format!(" {index}"),
        (None, .., Some(block)) if row.name == "block" => format!(" {block}"),
        _ => String::new(),
    };
    format!("{}{detail}", row.name)
}

/// Returns what is remarkable about a span: rules, an error, or its place in the tree. `None` if there is nothing.
pub fn remark(span: &Span) -> Option<String> {
    let row = &span.row;
    let mut parts = Vec::new();
    if let Some(rules) = &row.rules {
        parts.push(format!("rules: {rules}"));
    }
    if let Some(error) = &row.error {
        let code = row.code.as_ref().filter(|code| *code != error);
        parts.push(match code {
            Some(code) => format!("error: {error} ({code})"),
            None if error.is_empty() => "error".to_owned(),
            None => format!("error: {error}"),
        });
    }
    match &span.detached {
        Some(Detached::MissingParent) => parts.push("its parent is missing".to_owned()),
        Some(Detached::KilledNode { node }) => {
            parts.push(format!(
                "its parent is missing, because {node} ended before its time"
            ));
        }
        Some(Detached::Cycle) => parts.push("its parents form a cycle".to_owned()),
        None => {}
    }
    if span.repeats_id {
        parts.push("another span has the same id".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
