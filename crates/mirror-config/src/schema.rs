//! The schema: every key of an experiment file with its kind, range, default and meaning.
//!
//! It is the only place that knows them. The checks walk it, defaults come from it, and `mirror schema` and
//! `mirror components` print it.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};
use serde_json::json;

use crate::notation;

pub mod behaviours;
pub mod components;
pub mod sections;

/// A key of a map.
#[derive(Debug, Serialize)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// Whether it must be there, and what it is if it is not.
    pub need: Need,
    /// What it means, one sentence.
    pub doc: &'static str,
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// It must.
    Required,
    /// It may be left out, and then means nothing or what `doc` says.
    Optional,
    /// It may be left out, and then is this, written as in a file.
    Default(&'static str),
    /// It is taken for old files' sake and has no effect: why.
    Ignored(&'static str),
}

/// What may stand at a key.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer(RangeInclusive<i128>),
    /// A number; a whole one is one too.
    Number(RangeInclusive<f64>),
    /// Seconds, as a number or with a unit: `80ms`, `1.5s`, `2m`.
    Duration(RangeInclusive<f64>),
    /// Any text but the empty one.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// This word, or the other kind.
    Or(&'static str, &'static Kind),
    /// One kind, or the other.
    Either(&'static Kind, &'static Kind),
    /// A text in a notation of its own.
    Notation(&'static Notation),
    /// A list.
    List(&'static Kind),
    /// A list; a single one may stand without its brackets.
    OneOrMany(&'static Kind),
    /// A map from names of the user's own.
    Map(&'static Kind),
    /// A map from uids.
    ByUid(&'static Kind),
    /// A map of these keys and no others.
    Table(&'static [Key]),
    /// A component of this family: `{name: …, args: {…}}`, or its name alone.
    Component(&'static Family),
    /// Anything.
    Anything,
}

/// A text in a notation of its own.
#[derive(Debug)]
pub struct Notation {
    /// What it is, for a message: `a device: …`.
    pub what: &'static str,
    /// As a regular expression, for editors.
    pub pattern: &'static str,
    /// What is wrong with a text, if something is.
    pub check: fn(&str) -> Result<(), String>,
}

/// Components that can stand at one place.
#[derive(Debug, Serialize)]
pub struct Family {
    /// What they are called: `gating_model`.
    pub name: &'static str,
    /// What they are for.
    pub doc: &'static str,
    /// Those that can be named.
    pub variants: &'static [Variant],
    /// A plain number stands for this one, with this argument.
    pub number_means: Option<(&'static str, &'static str)>,
}

/// A component that can be named.
#[derive(Debug, Serialize)]
pub struct Variant {
    /// As it is written at `name`.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Its arguments.
    pub args: &'static [Key],
    /// Whether it can run yet.
    pub readiness: Readiness,
}

/// Whether a component can run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// It can.
    Built,
    /// A file may name it, but it cannot run.
    Planned,
}

impl Key {
    const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            need: Need::Required,
            doc,
        }
    }

    const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            need: Need::Optional,
            doc,
        }
    }

    const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            need: Need::Default(default),
            doc,
        }
    }

    const fn ignored(name: &'static str, why: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Anything,
            need: Need::Ignored(why),
            doc: "Has no effect.",
        }
    }
}

impl Variant {
    const fn built(name: &'static str, args: &'static [Key], doc: &'static str) -> Self {
        Self {
            name,
            doc,
            args,
            readiness: Readiness::Built,
        }
    }

    const fn planned(name: &'static str, args: &'static [Key], doc: &'static str) -> Self {
        Self {
            name,
            doc,
            args,
            readiness: Readiness::Planned,
        }
    }
}

impl Family {
    /// The arguments of the component of this name; of one that is not there, none.
    pub fn args(&self, name: &str) -> &'static [Key] {
        self.variant(name).map_or(&[], |variant| variant.args)
    }

    /// The component of this name.
    pub fn variant(&self, name: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}

/// In words: `a number, 0 to 1`.
impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("`true` or `false`"),
            Self::Integer(range) if *range.end() >= i128::from(u64::MAX) => {
                write!(f, "a whole number from {}", range.start())
            }
            Self::Integer(range) => write!(f, "a whole number, {} to {}", range.start(), range.end()),
            Self::Number(range) if *range.end() >= f64::MAX => f.write_str("a number"),
            Self::Number(range) => write!(f, "a number, {} to {}", range.start(), range.end()),
            Self::Duration(range) => {
                let (least, most) = (range.start(), range.end());
                write!(
                    f,
                    "a duration as `80ms` or `1.5s`, or a number of seconds, {least} to {most}"
                )
            }
            Self::Text => f.write_str("a text"),
            Self::Choice(words) => write!(f, "one of {}", list(words)),
            Self::Or(word, kind) => write!(f, "`{word}` or {kind}"),
            Self::Either(one, other) => write!(f, "{one}; or {other}"),
            Self::Notation(notation) => f.write_str(notation.what),
            Self::List(kind) => write!(f, "a list, each {kind}"),
            Self::OneOrMany(kind) => write!(f, "{kind}, or a list of such"),
            Self::Map(kind) => write!(f, "a map from names, each to {kind}"),
            Self::ByUid(kind) => write!(f, "a map from uids, each to {kind}"),
            Self::Table(_) => f.write_str("a map of keys and values"),
            Self::Component(_) => f.write_str("a component: `{name: …, args: {…}}`, or its name alone"),
            Self::Anything => f.write_str("anything"),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Words as a message lists them: `` `a`, `b`, `c` ``.
