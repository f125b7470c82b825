//! Writes YAML. The library writes three characters as they are that YAML 1.1 took for line breaks and YAML 1.2 does
//! not, and indents what follows them; here they are escaped, so that every reader has the same text.

use mirror_spec::Experiment;
use serde::Serialize;
use serde_yaml::{Mapping, Value};

/// U+0085, which the library always escapes, as `\N`, and so quotes the text that it is in.
const NEXT_LINE: char = '\u{85}';

/// The characters, the letter that stands between two [`NEXT_LINE`]s in place of each, and its escape.
const BREAKS: [(char, char, &str); 3] = [
    (NEXT_LINE, 'N', "\\N"),
    ('\u{2028}', 'L', "\\L"),
    ('\u{2029}', 'P', "\\P"),
];

/// An experiment as a file with every default written out, which reads as the same experiment again.
pub fn to_yaml(experiment: &Experiment) -> String {
    write(experiment).expect("an experiment holds texts, numbers, lists and maps from texts or uids only")
}

/// `value` as YAML.
///
/// # Errors
///
/// What cannot be written: a map whose keys are maps, say.
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
    fn what_some_readers_take_for_a_break_is_escaped() {
        assert_eq!(write(&"a\u{2028}b").ok().as_deref(), Some("\"a\\Lb\"\n"));
        assert_eq!(write(&"\u{85}\u{2029}").ok().as_deref(), Some("\"\\N\\P\"\n"));
        assert_eq!(write(&"plain").ok().as_deref(), Some("plain\n"));
    }

    #[test]
    fn what_looks_like_an_escape_stays_as_it_is() {
        let text = "\u{85}L\u{85} \\NL\\N";
        let written = write(&text).expect("it is a text");
        assert_eq!(
            serde_yaml::from_str::<String>(&written).ok().as_deref(),
            Some(text)
        );
    }
}
