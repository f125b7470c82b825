//! Writes experiments as YAML.
//!
//! Three characters are line breaks in YAML 1.1 and not in YAML 1.2. `serde_yaml` does not escape them, and indents the
//! text after them. This module escapes them, so that every reader gets the same text.

use mirror_spec::Experiment;
use serde::Serialize;
use serde_yaml::{Mapping, Value};

/// U+0085, which `serde_yaml` always escapes as `\N`, so that the string which contains it is quoted.
const NEXT_LINE: char = '\u{85}';

/// The characters to escape. Each has a letter, which replaces it between two [`NEXT_LINE`]s, and its escape sequence.
const BREAKS: [(char, char, &str); 3] = [
    (NEXT_LINE, 'N', "\\N"),
    ('\u{2028}', 'L', "\\L"),
    ('\u{2029}', 'P', "\\P"),
];

/// Returns an experiment as YAML with every default. The result parses to the same experiment.
pub fn to_yaml(experiment: &Experiment) -> String {
    write(experiment)
        .expect("an experiment contains only strings, numbers, lists and maps with strings or uids as keys")
}

/// Returns `value` as YAML.
///
/// # Errors
/// Returns an error if the value cannot be written, such as a map with maps as keys.
fn write(value: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let written = serde_yaml::to_string(&marked(serde_yaml::to_value(value)?))?;
    let mut rest = written.as_str();
    let mut escaped = String::with_capacity(written.len());
    while let Some((before, after)) = rest.split_once("\\N") {
        let found = BREAKS.iter().find_map(|(_, letter, escape)| {
            let rest = after.strip_prefix(*letter)?.strip_prefix("\\N")?;
            Some((*escape, rest))
        });
        let (escape, after) = found.unwrap_or(("\\N", after));
        escaped.extend([before, escape]);
        rest = after;
    }
    escaped.push_str(rest);
    Ok(escaped)
}

fn marked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mark(&text)),
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(marked).collect()),
        Value::Mapping(entries) => {
            let entries = entries
                .into_iter()
                .map(|(key, value)| (marked(key), marked(value)));
            Value::Mapping(entries.collect::<Mapping>())
        }
        other => other,
    }
}

fn mark(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    for character in text.chars() {
        match BREAKS.iter().find(|(found, ..)| *found == character) {
            Some((_, letter, _)) => marked.extend([NEXT_LINE, *letter, NEXT_LINE]),
            None => marked.push(character),
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_of_yaml_1_1_are_escaped() {
        assert_eq!(write(&"a\u{2028}b").ok().as_deref(), Some("\"a\\Lb\"\n"));
        assert_eq!(write(&"\u{85}\u{2029}").ok().as_deref(), Some("\"\\N\\P\"\n"));
        assert_eq!(write(&"plain").ok().as_deref(), Some("plain\n"));
    }

    #[test]
    fn text_that_resembles_an_escape_is_unchanged() {
        let text = "\u{85}L\u{85} \\NL\\N";
        let written = write(&text).expect("a string can be written as YAML");
        assert_eq!(
            serde_yaml::from_str::<String>(&written).ok().as_deref(),
            Some(text)
        );
    }
}
