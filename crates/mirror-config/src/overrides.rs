//! Overrides from the command line, `path=value`, put into a file's tree before it is checked.

use crate::problem::Finding;
use crate::tree::{self, Content, Entry, Node, Origin};

/// Puts each override where its path leads; maps on the way are made where they are missing.
pub(crate) fn apply(root: &mut Node, overrides: &[(String, String)], findings: &mut Vec<Finding>) {
    for (index, (path, value)) in overrides.iter().enumerate() {
        let origin = Origin::Override(index);
        let mut unreadable = Vec::new();
        let Some(mut value) = tree::read(value, &mut unreadable) else {
            findings.push(Finding::error(origin, "the value is not YAML").with_help("quote it"));
            continue;
        };
        value.relabel(origin);
        if let Err(finding) = set(root, path, value, origin) {
            findings.push(finding);
        }
    }
}

fn set(root: &mut Node, path: &str, value: Node, origin: Origin) -> Result<(), Finding> {
    let mut place = root;
    let mut walked = String::new();
    for key in path.split('.') {
        if key.is_empty() {
            return Err(Finding::error(origin, "the path has an empty part")
                .with_help("write it as `query.method.args.max_iter=50`"));
        }
        place = child(place, key, &walked, origin)?;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(key);
    }
    *place = value;
    Ok(())
}

/// What stands at a key of a map or at an index of a list.
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
            let length = items.len();
            key.parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| {
                    Finding::error(
                        origin,
                        format!("`{walked}` is a list of {length}, which has no item `{key}`"),
                    )
                    .with_help("items are counted from 0")
                })
        }
        _ => Err(Finding::error(
            origin,
            format!("`{walked}` is {found}, so nothing can be set under it"),
        )
        .with_help(format!(
            "set `{walked}` as a whole, or write it as a map in the file"
        ))),
    }
}
