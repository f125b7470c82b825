//! One walk over a file's tree along the schema: finds what does not fit, fills in what is left out.
//!
//! The result holds only what was found sound, so that later checks are not misled by what was already told.

use std::ops::RangeInclusive;

use mirror_spec::key::{Family, Forms, Key, Keys, Kind, MAX_UID, Need, Property, Unsound, Whose};
use mirror_spec::notation;

use crate::describe::{in_words, list};
use crate::problem::Finding;
use crate::tree::{self, Content, Entry, Node, Origin};

/// Keys longer than this are not compared with the known ones.
const LONGEST_NAME: usize = 64;

/// uids that a file names.
#[derive(Debug)]
pub(crate) struct NamedUids {
    /// Whom they must belong to.
    pub(crate) whose: Whose,
    /// Both ends included.
    pub(crate) uids: RangeInclusive<u32>,
    /// Where they stand.
    pub(crate) origin: Origin,
}

/// Checks a tree against the keys of a map, and fills in their defaults. Also gives all uids that the tree names.
pub(crate) fn resolve(
    keys: &'static Keys,
    root: &Node,
    findings: &mut Vec<Finding>,
) -> (Node, Vec<NamedUids>) {
    let mut uids = Vec::new();
    let mut walk = Walk {
        findings,
        uids: &mut uids,
    };
    let resolved = walk.table(&Among::one(keys), root, root.origin, "", Unknown::Error);
    (resolved, uids)
}

/// The keys that a map may have.
struct Among {
    /// Those that are filled in and asked for.
    keys: Vec<&'static Key>,
    /// Those that stand in other forms of the map, and are told apart by other findings.
    elsewhere: Vec<&'static Key>,
}

impl Among {
    fn one(keys: &'static Keys) -> Self {
        Self {
            keys: keys.iter().collect(),
            elsewhere: Vec::new(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().chain(&self.elsewhere).map(|key| key.name)
    }
}

/// What is said of a key that the schema does not know.
#[derive(Clone, Copy)]
enum Unknown {
    /// It is an error.
    Error,
    /// It is an argument that the component does not take: the seed's files carry some.
    Warning,
}

struct Walk<'a> {
    findings: &'a mut Vec<Finding>,
    uids: &'a mut Vec<NamedUids>,
}

impl Walk<'_> {
    /// A map of known keys. `at` is where a missing one is told.
    fn table(&mut self, among: &Among, node: &Node, at: Origin, path: &str, unknown: Unknown) -> Node {
        for entry in node.entries() {
            if !among.names().any(|name| name == entry.key) {
                self.unknown_key(among, entry, path, unknown);
            }
        }
        let mut resolved = Vec::new();
        for key in &among.keys {
            let path = join(path, key.name);
            let entry = node.entry(key.name);
            let given = entry.filter(|entry| !entry.value.is_null());
            let value = match (given, key.need) {
                (Some(entry), Need::Ignored(why)) => {
                    self.findings.push(
                        Finding::warning(entry.key_origin, format!("`{path}` has no effect: {why}"))
                            .with_help("leave it out"),
                    );
                    None
                }
                (Some(entry), _) => self.value(&key.kind, &entry.value, entry.key_origin, &path),
                (None, Need::Required) => {
                    let origin = entry.map_or(at, |entry| entry.key_origin);
                    self.findings.push(
                        Finding::error(origin, format!("`{path}` is missing")).with_help(format!(
                            "it is {}. {}",
                            in_words(&key.kind),
                            key.doc.summary()
                        )),
                    );
                    None
                }
                (None, Need::Default(default)) => {
                    let default = Node::from_json(&default(), Origin::Default);
                    self.value(&key.kind, &default, Origin::Default, &path)
                }
                // A rule puts in what is inherited.
                (None, Need::Inherited(_)) => Some(Node::new(Content::Integer(0), Origin::Default)),
                (None, Need::Optional | Need::Ignored(_)) => None,
            };
            if let Some(value) = value {
                let key_origin = given.map_or(Origin::Default, |entry| entry.key_origin);
                resolved.push(Entry {
                    key: key.name.to_owned(),
                    key_origin,
                    value,
                });
            }
        }
        Node::new(Content::Map(resolved), node.origin)
    }

