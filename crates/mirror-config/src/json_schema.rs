//! The JSON Schema (2020-12) of the experiment file, for editors.

use std::ops::RangeInclusive;

use mirror_spec::key::{HasKeys, Key, Keys, Kind, MAX_UID, Need, Variant, Whose};
use mirror_spec::{Experiment, Uids};
use serde_json::{Map, Value, json};

use crate::describe::plain;

/// Returns the JSON Schema of an experiment file.
pub fn json_schema() -> Value {
    let mut schema = table(Experiment::KEYS);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("An experiment of Mirror Neuron");
    schema
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        // An end outside `i64` is omitted, since readers of JSON may take numbers for doubles.
        Kind::Integer(range) => match (i64::try_from(*range.start()), i64::try_from(*range.end())) {
            (Ok(least), Ok(most)) => json!({"type": "integer", "minimum": least, "maximum": most}),
            (Ok(least), Err(_)) => json!({"type": "integer", "minimum": least}),
            _ => json!({"type": "integer"}),
        },
        Kind::Number(range) if *range.end() >= f64::MAX => json!({"type": "number"}),
        Kind::Number(range) => json!({"type": "number", "minimum": range.start(), "maximum": range.end()}),
        Kind::Duration(range) => json!({"anyOf": [
            {"type": "number", "minimum": range.start(), "maximum": range.end()},
            {"type": "string", "pattern": r"^[0-9.]+ ?(us|ms|s|m|h)$"},
        ]}),
        Kind::Text => json!({"type": "string", "minLength": 1}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Or(word, kind) => {
            let number = word.parse::<i64>();
            let word = number.map_or_else(|_| json!(word), |number| json!(number));
            json!({"anyOf": [{"const": word}, of(kind)]})
        }
        Kind::Either(one, other) => json!({"anyOf": [of(one), of(other)]}),
        Kind::Notation(notation) => json!({"type": ["string", "integer"], "pattern": notation.pattern}),
        Kind::UidSet(whose) => {
            let pattern = match whose {
                Whose::ValidatorIndex => Uids::PATTERN_OF_INDICES,
                Whose::Miner | Whose::Neuron => Uids::PATTERN,
            };
            let one = json!({
                "type": ["string", "integer"],
                "pattern": pattern,
                "minimum": 0,
                "maximum": MAX_UID,
            });
            json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
        }
        Kind::StepCount(range) => counted(range, "^[0-9]+ ?steps?$"),
        Kind::StepNumber(range) => counted(range, "^step [0-9]+$"),
        Kind::List(kind) => json!({"type": "array", "items": of(kind)}),
        Kind::OneOrMany(kind) => {
            let one = of(kind);
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Kind::Map(kind) => json!({"type": "object", "additionalProperties": of(kind)}),
        Kind::ByUid(kind) => json!({
            "type": "object",
            "patternProperties": {Uids::PATTERN: of(kind)},
            "additionalProperties": false,
        }),
        Kind::Table(keys) => table(keys),
        Kind::Forms(forms) => {
            let maps = forms.forms.iter().map(|form| table(form));
            let ways: Vec<Value> = maps.chain(plain(forms).map(of)).collect();
            json!({"anyOf": ways})
        }
        Kind::Component(family) => {
            let family = family();
            let mut forms: Vec<Value> = family.variants().map(component).collect();
            let names: Vec<&str> = family.variants().map(|variant| variant.name).collect();
            forms.push(json!({"enum": names}));
            if family.number_means.is_some() {
                forms.push(json!({"type": "number"}));
            }
            json!({"description": family.doc.summary(), "anyOf": forms})
        }
        Kind::Anything => json!({}),
    }
}

/// Returns the schema of a whole number, or a string with a number and its unit.
fn counted(range: &RangeInclusive<i128>, pattern: &str) -> Value {
    json!({"anyOf": [of(&Kind::Integer(range.clone())), {"type": "string", "pattern": pattern}]})
}

fn component(variant: &Variant) -> Value {
    json!({
        "type": "object",
        "description": variant.doc.summary(),
        "properties": {"name": {"const": variant.name}, "args": properties(variant.args)},
        "required": ["name"],
        "additionalProperties": false,
    })
}

fn table(keys: &'static Keys) -> Value {
    let mut schema = properties(keys);
    schema["additionalProperties"] = json!(false);
    schema
}

/// Returns the schema of the keys of a map, without a rule for additional keys.
fn properties(keys: &'static Keys) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for Key {
        name,
        doc,
        kind,
        need,
    } in keys.iter()
    {
        let mut schema = of(kind);
        schema["description"] = json!(doc.summary());
        match need {
            Need::Required => required.push(*name),
            Need::Optional => {}
            Need::Default(default) => schema["default"] = default(),
            Need::Inherited(from) => {
                schema["description"] = json!(format!("{} Default: {from}.", doc.summary()));
            }
            Need::Ignored(why) => {
                schema["deprecated"] = json!(true);
                schema["description"] = json!(why);
            }
        }
        properties.insert((*name).to_owned(), schema);
    }
    json!({"type": "object", "properties": properties, "required": required})
}
