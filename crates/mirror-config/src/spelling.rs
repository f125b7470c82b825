//! Suggestions for misspelt names, and the correction of misspelt keys.

use std::collections::HashSet;

use mirror_spec::key::{Family, HasKeys, Key, Keys, Kind, Need};
use mirror_spec::{
    BehaviourSpec, InjectFault, InjectValidatorsFault, MinerGroup, Newcomers, ValidatorBehaviour,
    ValidatorGroup,
};

use crate::describe::list;
use crate::problem::Finding;
use crate::tree::{Content, Entry, Node, Origin};

/// Maximum length in bytes of a name that is compared with the known names.
const LONGEST_NAME: usize = 64;

/// Maximum number of known names that are listed next to similar ones.
const MAX_LISTED: usize = 30;

/// Returns a help text for an unknown name: `did you mean …?` if similar names exist, and the list of known names. A
/// long list is left out if similar names exist.
pub fn suggest(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "no name is valid here: remove it".into();
    }
    let all = || format!("expected one of {}", list(known));
    match did_you_mean(name, known) {
        Some(question) if known.len() > MAX_LISTED => question,
        Some(question) => format!("{question} {}", all()),
        None => all(),
    }
}

/// Returns the question `did you mean …?` with the known names that are most similar to `name`, or `None` if none is
/// similar.
pub fn did_you_mean(name: &str, known: &[&str]) -> Option<String> {
    let near = nearest(name, known);
    match near.split_last()? {
        (last, []) => Some(format!("did you mean `{last}`?")),
        (last, others) => Some(format!("did you mean {} or `{last}`?", list(others))),
    }
}

/// Returns the known names that are most similar to `name`, or no names if none is similar.
///
/// A name is similar if it differs in at most one letter, or in less than half of the letters. All names at the
/// smallest distance are returned, in the order of `known`.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    if name.len() > LONGEST_NAME {
        return Vec::new();
    }
    let length = name.chars().count();
    let near = known.iter().filter_map(|word| {
        let other = word.chars().count();
        let is_near = |distance: usize| distance <= 1 || 2 * distance < length.max(other);
        // The distance is at least the difference of the lengths.
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

/// Returns the number of letters that are inserted, removed, replaced or swapped with their neighbour between two
/// names, regardless of case.
fn distance(name: &str, word: &str) -> usize {
    strsim::damerau_levenshtein(&name.to_lowercase(), &word.to_lowercase())
}

/// Returns the first [`LONGEST_NAME`] characters of a name from a file, for a message.
pub(crate) fn brief(name: &str) -> &str {
    name.char_indices()
        .nth(LONGEST_NAME)
        .map_or(name, |(end, _)| &name[..end])
}

/// Returns the names of the keys that are not ignored, each once.
pub(crate) fn names_with_effect<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in keys {
        if !matches!(key.need, Need::Ignored(_)) && !names.contains(&key.name) {
            names.push(key.name);
        }
    }
    names
}

/// Returns the name of the map at `path` for messages.
pub(crate) fn place(path: &str) -> String {
    if path.is_empty() {
        "this file".to_owned()
    } else {
        format!("`{path}`")
    }
}

/// Returns the error for a key that the map at `path` does not have. `known` contains the keys that it has.
pub(crate) fn unknown_key(entry: &Entry, path: &str, known: &[&str]) -> Finding {
    let (key, place) = (brief(&entry.key), place(path));
    let message = format!("unknown key `{key}` in {place}");
    let help = if is_rest_of_set(entry) {
        QUOTE_COMMAS.to_owned()
    } else {
        suggest(key, known)
    };
    Finding::error(entry.key_origin, message).with_help(help)
}

/// Help for a set of uids that is split at its comma.
pub(crate) const QUOTE_COMMAS: &str =
    "quote a value that contains a comma inside `{…}` or `[…]`: `\"0-2,5\"`";

/// Returns whether an entry of a map is probably the rest of a set of uids after a comma: `{uids: 0-2,5}` has the key
/// `5` without a value.
pub(crate) fn is_rest_of_set(entry: &Entry) -> bool {
    let key = &entry.key;
    let is_range = key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    entry.value.is_null() && is_range && !key.is_empty()
}

/// Reports each key that is one letter away from exactly one known key of its map, and renames it to that key, so that
/// the later checks do not report the same mistake again. Arguments of components are not corrected. Returns the
/// origins of the corrected keys.
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
            // The key `behaviour` is corrected first because its value determines the arguments.
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

    /// Corrects the keys of one map. `all` contains the keys that are valid, `known` the keys that a misspelt key may
    /// be corrected to.
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

/// Returns the keys that the shorthands and the oldest form of the map at `path` have in addition to the declared keys.
fn old_keys(path: &str) -> &'static [&'static str] {
    match path {
        "model" => &["path"],
        "data" => &["schema"],
        "analysis" => &["compute"],
        _ => &[],
    }
}

/// Returns the family of behaviours of a group, whose arguments may be written next to the behaviour's name, or `None`
/// if `keys` are not those of a group.
pub(crate) fn behaviours(keys: &'static Keys) -> Option<&'static Family> {
    let is_one_of = |groups: &[&'static Keys]| groups.iter().any(|group| std::ptr::eq(keys, *group));
    if is_one_of(&[MinerGroup::KEYS, InjectFault::KEYS, Newcomers::KEYS]) {
        Some(BehaviourSpec::FAMILY)
    } else if is_one_of(&[ValidatorGroup::KEYS, InjectValidatorsFault::KEYS]) {
        Some(ValidatorBehaviour::FAMILY)
    } else {
        None
    }
}

/// Returns the keys that may be written next to the behaviour of a group: `args` and the arguments of the behaviour, or
/// of every behaviour if its name is unknown or missing. Without a `behaviour` they are those of `honest`.
pub(crate) fn beside_behaviour(family: &'static Family, group: &Node) -> Vec<&'static str> {
    let behaviour = group.get("behaviour").filter(|behaviour| !behaviour.is_null());
    let name = behaviour.map(|behaviour| behaviour.get("name").unwrap_or(behaviour));
    let named = name.map_or(Some("honest"), Node::as_text);
    let arguments = match named.and_then(|named| family.variant(named)) {
        Some(variant) => arguments(std::slice::from_ref(variant)),
        None => arguments(family.all),
    };
    std::iter::once("args").chain(arguments).collect()
}

fn arguments(variants: &'static [mirror_spec::key::Variant]) -> Vec<&'static str> {
    let keys = variants.iter().flat_map(|variant| variant.args.iter());
    names_with_effect(keys)
}

/// Returns the path of a key in the map at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
