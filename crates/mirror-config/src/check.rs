//! Validates the tree of a file against the declared keys and fills in defaults, in one pass.
//!
//! The result contains only valid values, so that later checks do not report the same problem again.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use mirror_spec::key::{Family, Forms, Key, Keys, Kind, Need, Unsound, Whose};
use mirror_spec::{Uids, notation};

use crate::describe::{in_words, list, plain, without_links};
use crate::problem::Finding;
use crate::spelling::{
    QUOTE_COMMAS, behaviours, beside_behaviour, brief, is_rest_of_set, join, names_with_effect, nearest,
    place, suggest, unknown_key,
};
use crate::tree::{self, Content, Entry, Node, Origin};

/// A range of uids that a file names.
#[derive(Debug)]
pub(crate) struct NamedUids {
    /// The kind of neurons that the uids must belong to.
    pub(crate) whose: Whose,
    /// The uids. Both ends are included.
    pub(crate) uids: RangeInclusive<u32>,
    /// The place in which the uids are written.
    pub(crate) origin: Origin,
    /// Whether a fault names the uids, which may be those of miners that join during the run.
    pub(crate) in_fault: bool,
}

/// The result of the check of a tree.
pub(crate) struct Resolved {
    /// The tree with every default filled in and without invalid values.
    pub(crate) tree: Node,
    /// The uids that the file names.
    pub(crate) uids: Vec<NamedUids>,
    /// Whether an argument is ignored that is similar to one that the component takes, so that a default replaces a
    /// value of the file.
    pub(crate) has_misspelt_argument: bool,
}

/// Checks a tree against the keys of a map and fills in the defaults.
///
/// `corrected` contains the origins of misspelt keys, which are already reported. Problems of their values are not
/// reported.
pub(crate) fn resolve(
    keys: &'static Keys,
    root: &Node,
    corrected: &HashSet<Origin>,
    findings: &mut Vec<Finding>,
) -> Resolved {
    let mut uids = Vec::new();
    let mut walk = Walk {
        findings,
        uids: &mut uids,
        corrected,
        misplaced: Vec::new(),
        has_misspelt_argument: false,
    };
    let tree = walk.table(&Among::one(keys), root, root.origin, "", Unknown::Error);
    let has_misspelt_argument = walk.has_misspelt_argument;
    Resolved {
        tree,
        uids,
        has_misspelt_argument,
    }
}

/// The keys that a map may contain.
#[derive(Default)]
struct Among {
    /// Keys that are filled in if they are missing, or reported if they are required.
    keys: Vec<&'static Key>,
    /// Keys of other forms of the map, which the caller reports.
    elsewhere: Vec<&'static Key>,
    /// Keys that are probably misspelt or misplaced in the file, so that they are not reported as missing.
    excused: Vec<&'static str>,
    /// Arguments of the behaviour of a group, which may be written directly in the group.
    beside: Vec<&'static str>,
}

impl Among {
    fn one(keys: &'static Keys) -> Self {
        Self {
            keys: keys.iter().collect(),
            ..Self::default()
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().chain(&self.elsewhere).map(|key| key.name)
    }
}

/// The severity with which an unknown key is reported.
#[derive(Clone, Copy)]
enum Unknown {
    /// As an error.
    Error,
    /// As a warning, since it is an argument that the component does not take. Upstream's files contain some.
    Warning,
}

struct Walk<'a> {
    findings: &'a mut Vec<Finding>,
    uids: &'a mut Vec<NamedUids>,
    corrected: &'a HashSet<Origin>,
    /// Arguments of a behaviour that are probably misspelt in its group.
    misplaced: Vec<&'static str>,
    /// Whether an argument is ignored that is similar to one that the component takes.
    has_misspelt_argument: bool,
}

