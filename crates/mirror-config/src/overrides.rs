//! Overrides from the command line, `path=value`, which are applied to the tree of a file before it is checked.
//!
//! A path is written as errors print it: `network.miners[0].latency`. The index of a list item may also be written
//! after a dot: `network.miners.0.latency`.

use mirror_spec::Experiment;
use mirror_spec::key::{Family, HasKeys, Keys, Kind};

use crate::forms;
use crate::problem::Finding;
use crate::spelling::join;
use crate::tree::{self, Content, Entry, Node, Origin};

/// A part of a path.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    /// A part after a dot: a key of a map, or the index of a list item.
    Key(&'a str),
    /// The index of a list item in brackets, from 0.
    Item(usize),
}

/// Sets the value of each override at its path, and creates missing maps on the way.
pub(crate) fn apply(root: &mut Node, overrides: &[(String, String)], findings: &mut Vec<Finding>) {
    for (index, (path, value)) in overrides.iter().enumerate() {
        let origin = Origin::Override { index, part: 0 };
        let mut unreadable = Vec::new();
        let Some(mut value) = tree::read(value, &mut unreadable) else {
            findings.push(
                Finding::error(origin, "the value is not valid YAML").with_help("put the value in quotes"),
            );
            continue;
        };
        let put = parts(path, origin).and_then(|parts| {
            value.relabel(&mut (parts.len()..).map(|part| Origin::Override { index, part }));
            set(root, &parts, value, index, findings)
        });
        findings.extend(put.err());
    }
}

/// Splits a path into its parts.
fn parts(path: &str, origin: Origin) -> Result<Vec<Part<'_>>, Finding> {
    let unsound = |message: String| {
        Finding::error(origin, message).with_help(
            "write a path as errors print it: `query.method.args.max_iter`, `network.miners[0].latency`",
        )
    };
    let mut parts = Vec::new();
    for piece in path.split('.') {
        let (key, items) = piece.find('[').map_or((piece, ""), |at| piece.split_at(at));
        if key.is_empty() {
            return Err(unsound("the path has an empty part".into()));
        }
        parts.push(Part::Key(key));
        let mut rest = items;
        while !rest.is_empty() {
            let item = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let item = item.and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
            let Some((number, after)) = item else {
                return Err(unsound(format!(
                    "`{rest}` in the path is not a list index in brackets"
                )));
            };
            parts.push(Part::Item(number));
            rest = after;
        }
    }
    Ok(parts)
}

