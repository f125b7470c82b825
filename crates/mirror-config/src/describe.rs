//! Descriptions of keys for messages, `mirror components` and the reference of the experiment file.

use mirror_spec::key::{Forms, Key, Kind, Need, Variant, Whose};
use mirror_spec::{FAMILIES, Uids};
use serde_json::{Value, json};

/// Describes the values that a kind allows: `a number from 0 to 1`.
pub fn in_words(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".into(),
        Kind::Integer(range) if *range.end() >= i128::from(u64::MAX) => {
            format!("a whole number from {}", range.start())
        }
        Kind::Integer(range) => format!("a whole number from {} to {}", range.start(), range.end()),
        Kind::Number(range) if *range.end() >= f64::MAX => "a number".into(),
        Kind::Number(range) => format!("a number from {} to {}", range.start(), range.end()),
        Kind::Duration(range) => {
            let (least, most) = (range.start(), range.end());
            format!("a duration such as `80ms` or `1.5s`, or a number of seconds, from {least} to {most}")
        }
        Kind::Text => "a string".into(),
        Kind::Choice(words) => format!("one of {}", list(words)),
        Kind::Or(word, kind) => format!("`{word}` or {}", in_words(kind)),
        Kind::Either(one, other) => format!("{}; or {}", in_words(one), in_words(other)),
        Kind::Notation(notation) => notation.what.into(),
        Kind::UidSet(Whose::ValidatorIndex) => {
            "validator indices such as `3`, `0-11` or `0-2,5`, or a list of such values".into()
        }
        Kind::UidSet(Whose::Miner | Whose::Neuron) => Uids::WHAT.into(),
        Kind::StepCount(range) => format!(
            "a whole number of steps such as `20 steps` or `20`, from {} to {}",
            range.start(),
            range.end()
        ),
        Kind::StepNumber(range) => format!(
            "a step such as `step 50` or `50`, from {} to {}",
            range.start(),
            range.end()
        ),
        Kind::List(kind) => format!("a list in which each item is {}", in_words(kind)),
        Kind::OneOrMany(kind) => format!("{}, or a list of such values", in_words(kind)),
        Kind::Map(kind) => format!("a map from each name to {}", in_words(kind)),
        Kind::ByUid(kind) => format!("a map from each uid to {}", in_words(kind)),
        Kind::Table(_) => "a map of keys to values".into(),
        Kind::Forms(forms) => match plain(forms) {
            Some(kind) => format!("{} as a map of its keys, or {}", forms.what, in_words(kind)),
            None => format!("{} as a map of its keys", forms.what),
        },
        Kind::Component(family) => {
            let number = family().number_means.map_or("", |_| ", or a number");
            format!("a component: `{{name: …, args: {{…}}}}`, or its name alone{number}")
        }
        Kind::Anything => "any value".into(),
    }
}

/// Returns the kind of the plain value that may replace a map with several forms, or `None` if there is none.
pub(crate) fn plain(forms: &Forms) -> Option<&'static Kind> {
    let key = forms.plain?;
    let key = forms.forms.iter().find_map(|form| form.get(key))?;
    Some(&key.kind)
}

/// Describes whether a key may be omitted: `required`, `optional`, its default as written in a file, the origin of an
/// inherited value, or the reason why the key is ignored.
pub fn need_in_words(key: &Key) -> String {
    match key.need {
        Need::Required => "required".into(),
        Need::Optional => "optional".into(),
        Need::Default(default) => format!("`{}`", flow(&default())),
        Need::Inherited(from) => from.into(),
        Need::Ignored(why) => format!("ignored: {why}"),
    }
}

/// Replaces each link of a Markdown text with the text of the link: `` [`latency`](#latency) `` with `` `latency` ``.
pub fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('[') {
        plain.push_str(before);
        // The label may contain brackets, as in `` [`miners[].latency`](#latency) ``.
        let label = from.split_once("](").filter(|(label, _)| !label.contains(" ["));
        let link = label.and_then(|(label, target)| Some((label, target.split_once(')')?.1)));
        (plain, rest) = match link {
            Some((label, after)) => (plain + label, after),
            None => (plain + "[", from),
        };
    }
    plain + rest
}

/// Formats words as a list for messages: `` `a`, `b`, `c` ``.
pub(crate) fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// Formats a value as YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        // A string that YAML would parse as another value, or reject, is quoted.
        Value::String(text) if serde_yaml::from_str(text).ok().as_ref() == Some(text) => text.clone(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| format!("{key}: {}", flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns every family of components with its variants and their arguments, as JSON for programs.
pub fn components() -> Value {
    let key = |key: &'static Key| {
        json!({
            "name": key.name,
            "doc": key.doc.summary(),
            "kind": in_words(&key.kind),
            "need": need_as_json(key),
        })
    };
    let variant = |variant: &'static Variant| {
        json!({
            "name": variant.name,
            "doc": variant.doc.summary(),
            "args": variant.args.iter().map(key).collect::<Vec<_>>(),
        })
    };
    let families = FAMILIES.iter().map(|family| {
        json!({
            "name": family.name,
            "doc": family.doc.summary(),
            "variants": family.variants().map(variant).collect::<Vec<_>>(),
            "number_means": family.number_means,
        })
    });
    families.collect()
}

fn need_as_json(key: &Key) -> Value {
    match key.need {
        Need::Required => json!("required"),
        Need::Optional => json!("optional"),
        Need::Default(default) => json!({ "default": default() }),
        Need::Inherited(from) => json!({ "inherited": from }),
        Need::Ignored(why) => json!({ "ignored": why }),
    }
}