    fn unknown_key(&mut self, among: &Among, entry: &Entry, path: &str, unknown: Unknown) {
        let mut known: Vec<&str> = Vec::new();
        for key in among.keys.iter().chain(&among.elsewhere) {
            if !matches!(key.need, Need::Ignored(_)) && !known.contains(&key.name) {
                known.push(key.name);
            }
        }
        let place = if path.is_empty() {
            "this file".to_owned()
        } else {
            format!("`{path}`")
        };
        let help = suggest(&entry.key, &known);
        let finding = match unknown {
            Unknown::Error => Finding::error(
                entry.key_origin,
                format!("unknown key `{}` in {place}", brief(&entry.key)),
            ),
            Unknown::Warning => Finding::warning(
                entry.key_origin,
                format!("{place} takes no argument `{}`: it is ignored", brief(&entry.key)),
            ),
        };
        self.findings.push(finding.with_help(help));
    }

    /// A value of some kind, as it is kept; `None` when it does not fit.
    fn value(&mut self, kind: &'static Kind, node: &Node, at: Origin, path: &str) -> Option<Node> {
        let keep = |content| Some(Node::new(content, node.origin));
        match (kind, &node.content) {
            (Kind::Anything, _) | (Kind::Bool, Content::Bool(_)) => Some(node.clone()),
            (Kind::Integer(range), Content::Integer(integer)) if range.contains(integer) => {
                Some(node.clone())
            }
            (Kind::Number(range), Content::Integer(_) | Content::Number(_))
                if node.as_number().is_some_and(|number| range.contains(&number)) =>
            {
                Some(node.clone())
            }
            (Kind::Duration(range), Content::Integer(_) | Content::Number(_) | Content::Text(_)) => {
                let seconds = node
                    .as_number()
                    .or_else(|| node.as_text().and_then(notation::seconds));
                match seconds.filter(|seconds| range.contains(seconds)) {
                    Some(seconds) => keep(Content::Number(seconds)),
                    None => self.misfit(kind, node, path),
                }
            }
            (Kind::Text, Content::Text(text)) if !text.is_empty() => Some(node.clone()),
            (Kind::Text, Content::Bool(_) | Content::Integer(_) | Content::Number(_)) => {
                self.findings.push(
                    Finding::error(
                        node.origin,
                        format!("`{path}` must be a text, found {}", node.describe()),
                    )
                    .with_help("put it in quotes"),
                );
                None
            }
            (Kind::Choice(words), Content::Text(text)) => {
                if words.contains(&text.as_str()) {
                    return Some(node.clone());
                }
                self.findings.push(
                    Finding::error(node.origin, format!("`{path}` cannot be `{}`", brief(text)))
                        .with_help(suggest(text, words)),
                );
                None
            }
            (Kind::Or(word, other), content) => {
                if written_as(content, word) {
                    return Some(node.clone());
                }
                self.or(kind, other, node, path)
            }
            (Kind::Either(one, other), _) => self
                .quietly(one, node, at, path)
                .or_else(|| self.quietly(other, node, at, path))
                .or_else(|| self.misfit(kind, node, path)),
            (Kind::Uid(whose), Content::Integer(integer)) if (0..=i128::from(MAX_UID)).contains(integer) => {
                let uid = *integer as u32;
                self.names(*whose, uid..=uid, node.origin);
                Some(node.clone())
            }
            (Kind::UidText(notation, whose), Content::Text(_) | Content::Integer(_)) => {
                let text = node.written_text();
                match (notation.read)(&text) {
                    Ok(uids) => {
                        self.names(*whose, uids, node.origin);
                        keep(Content::Text(text))
                    }
                    Err(message) => self.miswritten(&message, notation.what, node, path),
                }
            }
            (Kind::Notation(notation), Content::Text(_) | Content::Integer(_)) => {
                let text = node.written_text();
                match (notation.check)(&text) {
                    Ok(()) => keep(Content::Text(text)),
                    Err(message) => self.miswritten(&message, notation.what, node, path),
                }
            }
            (Kind::List(inner) | Kind::OneOrMany(inner), Content::List(items)) => {
                let items = items.iter().enumerate();
                let items = items.filter_map(|(index, item)| {
                    self.value(inner, item, item.origin, &format!("{path}[{index}]"))
                });
                let items = items.collect();
                keep(Content::List(items))
            }
            (Kind::OneOrMany(inner), _) => {
                let single = self.value(inner, node, at, path)?;
                keep(Content::List(vec![single]))
            }
            (Kind::Map(inner), Content::Map(entries)) => {
                let entries = entries
                    .iter()
                    .filter_map(|entry| self.entry(inner, entry, path))
                    .collect();
                keep(Content::Map(entries))
            }
            (Kind::ByUid(inner), Content::Map(entries)) => {
                let mut by_uid = Vec::new();
                for entry in entries {
                    if let Ok(uid) = entry.key.parse::<u32>() {
                        self.names(Whose::Miner, uid..=uid, entry.key_origin);
                        by_uid.extend(self.entry(inner, entry, path));
                    } else {
                        self.findings.push(
                            Finding::error(
                                entry.key_origin,
                                format!("`{}` in `{path}` is not a uid", brief(&entry.key)),
                            )
                            .with_help("write `uid: value` for each uid"),
                        );
                    }
                }
                keep(Content::ByUid(by_uid))
            }
            (Kind::Table(keys), Content::Map(_)) => {
                Some(self.table(&Among::one(keys), node, at, path, Unknown::Error))
            }
            (Kind::Forms(forms), content) => match (content, forms.plain) {
                (Content::Map(_), _) => self.form(forms, node, at, path),
                (Content::Integer(_) | Content::Number(_) | Content::Text(_), Some(key)) => {
                    let plain = Entry {
                        key: key.to_owned(),
                        key_origin: node.origin,
                        value: node.clone(),
                    };
                    let map = Node::new(Content::Map(vec![plain]), node.origin);
                    self.form(forms, &map, at, path)
                }
                _ => self.misfit(kind, node, path),
            },
            (Kind::Component(family), _) => self.component(family(), kind, node, at, path),
            _ => self.misfit(kind, node, path),
        }
    }

