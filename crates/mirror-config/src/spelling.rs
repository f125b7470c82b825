//! Misspelt names: which of the known ones was meant.

use std::collections::HashSet;

use mirror_spec::key::{Family, HasKeys, Key, Keys, Kind, Need};
use mirror_spec::{BehaviourSpec, MinerGroup, ValidatorBehaviour, ValidatorGroup};

use crate::describe::list;
use crate::problem::Finding;
use crate::tree::{Content, Entry, Node, Origin};

/// Names longer than this, in bytes, are not compared with the known ones.
const LONGEST_NAME: usize = 64;

/// `did you mean …?` where some are near, and all that are known.
pub fn suggest(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "nothing is known here: leave it out".into();
    }
    let all = format!("known here: {}", list(known));
    let near = nearest(name, known);
    match near.split_last() {
        None => all,
        Some((last, [])) => format!("did you mean `{last}`? {all}"),
        Some((last, others)) => format!("did you mean {} or `{last}`? {all}", list(others)),
    }
}

/// The known names that are nearest to this one; none where none is near.
///
/// A name is near if one letter makes the difference, or less than half of the letters do. All that are as near as the
/// nearest are given, in their order.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    if name.len() > LONGEST_NAME {
        return Vec::new();
    }
    let length = name.chars().count();
    let near = known.iter().filter_map(|word| {
        let other = word.chars().count();
        let is_near = |distance: usize| distance <= 1 || 2 * distance < length.max(other);
        // They differ by at least as many letters as one is longer.
        let distance = is_near(length.abs_diff(other)).then(|| distance(name, word))?;
        is_near(distance).then_some((distance, *word))
    });
    let near: Vec<(usize, &str)> = near.collect();
    let least = near.iter().map(|(distance, _)| *distance).min();
    let mut names = Vec::new();
    for (distance, word) in near {
        if Some(distance) == least && !names.contains(&word) {
            names.push(word);
        }
    }
    names
}

/// How many letters are put in, left out, exchanged for another or swapped with their neighbour.
fn distance(name: &str, word: &str) -> usize {
    strsim::damerau_levenshtein(&name.to_lowercase(), &word.to_lowercase())
}

/// A name from a file as a message can hold it.
pub(crate) fn brief(name: &str) -> &str {
    name.char_indices()
        .nth(LONGEST_NAME)
        .map_or(name, |(end, _)| &name[..end])
}

/// The names of the keys that have an effect.
pub(crate) fn names_with_effect<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in keys {
        if !matches!(key.need, Need::Ignored(_)) && !names.contains(&key.name) {
            names.push(key.name);
        }
    }
    names
}

/// The place of a map, as messages name it.
pub(crate) fn place(path: &str) -> String {
    if path.is_empty() {
        "this file".to_owned()
    } else {
        format!("`{path}`")
    }
}

/// What is wrong with a key that the map at `path` does not know. `known`: the keys that it has.
pub(crate) fn unknown_key(entry: &Entry, path: &str, known: &[&str]) -> Finding {
    let (key, place) = (brief(&entry.key), place(path));
    let message = format!("unknown key `{key}` in {place}");
    let is_of_set = entry.value.is_null() && key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let help = if is_of_set && !key.is_empty() {
        "a text with a comma inside `{…}` or `[…]` stands in quotes: `\"0-2,5\"`".to_owned()
    } else {
        suggest(key, known)
    };
    Finding::error(entry.key_origin, message).with_help(help)
}

/// Takes each key that is one letter away from exactly one key of its map for that key, and tells it, so that nothing
/// else need be said of the mistake. Arguments of components are left as they are. Gives where those keys stand.
pub(crate) fn correct(keys: &'static Keys, root: &mut Node, findings: &mut Vec<Finding>) -> HashSet<Origin> {
    let mut corrected = HashSet::new();
    Correction {
        findings,
        corrected: &mut corrected,
    }
    .table(keys, root, "");
    corrected
}

