//! Parses a YAML document into a tree with positions.
//!
//! `serde_yaml` stops at the first error and discards positions, so the checks work on this tree. Depth and size are
//! bounded, so that malicious text is harmless. The value of an alias counts at each use.

use std::collections::HashSet;

use mirror_spec::at::Tree;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde::de::DeserializeOwned;

use crate::problem::Finding;

/// Maximum nesting depth of lists and maps.
const MAX_DEPTH: usize = 64;
/// Maximum number of values in a document. The value of an alias counts at each use.
const MAX_VALUES: usize = 200_000;

/// 2^53: every whole number below this one is an exact `f64`, so it was not rounded when it was read.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// The place in which a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// In the file, from the character `start` up to, and without, the character `end`.
    File { start: usize, end: usize },
    /// In an override.
    Override {
        /// Index of the override.
        index: usize,
        /// Number of the part of the path, or after these, of the key or value in the override's value.
        part: usize,
    },
    /// Not written: the value is a default.
    Default,
}

impl Origin {
    /// Returns the index of the override in which the value was written, or `None` if it was not written in one.
    pub(crate) fn overridden_by(self) -> Option<usize> {
        match self {
            Self::Override { index, .. } => Some(index),
            Self::File { .. } | Self::Default => None,
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) origin: Origin,
}

/// The content of a value.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Integer(i128),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A map whose keys are valid uids.
    ByUid(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_origin: Origin,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn new(content: Content, origin: Origin) -> Self {
        Self { content, origin }
    }

    pub(crate) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self::new(Content::Text(text.into()), origin)
    }

    /// Returns the entry of a key of a map, or `None` if this is not a map or does not have the key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Returns the value of a key of a map, or `None` if this is not a map or does not have the key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the value of a key of a map for a change. `None` if this is not a map, is a map by uid, or does not have
    /// the key.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.content {
            Content::Map(entries) => entries
                .iter_mut()
                .find(|entry| entry.key == key)
                .map(|entry| &mut entry.value),
            _ => None,
        }
    }

    /// Removes an entry from a map and returns it.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let Content::Map(entries) = &mut self.content else {
            return None;
        };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// Adds an entry to a map and replaces one with the same key. Does nothing if this is not a map.
    pub(crate) fn put(&mut self, key: &str, key_origin: Origin, value: Node) {
        self.take(key);
        if let Content::Map(entries) = &mut self.content {
            entries.push(Entry {
                key: key.to_owned(),
                key_origin,
                value,
            });
        }
    }

    /// Returns the entries of a map. Empty if this is not a map.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) | Content::ByUid(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list. Empty if this is not a list.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the origin of the value at a path of keys and list indices. If the value does not exist or is a default,
    /// returns that of the innermost written value on the path.
    pub(crate) fn nearest_origin(&self, path: &[String]) -> Origin {
        let mut origin = self.origin;
        let mut node = self;
        for part in path {
            let item = || node.items().get(part.parse::<usize>().ok()?);
            let Some(next) = node.get(part).or_else(item) else {
                break;
            };
            node = next;
            if node.origin != Origin::Default {
                origin = node.origin;
            }
        }
        origin
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<f64> {
        match self.content {
            Content::Number(number) => Some(number),
            Content::Integer(integer) => Some(integer as f64),
            _ => None,
        }
    }

    /// Returns a whole number, which may be written as `1000`, `1e3` or `1000.0`.
    pub(crate) fn as_integer(&self) -> Option<i128> {
        match self.content {
            Content::Integer(integer) => Some(integer),
            Content::Number(number) if number.fract() == 0.0 && number.abs() < FIRST_INEXACT => {
                Some(number as i128)
            }
            _ => None,
        }
    }

    /// Returns whether the value is a whole number of 2^53 or more with a decimal point or an exponent, which may have
    /// been rounded when it was read.
    pub(crate) fn may_be_rounded(&self) -> bool {
        matches!(self.content, Content::Number(number) if number.is_finite() && number.abs() >= FIRST_INEXACT)
    }

    /// Returns a string, or a whole number as a string.
    pub(crate) fn written_text(&self) -> Option<String> {
        let text = self.as_text().map(str::to_owned);
        text.or_else(|| self.as_integer().map(|integer| integer.to_string()))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    /// Sets the origin of this value and of all keys and values in it, to a new origin each.
    pub(crate) fn relabel(&mut self, origins: &mut impl Iterator<Item = Origin>) {
        self.origin = origins.next().unwrap_or(self.origin);
        match &mut self.content {
            Content::List(items) => items.iter_mut().for_each(|item| item.relabel(origins)),
            Content::Map(entries) | Content::ByUid(entries) => {
                for entry in entries {
                    entry.key_origin = origins.next().unwrap_or(entry.key_origin);
                    entry.value.relabel(origins);
                }
            }
            _ => {}
        }
    }

    /// Returns the number of values in this one, including itself and keys.
    fn size(&self) -> usize {
        let inside: usize = match &self.content {
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) | Content::ByUid(entries) => {
                entries.iter().map(|entry| 1 + entry.value.size()).sum()
            }
            _ => 0,
        };
        1 + inside
    }

    /// Describes the value for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.content {
            Content::Null => "`null`".into(),
            Content::Bool(truth) => format!("`{truth}`"),
            Content::Integer(integer) => format!("the number {integer}"),
            Content::Number(number) => format!("the number {number}"),
            Content::Text(text) if text.chars().count() <= 40 => format!("the string `{text}`"),
            Content::Text(_) => "a long string".into(),
            Content::List(_) => "a list".into(),
            Content::Map(_) | Content::ByUid(_) => "a map".into(),
        }
    }

    /// Converts a JSON value to a tree with one origin.
    pub(crate) fn from_json(value: &serde_json::Value, origin: Origin) -> Self {
        use serde_json::Value;
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(truth) => Content::Bool(*truth),
            Value::Number(number) => number.as_i128().map_or_else(
                || Content::Number(number.as_f64().unwrap_or_default()),
                Content::Integer,
            ),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(items) => {
                Content::List(items.iter().map(|item| Self::from_json(item, origin)).collect())
            }
            Value::Object(entries) => Content::Map(
                entries
                    .iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_origin: origin,
                        value: Self::from_json(value, origin),
                    })
                    .collect(),
            ),
        };
        Self::new(content, origin)
    }

    /// Converts the tree to JSON, without positions.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.to_yaml()).unwrap_or_default()
    }

    /// Converts the tree to a [`serde_yaml::Value`], without positions.
    pub(crate) fn to_yaml(&self) -> serde_yaml::Value {
        use serde_yaml::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Integer(integer) => match (u64::try_from(*integer), i64::try_from(*integer)) {
                (Ok(natural), _) => Value::from(natural),
                (_, Ok(whole)) => Value::from(whole),
                _ => Value::from(*integer as f64),
            },
            Content::Number(number) => Value::from(*number),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Sequence(items.iter().map(Self::to_yaml).collect()),
            Content::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|entry| (Value::String(entry.key.clone()), entry.value.to_yaml()));
                Value::Mapping(entries.collect())
            }
            Content::ByUid(entries) => {
                let by_uid = |entry: &Entry| Some((entry.key.parse::<u32>().ok()?, entry.value.to_yaml()));
                let entries = entries.iter().filter_map(by_uid);
                Value::Mapping(entries.map(|(uid, value)| (Value::from(uid), value)).collect())
            }
        }
    }
}

