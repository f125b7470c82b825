//! The reference of the experiment file says what the schema says.

use std::fmt::Write;

use mirror_config::schema::{self, Key, Kind, Need, Readiness, sections};

const REFERENCE: &str = include_str!("../../../docs/experiment-file.md");

/// Every section of the reference whose rows are the schema's: heading and rows.
fn documented() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    tables("the file", sections::EXPERIMENT, &mut found);
    for family in schema::families() {
        for variant in family.variants {
            let heading = match variant.readiness {
                Readiness::Built => variant.name.to_owned(),
                Readiness::Planned => format!("{} (not in this version)", variant.name),
            };
            found.push((heading, variant.args.iter().map(row).collect()));
        }
    }
    found
}

/// The table of a map, and those of the maps in it.
fn tables(path: &str, keys: &'static [Key], found: &mut Vec<(String, Vec<String>)>) {
    found.push((path.to_owned(), keys.iter().map(row).collect()));
    for key in keys {
        let inside = if path == "the file" {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        nested(&inside, &key.kind, found);
    }
}

fn nested(path: &str, kind: &Kind, found: &mut Vec<(String, Vec<String>)>) {
    match kind {
        Kind::Table(keys) => tables(path, keys, found),
        Kind::List(each) | Kind::OneOrMany(each) => nested(&format!("{path}[]"), each, found),
        Kind::Map(each) | Kind::ByUid(each) => nested(&format!("{path}.*"), each, found),
        Kind::Or(_, other) => nested(path, other, found),
        Kind::Either(one, other) => {
            nested(path, one, found);
            nested(path, other, found);
        }
        _ => {}
    }
}

/// A key as the reference has it.
fn row(key: &Key) -> String {
    let Key { name, kind, doc, .. } = key;
    match key.need {
        Need::Required => format!("| `{name}` | {kind} | required | {doc} |"),
        Need::Optional => format!("| `{name}` | {kind} | optional | {doc} |"),
        Need::Default(text) => format!("| `{name}` | {kind} | `{text}` | {doc} |"),
        // A mention is enough.
        Need::Ignored(_) => format!("`{name}`"),
    }
}

/// The text under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let marks = ["## ", "### ", "#### "].map(|level| format!("\n{level}`{heading}`\n"));
    let start = marks
        .iter()
        .find_map(|mark| Some(REFERENCE.find(mark)? + mark.len()));
    let Some(start) = start else { return "" };
    let rest = &REFERENCE[start..];
    rest.find("\n#").map_or(rest, |end| &rest[..end])
}

#[test]
fn every_key_stands_in_its_section_as_the_schema_has_it() {
    let mut missing = String::new();
    for (heading, rows) in documented() {
        let text = section(&heading);
        let absent: Vec<String> = rows.into_iter().filter(|row| !text.contains(row)).collect();
        if text.is_empty() || !absent.is_empty() {
            write!(missing, "\n`{heading}`\n\n{}\n", absent.join("\n")).expect("a text takes every line");
        }
    }
    assert!(
        missing.is_empty(),
        "docs/experiment-file.md lacks these sections and rows:\n{missing}"
    );
}

#[test]
fn the_examples_are_sound() {
    let mut examples = 0;
    for block in REFERENCE.split("```yaml\n").skip(1) {
        let (example, _) = block.split_once("```").expect("a block that is opened is closed");
        if let Err(problems) = mirror_config::parse(example, "docs/experiment-file.md") {
            panic!("{}\n{example}", problems.plain());
        }
        examples += 1;
    }
    assert!(examples > 0);
}