/// Sets the value of the override with this index.
fn set(
    root: &mut Node,
    parts: &[Part<'_>],
    value: Node,
    index: usize,
    findings: &mut Vec<Finding>,
) -> Result<(), Finding> {
    let mut place = root;
    let mut declared = Some(Declared::Keys(Experiment::KEYS));
    let mut walked = String::new();
    for (number, part) in parts.iter().enumerate() {
        let origin = Origin::Override { index, part: number };
        declared = declared.and_then(|declared| declared.at(part));
        match (&declared, &parts[number..]) {
            (Some(Declared::Keys(keys)), [Part::Key("behaviour"), Part::Key("args"), ..]) => {
                forms::gather_arguments(place, keys, &walked, findings);
            }
            (Some(Declared::Component(_)), [Part::Key("args" | "name"), ..]) => put_name_in_a_map(place),
            _ => {}
        }
        declared = declared.and_then(|declared| declared.inside(part, place));
        place = match part {
            Part::Key(key) => child(place, key, &walked, origin)?,
            Part::Item(number) => item(place, *number, &walked, origin)?,
        };
        walked = match part {
            Part::Key(key) => join(&walked, key),
            Part::Item(number) => format!("{walked}[{number}]"),
        };
    }
    *place = value;
    Ok(())
}

/// The declaration at a place of a path.
enum Declared {
    /// A map of these keys.
    Keys(&'static Keys),
    /// A component of this family.
    Component(&'static Family),
    /// A list or a map of values of a kind.
    Several(&'static Kind),
    /// One value of a kind, or a list of such values.
    OneOrMany(&'static Kind),
}

impl Declared {
    fn of(kind: &'static Kind) -> Option<Self> {
        match kind {
            Kind::Table(keys) => Some(Self::Keys(keys)),
            Kind::Component(family) => Some(Self::Component(family())),
            Kind::List(each) | Kind::Map(each) => Some(Self::Several(each)),
            Kind::OneOrMany(each) => Some(Self::OneOrMany(each)),
            _ => None,
        }
    }

    /// Returns the declaration that applies to `part`. If one value may replace a list, this is the declaration of the
    /// value, unless `part` is the index of an item.
    fn at(self, part: &Part<'_>) -> Option<Self> {
        match (self, part) {
            (Self::OneOrMany(each), Part::Key(key)) if key.parse::<usize>().is_err() => Self::of(each),
            (declared, _) => Some(declared),
        }
    }

    /// Returns the declaration of the value at `part` of `node`, or `None` if nothing is declared there.
    fn inside(self, part: &Part<'_>, node: &Node) -> Option<Self> {
        match (self, part) {
            (Self::Keys(keys), Part::Key(key)) => Self::of(&keys.get(key)?.kind),
            (Self::Component(family), Part::Key("args")) => {
                let name = node.get("name").and_then(Node::as_text)?;
                Some(Self::Keys(family.variant(name)?.args))
            }
            (Self::Several(each) | Self::OneOrMany(each), _) => Self::of(each),
            _ => None,
        }
    }
}

/// Replaces a component that is written as only a name with a map, so that arguments can be added.
fn put_name_in_a_map(node: &mut Node) {
    if let Content::Text(_) = &node.content {
        let entry = Entry {
            key: "name".to_owned(),
            key_origin: node.origin,
            value: node.clone(),
        };
        node.content = Content::Map(vec![entry]);
    }
}

/// Returns the value at a key of a map or at an index of a list. Adds the key if the map does not have it.
fn child<'a>(node: &'a mut Node, key: &str, walked: &str, origin: Origin) -> Result<&'a mut Node, Finding> {
    if node.is_null() {
        node.content = Content::Map(Vec::new());
    }
    let found = node.describe();
    match &mut node.content {
        Content::Map(entries) => {
            let index = entries
                .iter()
                .position(|entry| entry.key == key)
                .unwrap_or(entries.len());
            if index == entries.len() {
                let value = Node::new(Content::Null, origin);
                entries.push(Entry {
                    key: key.to_owned(),
                    key_origin: origin,
                    value,
                });
            }
            Ok(&mut entries[index].value)
        }
        Content::List(items) => {
            let number = key.parse::<usize>().ok();
            let length = items.len();
            let found = number.and_then(|number| items.get_mut(number));
            found.ok_or_else(|| no_item(walked, length, key, origin))
        }
        _ => Err(Finding::error(
            origin,
            format!("`{walked}` is {found}, so no key can be set in it"),
        )
        .with_help(format!(
            "set `{walked}` as a whole, or write it as a map in the file"
        ))),
    }
}

/// Returns the value at an index of a list.
fn item<'a>(
    node: &'a mut Node,
    number: usize,
    walked: &str,
    origin: Origin,
) -> Result<&'a mut Node, Finding> {
    let found = match node.content {
        Content::Null => "not set".to_owned(),
        _ => format!("{}, not a list", node.describe()),
    };
    match &mut node.content {
        Content::List(items) => {
            let length = items.len();
            let found = items.get_mut(number);
            found.ok_or_else(|| no_item(walked, length, &number.to_string(), origin))
        }
        _ => Err(Finding::error(
            origin,
            format!("`{walked}` is {found}, so it has no item `{number}`"),
        )
        .with_help(format!("set `{walked}` as a whole: `{walked}=[…]`"))),
    }
}

fn no_item(walked: &str, length: usize, item: &str, origin: Origin) -> Finding {
    Finding::error(
        origin,
        format!("`{walked}` is a list of length {length} and has no item `{item}`"),
    )
    .with_help("indices start at 0")
}