struct Correction<'a> {
    findings: &'a mut Vec<Finding>,
    corrected: &'a mut HashSet<Origin>,
}

impl Correction<'_> {
    fn table(&mut self, keys: &'static Keys, node: &mut Node, path: &str) {
        let own = keys.iter().map(|key| key.name);
        let mut all: Vec<&str> = own.chain(old_keys(path).iter().copied()).collect();
        let mut known = names_with_effect(keys.iter());
        if let Some(family) = behaviours(keys) {
            all.push("args");
            all.extend(arguments(family.all));
            // The behaviour's own name comes first, for it says which arguments there are.
            self.keys(node, path, &all, &known);
            known.extend(beside_behaviour(family, node));
        }
        self.keys(node, path, &all, &known);
        let Content::Map(entries) = &mut node.content else {
            return;
        };
        for entry in entries {
            if let Some(key) = keys.get(&entry.key) {
                self.value(&key.kind, &mut entry.value, &join(path, key.name));
            }
        }
    }

    fn value(&mut self, kind: &'static Kind, node: &mut Node, path: &str) {
        match (kind, &mut node.content) {
            (Kind::Table(keys), _) => self.table(keys, node, path),
            (Kind::List(inner), Content::List(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(inner, item, &format!("{path}[{index}]"));
                }
            }
            (Kind::Map(inner), Content::Map(entries)) => {
                for entry in entries {
                    let path = join(path, brief(&entry.key));
                    self.value(inner, &mut entry.value, &path);
                }
            }
            _ => {}
        }
    }

    /// Corrects the keys of one map. `all`: keys that it can have; `known`: those of them that can be meant.
    fn keys(&mut self, node: &mut Node, path: &str, all: &[&str], known: &[&'static str]) {
        let Content::Map(entries) = &mut node.content else {
            return;
        };
        let mut written: HashSet<&str> = HashSet::new();
        for entry in entries.iter() {
            written.extend(all.iter().filter(|key| **key == entry.key));
        }
        for entry in entries {
            if all.contains(&entry.key.as_str()) {
                continue;
            }
            if let [meant] = nearest(&entry.key, known)[..]
                && distance(&entry.key, meant) <= 1
                && written.insert(meant)
            {
                self.findings.push(unknown_key(entry, path, known));
                self.corrected.insert(entry.key_origin);
                meant.clone_into(&mut entry.key);
            }
        }
    }
}

/// Keys that the shorthands and the oldest form of a map have, besides those that are declared.
fn old_keys(path: &str) -> &'static [&'static str] {
    match path {
        "model" => &["path"],
        "data" => &["schema"],
        "analysis" => &["compute"],
        _ => &[],
    }
}

/// The behaviours of a group, whose arguments may stand beside their name.
pub(crate) fn behaviours(keys: &'static Keys) -> Option<&'static Family> {
    if std::ptr::eq(keys, MinerGroup::KEYS) {
        Some(BehaviourSpec::FAMILY)
    } else if std::ptr::eq(keys, ValidatorGroup::KEYS) {
        Some(ValidatorBehaviour::FAMILY)
    } else {
        None
    }
}

/// Keys that may stand beside the behaviour that a group names; beside a name that is not known, those of every one.
pub(crate) fn beside_behaviour(family: &'static Family, group: &Node) -> Vec<&'static str> {
    let behaviour = group.get("behaviour");
    let name = behaviour.map(|behaviour| behaviour.get("name").unwrap_or(behaviour));
    let named = name.map_or(Some("honest"), Node::as_text);
    let Some(named) = named else { return Vec::new() };
    let arguments = match family.variant(named) {
        Some(variant) => arguments(std::slice::from_ref(variant)),
        None => arguments(family.all),
    };
    std::iter::once("args").chain(arguments).collect()
}

fn arguments(variants: &'static [mirror_spec::key::Variant]) -> Vec<&'static str> {
    let keys = variants.iter().flat_map(|variant| variant.args.iter());
    names_with_effect(keys)
}

/// The path of a key in the map at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
