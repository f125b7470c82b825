//! Generates the tables of `docs/experiment-file.md`, the reference of the experiment file, from the declared keys.
//!
//! The rest of the page is written manually. The table of a map is between `<!-- keys of network.miners[] -->` and
//! `<!-- end -->`, the components of a family are between `<!-- components of gating_model -->` and `<!-- end -->`.
//! `cargo xtask doc` updates these parts, and a test checks that they are up to date.

use std::fmt::Write;

use mirror_spec::key::{Family, Forms, HasKeys, Key, Keys, Kind, Need, Variant};
use mirror_spec::{Experiment, FAMILIES};

use crate::describe::{in_words, list, need_in_words};

/// Start of the marker before a generated part.
const BEGIN: &str = "<!-- ";
/// Marker after a generated part.
const END: &str = "<!-- end -->";
/// Maximum length of a line of prose, in characters.
const WIDTH: usize = 120;
/// Name of the table of top-level keys.
const WHOLE_FILE: &str = "the file";

/// Returns the page with every generated part updated.
///
/// # Errors
/// Returns an error if a marker names no part or a part that was named before, if a part has no end marker, or if a
/// part is missing from the page.
pub fn update(page: &str) -> Result<String, String> {
    let mut parts = parts();
    let mut updated = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        writeln!(updated, "{line}").expect("writing to a string cannot fail");
        let Some(name) = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        let position = parts.iter().position(|(marker, _)| marker == name);
        let position =
            position.ok_or_else(|| format!("`{line}` names an unknown part, or one named before"))?;
        let (_, text) = parts.remove(position);
        updated.push_str(&text);
        let next = lines.by_ref().find(|line| line.starts_with(BEGIN));
        if next != Some(END) {
            return Err(format!("`{line}` is not followed by `{END}`"));
        }
        writeln!(updated, "{END}").expect("writing to a string cannot fail");
    }
    match parts.first() {
        Some((marker, _)) => Err(format!("the page has no part `{BEGIN}{marker} -->`")),
        None => Ok(updated),
    }
}

/// Returns the marker and the text of every generated part.
fn parts() -> Vec<(String, String)> {
    let mut parts = Vec::new();
    tables(WHOLE_FILE, Experiment::KEYS, &mut parts);
    for family in FAMILIES {
        parts.push((format!("components of {}", family.name), components(family)));
    }
    parts
}

/// Adds the table of a map, and those of the maps in it, to `parts`.
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

/// Returns a table, followed by the list of the keys that are ignored.
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
        writeln!(text, "\nIgnored: {}.", list(&ignored)).expect("writing to a string cannot fail");
    }
    text
}

/// Returns the table of the keys of all forms of a map. Each key is listed with the keys that it is combined with.
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
    let mut text = format!("\n#### `{}`\n", variant.name);
    for paragraph in variant.doc.paragraphs() {
        write!(text, "\n{}\n", wrapped(&paragraph)).expect("writing to a string cannot fail");
    }
    if variant.args.iter().next().is_some() {
        text.push_str(&table(variant.args));
    } else {
        text.push_str("\nIt takes no arguments.\n");
    }
    text
}

/// Wraps a paragraph in lines of at most [`WIDTH`] characters. A longer word gets a separate line.
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
    format!("\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}")
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