    fn entry(&mut self, kind: &'static Kind, entry: &Entry, path: &str) -> Option<Entry> {
        let path = join(path, brief(&entry.key));
        let value = self.value(kind, &entry.value, entry.key_origin, &path)?;
        Some(Entry {
            value,
            ..entry.clone()
        })
    }

    /// A value where a word was possible too: what does not fit is told of both.
    fn or(&mut self, both: &Kind, other: &'static Kind, node: &Node, path: &str) -> Option<Node> {
        self.quietly(other, node, node.origin, path)
            .or_else(|| self.misfit(both, node, path))
    }

    /// A value of some kind, without a word on what does not fit.
    fn quietly(&mut self, kind: &'static Kind, node: &Node, at: Origin, path: &str) -> Option<Node> {
        let mut uids = Vec::new();
        let mut quiet = Walk {
            findings: &mut Vec::new(),
            uids: &mut uids,
        };
        let value = quiet.value(kind, node, at, path)?;
        self.uids.append(&mut uids);
        Some(value)
    }

    fn names(&mut self, whose: Whose, uids: RangeInclusive<u32>, origin: Origin) {
        if origin != Origin::Default {
            self.uids.push(NamedUids { whose, uids, origin });
        }
    }

    /// A map that is written in one of several forms: the one of which most keys are there.
    fn form(&mut self, forms: &'static Forms, node: &Node, at: Origin, path: &str) -> Option<Node> {
        let given: Vec<&str> = node.entries().iter().map(|entry| entry.key.as_str()).collect();
        let has = |form: &Keys| form.iter().filter(|key| given.contains(&key.name)).count();
        let all = || forms.forms.iter().flat_map(|form| form.iter());
        // Of two forms with as many keys there, the first.
        let best = forms.forms.iter().rev().max_by_key(|form| has(form));
        let Some(form) = best.filter(|form| has(form) > 0) else {
            let any = Among {
                keys: Vec::new(),
                elsewhere: all().collect(),
            };
            self.table(&any, node, at, path, Unknown::Error);
            let ways: Vec<String> = forms.forms.iter().map(|form| needed(form)).collect();
            self.findings.push(
                Finding::error(node.origin, format!("`{path}` is not {}", forms.what))
                    .with_help(format!("name the keys of one: {}", ways.join("; "))),
            );
            return None;
        };
        let before = self.findings.len();
        let among = Among {
            keys: form.iter().collect(),
            elsewhere: all().filter(|key| form.get(key.name).is_none()).collect(),
        };
        for entry in node.entries() {
            if among.elsewhere.iter().any(|key| key.name == entry.key) {
                self.findings.push(
                    Finding::error(
                        entry.key_origin,
                        format!("`{}` does not go with {}", entry.key, needed(form)),
                    )
                    .with_help(format!("write the keys of one form of {}", forms.what)),
                );
            }
        }
        let resolved = self.table(&among, node, at, path, Unknown::Error);
        if self.findings[before..].iter().any(Finding::is_error) {
            return None;
        }
        if let Err(Unsound { key, message, help }) = (forms.check)(&resolved.to_json()) {
            let origin = resolved.get(key).map_or(node.origin, |value| value.origin);
            self.findings
                .push(Finding::error(origin, message).with_help(help));
            return None;
        }
        Some(resolved)
    }

