//! Writes experiments and faults as YAML.
//!
//! Three characters are line breaks in YAML 1.1 and not in YAML 1.2. `serde_yaml` does not escape them, and indents the
//! text after them. This module escapes them, so that every reader gets the same text.

use mirror_spec::key::{Described, Family, Keys, Kind, Need};
use mirror_spec::{Experiment, Fault};
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

/// Returns a fault as YAML, without the values that are defaults. It parses to the same fault as an entry of `faults`.
pub fn fault_to_yaml(fault: &Fault) -> String {
    let value = serde_yaml::to_value(fault).and_then(|value| write(&brief(value, &Fault::KIND)));
    value.expect("a fault contains only strings, numbers, lists and maps with strings as keys")
}

/// Returns a value without the defaults in its maps, with single items without brackets.
fn brief(value: Value, kind: &Kind) -> Value {
    match (value, kind) {
        (Value::Mapping(map), Kind::Table(keys)) => brief_map(map, keys),
        (Value::Mapping(map), Kind::Forms(forms)) => {
            let fits = |keys: &&&'static Keys| {
                let mut names = map.keys().map(Value::as_str);
                names.all(|name| name.is_some_and(|name| keys.get(name).is_some()))
            };
            match forms.forms.iter().find(fits) {
                Some(keys) => brief_map(map, keys),
                None => Value::Mapping(map),
            }
        }
        (Value::Mapping(map), Kind::Component(family)) => brief_component(map, family()),
        (Value::Sequence(mut items), Kind::OneOrMany(kind)) if items.len() == 1 => {
            brief(items.pop().unwrap_or_default(), kind)
        }
        (Value::Sequence(items), Kind::OneOrMany(kind) | Kind::List(kind)) => {
            Value::Sequence(items.into_iter().map(|item| brief(item, kind)).collect())
        }
        (value, _) => value,
    }
}

fn brief_map(map: Mapping, keys: &Keys) -> Value {
    let kept = map.into_iter().filter_map(|(name, value)| {
        let Some(key) = name.as_str().and_then(|name| keys.get(name)) else {
            return Some((name, value));
        };
        let is_default = match key.need {
            Need::Default(default) => is_equal(&value, &default()),
            Need::Optional => value.is_null(),
            Need::Required | Need::Inherited(_) | Need::Ignored(_) => false,
        };
        (!is_default).then(|| (name, brief(value, &key.kind)))
    });
    Value::Mapping(kept.collect())
}

/// Returns a component, as its name if all its arguments are defaults.
fn brief_component(map: Mapping, family: &Family) -> Value {
    let Some(name) = map.get("name").and_then(Value::as_str) else {
        return Value::Mapping(map);
    };
    let args = match (map.get("args"), family.variant(name)) {
        (Some(Value::Mapping(args)), Some(variant)) => brief_map(args.clone(), variant.args),
        _ => return Value::Mapping(map),
    };
    if args.as_mapping().is_some_and(Mapping::is_empty) {
        return Value::String(name.to_owned());
    }
    let entries = [("name".into(), name.into()), ("args".into(), args)];
    Value::Mapping(entries.into_iter().collect())
}

/// Returns whether a value is `default`. A number is equal to the same number with a decimal point.
fn is_equal(value: &Value, default: &serde_json::Value) -> bool {
    match (value.as_f64(), default.as_f64()) {
        (Some(value), Some(default)) => value == default,
        _ => serde_yaml::to_value(default).is_ok_and(|default| default == *value),
    }
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
    fn a_fault_without_its_defaults_parses_to_the_same_fault() {
        let network = "\
model:
  id: x
  dendrite_pool: {name: DummyDendritePool, args: {data_path: builtin}}
  gating_model: RandomGatingModel
  reward_model: {name: DummyRewardModel, args: {reward_type: num_words}}
  subtensor: DummySubtensor
  metagraph: {name: DummyMetagraph, args: {num_nodes: 8}}
query: {id: q, method: {name: train, args: {max_iter: 100}}}
network: {validators: 2}
";
        let loaded = crate::parse(network, "x.yml").expect("the file is valid");
        for (text, written) in [
            (
                "{kill: uid 5, restart_after: 3 steps, probability: 1}",
                Some("kill: uid 5\nrestart_after: 3 steps\n"),
            ),
            (
                "{at: step 4, pause: [uid 1-2, uid 4], for: 2s, probability: 0.5}",
                None,
            ),
            (
                "{link: {from: validator-0, to: miners}, latency: {p50: 80ms, p99: 300ms}, drop: 0.1}",
                None,
            ),
            (
                "{partition: [[validator-0, uid 0-3], [uid 4-7]], one_way: true, for: 5 steps}",
                None,
            ),
            (
                "{inject: 3, behaviour: {name: copycat, args: {victims: 0-1}}, until: step 9}",
                None,
            ),
            (
                "{inject: 3, behaviour: honest, over: [{name: failing, args: {chance: 0.5}}]}",
                None,
            ),
        ] {
            let (fault, _) = loaded
                .fault(text)
                .unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
            let brief = fault_to_yaml(&fault);
            if let Some(written) = written {
                assert_eq!(brief, written);
            }
            let (again, _) = loaded
                .fault(&brief)
                .unwrap_or_else(|problems| panic!("{brief}: {problems:?}"));
            assert_eq!(again, fault, "{brief}");
        }
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