impl Walk<'_> {
    /// Checks a map of known keys and returns it with its defaults. A missing key is reported at `at`.
    fn table(&mut self, among: &Among, node: &Node, at: Origin, path: &str, unknown: Unknown) -> Node {
        let mut excused = self.unknown_keys(among, node, path, unknown);
        excused.extend(&among.excused);
        let misplaced = excused.iter().filter(|name| among.beside.contains(name));
        self.misplaced.extend(misplaced);
        let mut resolved = Vec::new();
        for key in &among.keys {
            let path = join(path, key.name);
            let entry = node.entry(key.name);
            let given = entry.filter(|entry| !is_left_out(key, &entry.value));
            let value = match (given, key.need) {
                (Some(entry), Need::Ignored(why)) => {
                    self.findings.push(
                        Finding::warning(entry.key_origin, format!("`{path}` has no effect: {why}"))
                            .with_help("remove it"),
                    );
                    None
                }
                (Some(entry), _) if self.corrected.contains(&entry.key_origin) => {
                    self.quietly(&key.kind, &entry.value, entry.key_origin, &path)
                }
                (Some(entry), _) => self.value(&key.kind, &entry.value, entry.key_origin, &path),
                (None, Need::Required) if excused.contains(&key.name) => None,
                (None, Need::Required) => {
                    let origin = entry.map_or(at, |entry| entry.key_origin);
                    self.findings
                        .push(
                            Finding::error(origin, format!("`{path}` is missing")).with_help(format!(
                                "expected {}. {}",
                                in_words(&key.kind),
                                without_links(&key.doc.summary())
                            )),
                        );
                    None
                }
                (None, Need::Default(default)) => {
                    let default = Node::from_json(&default(), Origin::Default);
                    self.value(&key.kind, &default, Origin::Default, &path)
                }
                // A placeholder, which `rules::settle` replaces with the inherited value.
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

    /// Reports the unknown keys of a map. Returns the known keys that are similar to them.
    fn unknown_keys(
        &mut self,
        among: &Among,
        node: &Node,
        path: &str,
        unknown: Unknown,
    ) -> Vec<&'static str> {
        let mut known = names_with_effect(among.keys.iter().chain(&among.elsewhere).copied());
        known.extend(&among.beside);
        let required = among.keys.iter().filter(|key| matches!(key.need, Need::Required));
        let missing = required.filter(|key| node.get(key.name).is_none_or(Node::is_null));
        let missing: Vec<&str> = missing.map(|key| key.name).collect();
        let mut meant = Vec::new();
        for entry in node.entries() {
            if among.names().any(|name| name == entry.key) {
                continue;
            }
            let near = nearest(&entry.key, &known);
            let (place, key) = (place(path), brief(&entry.key));
            let is_fatal =
                entry.key_origin.overridden_by().is_some() || near.iter().any(|name| missing.contains(name));
            self.findings.push(match unknown {
                Unknown::Error if among.beside.contains(&entry.key.as_str()) => {
                    let help =
                        format!("write it in `behaviour`: `behaviour: {{name: …, args: {{{key}: …}}}}`");
                    let help = match key {
                        "args" => "write it in `behaviour`: `behaviour: {name: …, args: {…}}`".to_owned(),
                        _ => help,
                    };
                    unknown_key(entry, path, &known).with_help(help)
                }
                Unknown::Error => unknown_key(entry, path, &known),
                Unknown::Warning if is_rest_of_set(entry) => unknown_key(entry, path, &known),
                Unknown::Warning if is_fatal => {
                    let message = format!("{place} takes no argument `{key}`");
                    Finding::error(entry.key_origin, message).with_help(suggest(key, &known))
                }
                Unknown::Warning => {
                    self.has_misspelt_argument |= !near.is_empty();
                    let message = format!("{place} takes no argument `{key}`: it is ignored");
                    Finding::warning(entry.key_origin, message).with_help(suggest(key, &known))
                }
            });
            for name in near {
                if !meant.contains(&name) {
                    meant.push(name);
                }
            }
        }
        meant
    }

    /// Checks a value and returns it in its normal form. Reports a problem and returns `None` if it is not of the kind.
    fn value(&mut self, kind: &'static Kind, node: &Node, at: Origin, path: &str) -> Option<Node> {
        let keep = |content| Some(Node::new(content, node.origin));
        match (kind, &node.content) {
            (Kind::Anything, _) | (Kind::Bool, Content::Bool(_)) => Some(node.clone()),
            (Kind::Integer(range), _) => match node.as_integer().filter(|integer| range.contains(integer)) {
                Some(integer) => keep(Content::Integer(integer)),
                None => self.misfit(kind, node, path),
            },
            (Kind::StepCount(range), _) => self.counted(kind, range, notation::steps, node, path),
            (Kind::StepNumber(range), _) => self.counted(kind, range, notation::step, node, path),
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
                        format!("`{path}` must be a string, not {}", node.describe()),
                    )
                    .with_help("put the value in quotes"),
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
            (Kind::Either(one, other), content) => {
                let fits = [one, other]
                    .into_iter()
                    .find_map(|kind| self.quietly(kind, node, at, path));
                // A problem inside a map, a list or a set of uids is reported at its place inside.
                let formed = [one, other].into_iter().find(|kind| has_form(kind, content));
                match (fits, formed) {
                    (Some(value), _) => Some(value),
                    (None, Some(formed)) => self.value(formed, node, at, path),
                    (None, None) => self.misfit(kind, node, path),
                }
            }
            (Kind::UidSet(whose), _) => self.uids(*whose, kind, node, path),
            (Kind::Notation(notation), Content::Text(_) | Content::Integer(_) | Content::Number(_)) => {
                let Some(text) = node.written_text() else {
                    return self.misfit(kind, node, path);
                };
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
                let mut named = BTreeSet::new();
                for entry in entries {
                    if is_rest_of_set(entry) {
                        let message = format!("`{}` in `{path}` has no value", brief(&entry.key));
                        self.findings
                            .push(Finding::error(entry.key_origin, message).with_help(QUOTE_COMMAS));
                        continue;
                    }
                    match entry.key.parse::<Uids>() {
                        Ok(uids) => {
                            self.names(Whose::Miner, &uids, entry.key_origin, path);
                            let Some(value) = self.entry(inner, entry, path) else {
                                continue;
                            };
                            let mut ranges = uids.ranges().iter();
                            let twice = ranges.find_map(|range| named.range(range.clone()).next());
                            if let Some(twice) = twice {
                                let message = format!("uid {twice} is named twice in `{path}`");
                                let finding = Finding::error(entry.key_origin, message);
                                self.findings.push(finding.with_help("write each uid only once"));
                                continue;
                            }
                            named.extend(uids.iter());
                            by_uid.extend(uids.iter().map(|uid| Entry {
                                key: uid.to_string(),
                                ..value.clone()
                            }));
                        }
                        Err(message) => {
                            let key = brief(&entry.key);
                            let message = format!("`{key}` in `{path}` is not a uid: {message}");
                            self.findings.push(
                                Finding::error(entry.key_origin, message)
                                    .with_help("write `uid: value`, or `0-2: value` for several uids"),
                            );
                        }
                    }
                }
                keep(Content::ByUid(by_uid))
            }
            (Kind::Table(keys), Content::Map(_)) => {
                let mut among = Among::one(keys);
                among.beside =
                    behaviours(keys).map_or_else(Vec::new, |family| beside_behaviour(family, node));
                Some(self.table(&among, node, at, path, Unknown::Error))
            }
            (Kind::Forms(forms), Content::Map(_)) => self.form(forms, node, at, path),
            (Kind::Forms(forms), _) => {
                let value = plain(forms).and_then(|kind| self.quietly(kind, node, at, path));
                let (Some(value), Some(key)) = (value, forms.plain) else {
                    return self.misfit(kind, node, path);
                };
                self.form(forms, &map_of(key, value), at, path)
            }
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

    /// Checks a value in whose place a word is also allowed. The message of a problem describes both.
    fn or(&mut self, both: &Kind, other: &'static Kind, node: &Node, path: &str) -> Option<Node> {
        self.quietly(other, node, node.origin, path)
            .or_else(|| self.misfit(both, node, path))
    }

    /// Checks a value without reporting problems. Returns `None` if there is an error in it.
    fn quietly(&mut self, kind: &'static Kind, node: &Node, at: Origin, path: &str) -> Option<Node> {
        let (mut findings, mut uids) = (Vec::new(), Vec::new());
        let mut quiet = Walk {
            findings: &mut findings,
            uids: &mut uids,
            corrected: self.corrected,
            misplaced: Vec::new(),
            has_misspelt_argument: false,
        };
        let value = quiet.value(kind, node, at, path)?;
        if findings.iter().any(Finding::is_error) {
            return None;
        }
        self.uids.append(&mut uids);
        Some(value)
    }

    /// Records the uids that are named in one place, represented by the range with the largest end.
    fn names(&mut self, whose: Whose, uids: &Uids, origin: Origin, path: &str) {
        let range = uids.ranges().iter().max_by_key(|range| *range.end());
        if let Some(range) = range.filter(|_| origin != Origin::Default) {
            self.uids.push(NamedUids {
                whose,
                uids: range.clone(),
                origin,
                in_fault: path.starts_with("faults"),
            });
        }
    }

    /// Checks a set of uids and returns it as a string.
    fn uids(&mut self, whose: Whose, kind: &Kind, node: &Node, path: &str) -> Option<Node> {
        let single = std::slice::from_ref(node);
        let is_list = matches!(node.content, Content::List(_));
        let items = if is_list { node.items() } else { single };
        let mut ranges = Vec::new();
        let mut is_sound = true;
        for (index, item) in items.iter().enumerate() {
            let path = if is_list {
                format!("{path}[{index}]")
            } else {
                path.to_owned()
            };
            let read = item.written_text().map(|text| match whose {
                Whose::ValidatorIndex => Uids::of_indices(&text),
                Whose::Miner | Whose::Neuron => text.parse(),
            });
            match read {
                Some(Ok(uids)) => {
                    self.names(whose, &uids, item.origin, &path);
                    ranges.extend_from_slice(uids.ranges());
                }
                Some(Err(message)) => {
                    is_sound = false;
                    self.miswritten(&message, &in_words(kind), item, &path);
                }
                None => {
                    is_sound = false;
                    self.misfit(kind, item, &path);
                }
            }
        }
        if !is_sound {
            return None;
        }
        match Uids::of_ranges(ranges) {
            Ok(uids) => Some(Node::text(uids.to_string(), node.origin)),
            Err(message) => self.miswritten(&message, &in_words(kind), node, path),
        }
    }

    /// Checks a whole number, or a string with a number and its unit, and returns the number.
    fn counted(
        &mut self,
        kind: &Kind,
        range: &RangeInclusive<i128>,
        read: fn(&str) -> Option<u64>,
        node: &Node,
        path: &str,
    ) -> Option<Node> {
        let written = node.as_text().and_then(read).map(i128::from);
        let number = node.as_integer().or(written);
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(Node::new(Content::Integer(number), node.origin)),
            None => self.misfit(kind, node, path),
        }
    }

    /// Checks a map that may have one of several forms. The form with the most keys in the map applies.
    fn form(&mut self, forms: &'static Forms, node: &Node, at: Origin, path: &str) -> Option<Node> {
        let all = || forms.forms.iter().flat_map(|form| form.iter());
        let known = names_with_effect(all());
        // A misspelt key counts as the key that it is similar to.
        let meant = |entry: &Entry| match nearest(&entry.key, &known)[..] {
            [name] => Some(name),
            _ => None,
        };
        let given: Vec<&str> = node.entries().iter().filter_map(meant).collect();
        let has = |form: &Keys| form.iter().filter(|key| given.contains(&key.name)).count();
        // If several forms have the same number of keys in the map, the first one applies.
        let best = forms.forms.iter().rev().max_by_key(|form| has(form));
        // The keys that all forms have do not decide which form it is.
        let is_common = |name: &str| forms.forms.iter().all(|form| form.get(name).is_some());
        let is_decided = given.iter().any(|name| !is_common(name))
            || forms.forms.iter().any(|form| {
                let mut required = form.iter().filter(|key| matches!(key.need, Need::Required));
                required.all(|key| is_common(key.name))
            });
        let Some(form) = best.filter(|form| is_decided && has(form) > 0) else {
            let any = Among {
                elsewhere: all().collect(),
                ..Among::default()
            };
            self.table(&any, node, at, path, Unknown::Error);
            // Unknown keys are already reported.
            if node
                .entries()
                .iter()
                .all(|entry| known.contains(&entry.key.as_str()))
            {
                let ways: Vec<String> = forms.forms.iter().map(|form| needed(form)).collect();
                self.findings.push(
                    Finding::error(node.origin, format!("`{path}` is not {}", forms.what))
                        .with_help(format!("write the keys of one form: {}", ways.join("; "))),
                );
            }
            return None;
        };
        let before = self.findings.len();
        let among = Among {
            keys: form.iter().collect(),
            elsewhere: all().filter(|key| form.get(key.name).is_none()).collect(),
            ..Among::default()
        };
        for entry in node.entries() {
            if among.elsewhere.iter().any(|key| key.name == entry.key) {
                self.findings.push(
                    Finding::error(
                        entry.key_origin,
                        format!(
                            "`{}` cannot be combined with {}",
                            join(path, &entry.key),
                            needed(form)
                        ),
                    )
                    .with_help(format!("write the keys of only one form of {}", forms.what)),
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

    /// Checks a component: its name, a map of its name and arguments, or a number if the family has a component for it.
    fn component(
        &mut self,
        family: &'static Family,
        kind: &Kind,
        node: &Node,
        at: Origin,
        path: &str,
    ) -> Option<Node> {
        let mut misplaced = Vec::new();
        let (name, args) = match (&node.content, family.number_means) {
            (Content::Text(_), _) => (node.clone(), None),
            (Content::Integer(_) | Content::Number(_), Some((name, argument))) => {
                let of_argument = family
                    .variant(name)
                    .and_then(|variant| variant.args.get(argument));
                let number = of_argument.and_then(|key| self.quietly(&key.kind, node, at, path));
                let Some(number) = number else {
                    return self.misfit(kind, node, path);
                };
                (Node::text(name, node.origin), Some(map_of(argument, number)))
            }
            (Content::Map(_), _) => {
                misplaced = self.beside_name(family, node, path);
                let Some(name) = node.get("name") else {
                    if !misplaced.contains(&"name") {
                        let names: Vec<&str> = family.variants().map(|variant| variant.name).collect();
                        self.findings.push(
                            Finding::error(at, format!("`{path}.name` is missing"))
                                .with_help(format!("expected one of {}", list(&names))),
                        );
                    }
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
                || format!("expected one of {}", list(&names)),
                |name| suggest(name, &names),
            );
            let found = name
                .as_text()
                .map_or_else(|| name.describe(), |name| format!("`{}`", brief(name)));
            self.findings.push(
                Finding::error(
                    name.origin,
                    format!("`{path}`: no {} is called {found}", family.name.replace('_', " ")),
                )
                .with_help(help),
            );
            return None;
        };
        let args = args.unwrap_or_else(|| Node::new(Content::Map(Vec::new()), name.origin));
        if !args.is_map() {
            self.findings.push(
                Finding::error(
                    args.origin,
                    format!(
                        "`{path}.args` must be a map of arguments, not {}",
                        args.describe()
                    ),
                )
                .with_help("write `name: value` for each argument"),
            );
            return None;
        }
        let mut among = Among::one(variant.args);
        if misplaced.contains(&"args") {
            among.excused = names_with_effect(variant.args.iter());
        }
        among.excused.extend(misplaced);
        among.excused.append(&mut self.misplaced);
        let args = self.table(&among, &args, name.origin, &join(path, "args"), Unknown::Warning);
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

    /// Reports the keys of a component other than `name` and `args`. Returns the known keys that are similar to them.
    fn beside_name(&mut self, family: &Family, node: &Node, path: &str) -> Vec<&'static str> {
        let named = node.get("name").and_then(Node::as_text);
        let variant = named.and_then(|name| family.variant(name));
        let arguments = variant.map(|variant| names_with_effect(variant.args.iter()));
        let arguments = arguments.unwrap_or_default();
        let mut meant = Vec::new();
        for entry in node.entries() {
            if matches!(entry.key.as_str(), "name" | "args") {
                continue;
            }
            let mut finding = unknown_key(entry, path, &["name", "args"]);
            if arguments.contains(&entry.key.as_str()) {
                let help = format!(
                    "it is an argument of the component: write `args: {{{}: …}}`",
                    entry.key
                );
                finding = finding.with_help(help);
            }
            self.findings.push(finding);
            let near = nearest(&entry.key, &["name", "args"]);
            meant.extend(near);
            meant.extend(nearest(&entry.key, &arguments));
        }
        meant
    }

    fn misfit(&mut self, kind: &Kind, node: &Node, path: &str) -> Option<Node> {
        let help = match kind {
            Kind::Bool => "write `true` or `false`, without quotes".to_owned(),
            Kind::Integer(range) if *range.end() >= i128::from(u64::MAX) => {
                format!("it must be {} to {}", in_words(kind), range.end())
            }
            _ => format!("it must be {}", in_words(kind)),
        };
        let help = match kind {
            Kind::Integer(_) if node.may_be_rounded() => {
                format!("{help}. Write one of 16 or more digits without a decimal point and an exponent")
            }
            _ => help,
        };
        let found = match (kind, node.as_text()) {
            (Kind::Integer(_), Some(digits)) if is_too_large(digits) => {
                format!("the number {}", brief(digits))
            }
            _ => node.describe(),
        };
        self.findings
            .push(Finding::error(node.origin, format!("`{path}` cannot be {found}")).with_help(help));
        None
    }

    fn miswritten(&mut self, message: &str, what: &str, node: &Node, path: &str) -> Option<Node> {
        self.findings.push(
            Finding::error(node.origin, format!("`{path}`: {message}")).with_help(format!("write {what}")),
        );
        None
    }
}

/// Returns whether a value counts as if its key were missing: null, or an empty list for an optional set of uids.
fn is_left_out(key: &Key, value: &Node) -> bool {
    let may_name_nobody = matches!((&key.kind, key.need), (Kind::UidSet(_), Need::Optional));
    let is_empty_list = matches!(&value.content, Content::List(items) if items.is_empty());
    value.is_null() || may_name_nobody && is_empty_list
}

/// Returns whether a value of this kind can be a map, a list or a string, as `content` is, so that its problems are
/// reported inside it.
fn has_form(kind: &Kind, content: &Content) -> bool {
    match content {
        Content::Map(_) => matches!(
            kind,
            Kind::Map(_) | Kind::ByUid(_) | Kind::Table(_) | Kind::Forms(_)
        ),
        Content::List(_) => matches!(kind, Kind::List(_) | Kind::OneOrMany(_) | Kind::UidSet(_)),
        Content::Text(_) => matches!(kind, Kind::UidSet(_)),
        _ => false,
    }
}

/// Returns whether a string consists of the digits of a number that is larger than every number of a file.
fn is_too_large(digits: &str) -> bool {
    let has_only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    has_only_digits && digits.parse::<u64>().is_err()
}

/// Returns a map of one key with the origin of its value.
fn map_of(key: &str, value: Node) -> Node {
    let origin = value.origin;
    let entry = Entry {
        key: key.to_owned(),
        key_origin: origin,
        value,
    };
    Node::new(Content::Map(vec![entry]), origin)
}

/// Lists the required keys of a form for a message.
fn needed(form: &Keys) -> String {
    let needed = form.iter().filter(|key| matches!(key.need, Need::Required));
    let names: Vec<&str> = needed.map(|key| key.name).collect();
    list(&names)
}

/// Returns whether a scalar is the YAML value `word`.
fn written_as(content: &Content, word: &str) -> bool {
    match (content, tree::scalar(word)) {
        (Content::Text(text), Content::Text(word)) => *text == word,
        (Content::Integer(_) | Content::Number(_), Content::Integer(word)) => {
            Node::new(content.clone(), Origin::Default).as_integer() == Some(word)
        }
        _ => false,
    }
}