impl Tree for Node {
    fn key(&self, key: &str) -> Option<&Self> {
        self.get(key)
    }

    fn items(&self) -> &[Self] {
        Self::items(self)
    }

    fn text(&self) -> Option<&str> {
        self.as_text()
    }

    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_yaml::from_value(self.to_yaml()).ok()
    }
}

/// Parses an unquoted YAML scalar: null, a boolean, a number or a string.
pub(crate) fn scalar(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Content::Null,
        "true" | "True" | "TRUE" => return Content::Bool(true),
        "false" | "False" | "FALSE" => return Content::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Content::Number(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Content::Number(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Content::Number(f64::NAN),
        _ => {}
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(natural) = natural(digits) {
        return Content::Integer(sign * natural);
    }
    let looks_decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    match digits.parse::<f64>() {
        Ok(number) if looks_decimal => Content::Number(f64::from(sign as i8) * number),
        _ => Content::Text(text.to_owned()),
    }
}

/// Parses a number without a sign: decimal without leading zeros, or digits after `0x`, `0o` or `0b`. At most
/// `u64::MAX`.
fn natural(digits: &str) -> Option<i128> {
    let (radix, rest) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => return None,
        _ => (10, digits),
    };
    let only_digits = !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
    only_digits
        .then(|| u64::from_str_radix(rest, radix).ok())
        .flatten()
        .map(i128::from)
}

/// Parses one document. Returns `None` if the text cannot be parsed, in which case the last finding is the error.
pub(crate) fn read(text: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => {
                let at = error.marker().index();
                Err(Finding::error(
                    Origin::File {
                        start: at,
                        end: at + 1,
                    },
                    format!("this is not valid YAML: {}", error.info()),
                )
                .with_help("quote strings that contain `: ` or ` #`, or that begin with one of `[{&*!|>%@`"))
            }
        };
        if let Err(finding) = step {
            findings.append(&mut builder.findings);
            findings.push(finding);
            return None;
        }
    }
    findings.append(&mut builder.findings);
    Some(
        builder
            .root
            .unwrap_or(Node::new(Content::Null, Origin::File { start: 0, end: 0 })),
    )
}