pub(crate) fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Every family of components.
pub fn families() -> &'static [&'static Family] {
    components::FAMILIES
}

/// The schema of an experiment file as JSON Schema (2020-12), for editors.
pub fn json_schema() -> serde_json::Value {
    let mut schema = Kind::Table(sections::EXPERIMENT).json_schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("An experiment of Mirror Neuron");
    schema
}

impl Kind {
    fn json_schema(&self) -> serde_json::Value {
        match self {
            Self::Bool => json!({"type": "boolean"}),
            // JSON's numbers end where doubles are exact no more, so the largest range is left open.
            Self::Integer(range) => match (i64::try_from(*range.start()), i64::try_from(*range.end())) {
                (Ok(least), Ok(most)) => json!({"type": "integer", "minimum": least, "maximum": most}),
                (Ok(least), Err(_)) => json!({"type": "integer", "minimum": least}),
                _ => json!({"type": "integer"}),
            },
            Self::Number(range) if *range.end() >= f64::MAX => json!({"type": "number"}),
            Self::Number(range) => {
                json!({"type": "number", "minimum": range.start(), "maximum": range.end()})
            }
            Self::Duration(range) => json!({"anyOf": [
                {"type": "number", "minimum": range.start(), "maximum": range.end()},
                {"type": "string", "pattern": r"^[0-9.]+ ?(us|ms|s|m|h)$"},
            ]}),
            Self::Text => json!({"type": "string", "minLength": 1}),
            Self::Choice(words) => json!({"enum": words}),
            Self::Or(word, kind) => {
                let word = word
                    .parse::<i64>()
                    .map_or_else(|_| json!(word), |number| json!(number));
                json!({"anyOf": [{"const": word}, kind.json_schema()]})
            }
            Self::Either(one, other) => json!({"anyOf": [one.json_schema(), other.json_schema()]}),
            Self::Notation(notation) => json!({"type": ["string", "integer"], "pattern": notation.pattern}),
            Self::List(kind) => json!({"type": "array", "items": kind.json_schema()}),
            Self::OneOrMany(kind) => {
                let one = kind.json_schema();
                json!({"anyOf": [one, {"type": "array", "items": one}]})
            }
            Self::Map(kind) => json!({"type": "object", "additionalProperties": kind.json_schema()}),
            Self::ByUid(kind) => json!({
                "type": "object",
                "patternProperties": {"^[0-9]+$": kind.json_schema()},
                "additionalProperties": false,
            }),
            Self::Table(keys) => {
                let mut schema = properties(keys);
                schema["additionalProperties"] = json!(false);
                schema
            }
            Self::Component(family) => {
                let mut forms: Vec<serde_json::Value> =
                    family.variants.iter().map(Variant::json_schema).collect();
                let names: Vec<&str> = family.variants.iter().map(|variant| variant.name).collect();
                forms.push(json!({"enum": names}));
                if family.number_means.is_some() {
                    forms.push(json!({"type": "number"}));
                }
                json!({"description": family.doc, "anyOf": forms})
            }
            Self::Anything => json!({}),
        }
    }
}

impl Variant {
    fn json_schema(&self) -> serde_json::Value {
        json!({
            "type": "object",
            "description": self.doc,
            "properties": {"name": {"const": self.name}, "args": properties(self.args)},
            "required": ["name"],
            "additionalProperties": false,
        })
    }
}

/// The keys of a map, without a word on others.
fn properties(keys: &[Key]) -> serde_json::Value {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for key in keys {
        let mut schema = key.kind.json_schema();
        schema["description"] = json!(key.doc);
        match key.need {
            Need::Required => required.push(key.name),
            Need::Optional => {}
            Need::Default(text) => {
                schema["default"] = serde_yaml::from_str(text).expect("defaults are YAML; a test reads each");
            }
            Need::Ignored(why) => {
                schema["deprecated"] = json!(true);
                schema["description"] = json!(why);
            }
        }
        properties.insert(key.name.to_owned(), schema);
    }
    json!({"type": "object", "properties": properties, "required": required})
}

pub(crate) static DEVICE: Notation = Notation {
    what: "a device: `cpu`, `cuda` or `cuda:N`",
    pattern: "^(cpu|cuda(:[0-9]+)?)$",
    check: |text| notation::device(text).map(drop),
};
pub(crate) static ENDPOINT: Notation = Notation {
    what: "an address as in `127.0.0.1:9944`",
    pattern: r"^[0-9.]+:[0-9]+$|^\[[0-9a-fA-F:.]+\]:[0-9]+$",
    check: |text| notation::endpoint(text).map(drop),
};
pub(crate) static UIDS: Notation = Notation {
    what: "a uid as in `3`, or a range of them as in `0-11`",
    pattern: "^[0-9]+(-[0-9]+)?$",
    check: |text| notation::uids(text).map(drop),
};
pub(crate) static VICTIMS: Notation = Notation {
    what: "who, as in `uid 5` or `uid 3-7`",
    pattern: "^uids? [0-9]+(-[0-9]+)?$",
    check: |text| notation::victims(text).map(drop),
};
pub(crate) static STEP: Notation = Notation {
    what: "a step as in `step 80`",
    pattern: "^step [0-9]+$",
    check: |text| notation::step(text).map(drop),
};
pub(crate) static STEPS: Notation = Notation {
    what: "a number of steps as in `5 steps`",
    pattern: "^[1-9][0-9]* steps?$",
    check: |text| notation::steps(text).map(drop),
};
