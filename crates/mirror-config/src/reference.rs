//! The reference of the experiment file: the tables of `docs/experiment-file.md`, written from the declarations of
//! keys.
//!
//! The page's own text is written by hand. A table stands between `<!-- keys of network.miners[] -->` and `<!-- end
//! -->`, all components of a family between `<!-- components of gating_model -->` and `<!-- end -->`. `cargo xtask doc`
//! writes them anew, and a test compares them.

use std::fmt::Write;

use mirror_spec::key::{Family, Forms, HasKeys, Key, Keys, Kind, Need, Property, Variant};
use mirror_spec::{Experiment, FAMILIES};

use crate::describe::{in_words, list, need_in_words};

/// What begins a part that is written from the declarations.
const BEGIN: &str = "<!-- ";
/// What ends it.
const END: &str = "<!-- end -->";
/// Characters of a line of prose.
const WIDTH: usize = 120;
/// The name of the file's own keys.
const WHOLE_FILE: &str = "the file";

/// The page with every part that comes from the declarations written anew.
///
/// # Errors
/// A sentence on the marker that names nothing, that has no end, or that is missing from the page.
pub fn update(page: &str) -> Result<String, String> {
    let mut parts = parts();
    let mut updated = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        writeln!(updated, "{line}").expect("a text takes every line");
        let Some(name) = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        let position = parts.iter().position(|(marker, _)| marker == name);
        let position =
            position.ok_or_else(|| format!("`{line}` names nothing that is declared, or again"))?;
        let (_, text) = parts.remove(position);
        updated.push_str(&text);
        let next = lines.by_ref().find(|line| line.starts_with(BEGIN));
        if next != Some(END) {
            return Err(format!("`{line}` is not followed by `{END}`"));
        }
        writeln!(updated, "{END}").expect("a text takes every line");
    }
    match parts.first() {
        Some((marker, _)) => Err(format!("the page has no part `{BEGIN}{marker} -->`")),
        None => Ok(updated),
    }
}

/// Every part by its marker.
fn parts() -> Vec<(String, String)> {
    let mut parts = Vec::new();
    tables(WHOLE_FILE, Experiment::KEYS, &mut parts);
    for family in FAMILIES {
        parts.push((format!("components of {}", family.name), components(family)));
    }
    parts
}

/// The table of a map, and those of the maps in it.
fn tables(path: &str, keys: &'static Keys, parts: &mut Vec<(String, String)>) {
    parts.push((format!("keys of {path}"), table(keys)));
    for key in keys.iter() {
        let inside = if path == WHOLE_FILE {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        nested(&inside, &key.kind, parts);
    }
}

fn nested(path: &str, kind: &Kind, parts: &mut Vec<(String, String)>) {
    match kind {
        Kind::Table(keys) => tables(path, keys, parts),
        Kind::Forms(forms) => parts.push((format!("keys of {path}"), forms_table(forms))),
        Kind::List(each) | Kind::OneOrMany(each) => nested(&format!("{path}[]"), each, parts),
        Kind::Map(each) | Kind::ByUid(each) => nested(&format!("{path}.*"), each, parts),
        Kind::Or(_, other) => nested(path, other, parts),
        Kind::Either(one, other) => {
            nested(path, one, parts);
            nested(path, other, parts);
        }
        _ => {}
    }
}

/// A table, with the keys that have no effect below it.
fn table(keys: &'static Keys) -> String {
    let rows = keys.iter().filter(|key| !is_ignored(key));
    let rows = rows.map(|key| row(key, &need_in_words(key)));
    let ignored: Vec<&str> = keys
        .iter()
        .filter(|key| is_ignored(key))
        .map(|key| key.name)
        .collect();
    let mut text = with_head(rows);
    if !ignored.is_empty() {
        writeln!(text, "\nRead and ignored: {}.", list(&ignored)).expect("a text takes every line");
    }
    text
}

/// The keys of all forms of a map; beside each those that it goes with.
fn forms_table(forms: &Forms) -> String {
    let rows = forms.forms.iter().flat_map(|form| {
        form.iter().map(|key| {
            let others: Vec<&str> = form
                .iter()
                .filter(|other| other.name != key.name && matches!(other.need, Need::Required))
                .map(|other| other.name)
                .collect();
            let need = match key.need {
                Need::Required if forms.forms.len() == 1 => "required".to_owned(),
                Need::Required if others.is_empty() => "alone".to_owned(),
                Need::Required => format!("with {}", list(&others)),
                _ => need_in_words(key),
            };
            row(key, &need)
        })
    });
    with_head(rows)
}

fn components(family: &Family) -> String {
    let parts = family.variants().map(component);
    parts.collect::<Vec<String>>().concat()
}

fn component(variant: &Variant) -> String {
    let planned = if variant.has(Property::Planned) {
        " (not in this version)"
    } else {
        ""
    };
    let mut text = format!("\n#### `{}`{planned}\n", variant.name);
    for paragraph in variant.doc.paragraphs() {
        write!(text, "\n{}\n", wrapped(&paragraph)).expect("a text takes every line");
    }
    if variant.args.iter().next().is_some() {
        text.push_str(&table(variant.args));
    } else {
        text.push_str("\nIt takes no arguments.\n");
    }
    text
}

/// A paragraph in lines of at most [`WIDTH`] characters, where its words allow it.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        let separator = match width {
            0 => "",
            _ if width + 1 + length > WIDTH => "\n",
            _ => " ",
        };
        width = if separator == " " {
            width + 1 + length
        } else {
            length
        };
        text.extend([separator, word]);
    }
    text
}

fn with_head(rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.collect();
    format!("\n| key | what may stand there | default | meaning |\n|---|---|---|---|\n{rows}")
}

fn row(key: &Key, need: &str) -> String {
    format!(
        "| `{}` | {} | {need} | {} |\n",
        key.name,
        in_words(&key.kind),
        key.doc.summary()
    )
}

fn is_ignored(key: &Key) -> bool {
    matches!(key.need, Need::Ignored(_))
}