/// A collection that is still open.
struct Open {
    inside: Inside,
    origin: Origin,
    anchor: usize,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The keys read so far.
        keys: HashSet<String>,
        /// The key whose value has not been read yet.
        waiting: Option<(String, Origin)>,
    },
}

impl Open {
    fn close(self) -> Node {
        let content = match self.inside {
            Inside::List(items) => Content::List(items),
            Inside::Map { entries, .. } => Content::Map(entries),
        };
        Node::new(content, self.origin)
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    values: usize,
    /// The value of each finished anchor, by the number that the parser gives it.
    anchors: Vec<Option<Node>>,
    findings: Vec<Finding>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Finding> {
        let start = span.start.index();
        let origin = Origin::File {
            start,
            end: span.end.index().max(start),
        };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Finding::error(
                        origin,
                        "a second document starts here, but an experiment file must be one YAML document",
                    )
                    .with_help("put each experiment into a separate file"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), origin)?;
                self.count(1, origin)?;
                let content = match style {
                    ScalarStyle::Plain => scalar(&text),
                    _ => Content::Text(text.into_owned()),
                };
                if self.key_is_due() {
                    return self.key(text_of_key(&content, span, origin)?, origin);
                }
                self.finish(Node::new(content, origin), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), origin)?;
                self.open(Inside::List(Vec::new()), origin, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), origin)?;
                let inside = Inside::Map {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    waiting: None,
                };
                self.open(inside, origin, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let anchor = open.anchor;
                    self.finish(open.close(), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                if self.key_is_due() {
                    return Err(
                        Finding::error(origin, "an alias cannot be a key").with_help("write the key out")
                    );
                }
                let meant = self.anchors.get(anchor).cloned().flatten().ok_or_else(|| {
                    Finding::error(
                        origin,
                        "this alias refers to a key, or to a value that contains the alias",
                    )
                    .with_help("write the value out")
                })?;
                self.count(meant.size(), origin)?;
                self.finish(meant, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn count(&mut self, more: usize, origin: Origin) -> Result<(), Finding> {
        self.values = self.values.saturating_add(more);
        if self.values > MAX_VALUES {
            return Err(Finding::error(
                origin,
                format!("the file contains more than {MAX_VALUES} values, with aliases expanded"),
            )
            .with_help("an experiment needs a few hundred values: write uids as ranges, such as `0-999`"));
        }
        Ok(())
    }

    fn open(&mut self, inside: Inside, origin: Origin, anchor: usize) -> Result<(), Finding> {
        self.count(1, origin)?;
        if self.key_is_due() {
            return Err(Finding::error(
                origin,
                "a key must be a scalar, not a list or a map",
            ));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Finding::error(
                origin,
                format!("lists and maps are nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.open.push(Open {
            inside,
            origin,
            anchor,
        });
        Ok(())
    }

    fn key_is_due(&self) -> bool {
        let inside = self.open.last().map(|open| &open.inside);
        matches!(inside, Some(Inside::Map { waiting: None, .. }))
    }

    fn key(&mut self, key: String, origin: Origin) -> Result<(), Finding> {
        if key == "<<" {
            return Err(Finding::error(origin, "merge keys (`<<`) are not supported")
                .with_help("write the keys out, or use an alias for a whole value"));
        }
        let inside = self.open.last_mut().map(|open| &mut open.inside);
        if let Some(Inside::Map { keys, waiting, .. }) = inside {
            if !keys.insert(key.clone()) {
                self.findings.push(
                    Finding::error(origin, format!("`{key}` is written twice in the same map"))
                        .with_help("keep one of the two"),
                );
            }
            *waiting = Some((key, origin));
        }
        Ok(())
    }

    /// Adds a finished value to the collection that contains it, or makes it the root.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        if anchor > 0 {
            self.count(node.size(), node.origin)?;
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            self.anchors[anchor] = Some(node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.inside {
            Inside::List(items) => items.push(node),
            Inside::Map { entries, waiting, .. } => {
                entries.extend(waiting.take().map(|(key, key_origin)| Entry {
                    key,
                    key_origin,
                    value: node,
                }));
            }
        }
        Ok(())
    }
}

fn refuse_tag(tagged: bool, origin: Origin) -> Result<(), Finding> {
    if tagged {
        return Err(Finding::error(origin, "tags (`!name`) are not supported").with_help("remove the tag"));
    }
    Ok(())
}

/// Returns the text of a key.
///
/// # Errors
/// Returns an error if the key is missing or null.
fn text_of_key(content: &Content, span: &Span, origin: Origin) -> Result<String, Finding> {
    match content {
        Content::Text(text) => Ok(text.clone()),
        Content::Integer(integer) => Ok(integer.to_string()),
        Content::Bool(truth) => Ok(truth.to_string()),
        Content::Number(number) => Ok(number.to_string()),
        _ if span.is_empty() => Err(Finding::error(origin, "a key is missing before this `:`")),
        _ => Err(Finding::error(origin, "null (`~`) cannot be a key")),
    }
}