    /// A component by name: alone, or beside its arguments; a number where a number means one.
    fn component(
        &mut self,
        family: &'static Family,
        kind: &Kind,
        node: &Node,
        at: Origin,
        path: &str,
    ) -> Option<Node> {
        let (name, args) = match (&node.content, family.number_means) {
            (Content::Text(_), _) => (node.clone(), None),
            (Content::Integer(_) | Content::Number(_), Some((name, argument))) => {
                let argument = Entry {
                    key: argument.to_owned(),
                    key_origin: node.origin,
                    value: node.clone(),
                };
                (
                    Node::text(name, node.origin),
                    Some(Node::new(Content::Map(vec![argument]), node.origin)),
                )
            }
            (Content::Map(entries), _) => {
                for entry in entries
                    .iter()
                    .filter(|entry| !matches!(entry.key.as_str(), "name" | "args"))
                {
                    self.findings.push(
                        Finding::error(
                            entry.key_origin,
                            format!("unknown key `{}` in `{path}`", brief(&entry.key)),
                        )
                        .with_help("a component has a `name` and `args`; its arguments stand in `args`"),
                    );
                }
                let Some(name) = node.get("name") else {
                    let names: Vec<&str> = family.variants().map(|variant| variant.name).collect();
                    self.findings.push(
                        Finding::error(at, format!("`{path}.name` is missing"))
                            .with_help(format!("it is one of {}", list(&names))),
                    );
                    return None;
                };
                (
                    name.clone(),
                    node.get("args").filter(|args| !args.is_null()).cloned(),
                )
            }
            _ => return self.misfit(kind, node, path),
        };
        let Some(variant) = name.as_text().and_then(|name| family.variant(name)) else {
            let names: Vec<&str> = family.variants().map(|variant| variant.name).collect();
            let help = name.as_text().map_or_else(
                || format!("known here: {}", list(&names)),
                |name| suggest(name, &names),
            );
            let found = name
                .as_text()
                .map_or_else(|| name.describe(), |name| format!("`{}`", brief(name)));
            self.findings.push(
                Finding::error(
                    name.origin,
                    format!("no {} is called {found}", family.name.replace('_', " ")),
                )
                .with_help(help),
            );
            return None;
        };
        if variant.has(Property::Planned) && name.origin != Origin::Default {
            self.findings.push(Finding::warning(
                name.origin,
                format!("{} cannot run yet", variant.name),
            ));
        }
        let args = args.unwrap_or_else(|| Node::new(Content::Map(Vec::new()), name.origin));
        if !args.is_map() {
            self.findings.push(
                Finding::error(
                    args.origin,
                    format!(
                        "`{path}.args` must be a map of arguments, found {}",
                        args.describe()
                    ),
                )
                .with_help("write `name: value` for each argument"),
            );
            return None;
        }
        let args = self.table(
            &Among::one(variant.args),
            &args,
            name.origin,
            &join(path, "args"),
            Unknown::Warning,
        );
        let entry = |key: &str, value: Node| Entry {
            key: key.to_owned(),
            key_origin: value.origin,
            value,
        };
        Some(Node::new(
            Content::Map(vec![entry("name", name), entry("args", args)]),
            node.origin,
        ))
    }

    fn misfit(&mut self, kind: &Kind, node: &Node, path: &str) -> Option<Node> {
        self.findings.push(
            Finding::error(node.origin, format!("`{path}` cannot be {}", node.describe()))
                .with_help(format!("it must be {}", in_words(kind))),
        );
        None
    }

    fn miswritten(&mut self, message: &str, what: &str, node: &Node, path: &str) -> Option<Node> {
        self.findings.push(
            Finding::error(node.origin, format!("`{path}`: {message}")).with_help(format!("write {what}")),
        );
        None
    }
}

/// The keys that a form needs, as a message lists them.
fn needed(form: &Keys) -> String {
    let needed = form.iter().filter(|key| matches!(key.need, Need::Required));
    let names: Vec<&str> = needed.map(|key| key.name).collect();
    list(&names)
}

/// Whether a scalar is this word of YAML.
fn written_as(content: &Content, word: &str) -> bool {
    match (content, tree::scalar(word)) {
        (Content::Text(text), Content::Text(word)) => *text == word,
        (Content::Integer(integer), Content::Integer(word)) => *integer == word,
        _ => false,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A name from a file as a message can hold it.
fn brief(name: &str) -> &str {
    name.char_indices()
        .nth(LONGEST_NAME)
        .map_or(name, |(end, _)| &name[..end])
}

/// `did you mean …?` where one is near, and all that are known.
pub fn suggest(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "nothing is known here: leave it out".into();
    }
    let all = format!("known here: {}", list(known));
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? {all}"),
        None => all,
    }
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let likeness =
        |word: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &word.to_lowercase());
    let best = known
        .iter()
        .map(|word| (likeness(word), *word))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > 0.5).map(|(_, word)| word)
}
