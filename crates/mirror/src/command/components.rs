//! `mirror components` and `mirror schema`: the components and keys of an experiment file, for people and for editors.

use std::io::Write;

use anyhow::anyhow;
use clap::Args;
use mirror_config::{did_you_mean, example, in_words, need_in_words, without_links};
use mirror_spec::FAMILIES;
use mirror_spec::key::{Family, Key, Need, Variant};
use textwrap::{Options, fill};

use super::{Misuse, Status};

/// Width of the text, in characters.
const WIDTH: usize = 80;

#[derive(Debug, Args)]
pub(super) struct ComponentsArguments {
    /// Component or family to explain, with arguments and an example [default: lists all]
    name: Option<String>,
    /// Prints the components with all their arguments as JSON
    #[arg(long, conflicts_with = "name")]
    json: bool,
}

pub(super) fn schema() -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &mirror_config::json_schema())?;
    writeln!(out)?;
    Ok(Status::Done)
}

pub(super) fn components(arguments: &ComponentsArguments) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &mirror_config::components())?;
        writeln!(out)?;
        return Ok(Status::Done);
    }
    let text = match &arguments.name {
        None => all(),
        Some(name) => named(name).map_err(Misuse::of)?,
    };
    out.write_all(text.as_bytes())?;
    Ok(Status::Done)
}

/// Every component of every family, with its summary.
fn all() -> String {
    let mut text: String = FAMILIES.iter().map(|family| listed(family)).collect();
    text.push_str("`mirror components NAME` shows the arguments of a component and an example.\n");
    text
}

/// The components of a family, with their summaries.
fn listed(family: &Family) -> String {
    let head = format!("{}: {}", family.name, without_links(&family.doc.summary()));
    let mut text = fill(&head, indented(0, 2)) + "\n";
    for variant in family.variants() {
        let line = format!("{}: {}", variant.name, without_links(&variant.doc.summary()));
        text += &(fill(&line, indented(2, 6)) + "\n");
    }
    text + "\n"
}

/// The explanation of the family or of each component called `name`.
fn named(name: &str) -> anyhow::Result<String> {
    let families = FAMILIES.iter().filter(|family| family.name == name);
    let listed = families.map(|family| listed(family));
    let variants = FAMILIES
        .iter()
        .filter_map(|family| Some(explained(family, family.variant(name)?)));
    let texts: Vec<String> = listed.chain(variants).collect();
    if texts.is_empty() {
        let mut known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
        known.extend(
            FAMILIES
                .iter()
                .flat_map(|family| family.variants())
                .map(|variant| variant.name),
        );
        known.sort_unstable();
        known.dedup();
        let question = did_you_mean(name, &known).map_or_else(String::new, |question| format!("{question} "));
        return Err(anyhow!(
            "there is no component `{name}`: {question}`mirror components` lists all"
        ));
    }
    Ok(texts.concat())
}

/// A component with its arguments and an example.
fn explained(family: &Family, variant: &Variant) -> String {
    let mut text = format!("{} ({})\n", variant.name, family.name);
    for paragraph in variant.doc.paragraphs() {
        text.extend(["\n", &fill(&without_links(&paragraph), indented(2, 2)), "\n"]);
    }
    text += "\nArguments\n";
    for key in variant.args.iter() {
        let head = format!("{}: {}; {}", key.name, in_words(&key.kind), need(key));
        text += &(fill(&head, indented(2, 6)) + "\n");
        let summary = without_links(&key.doc.summary());
        if !summary.is_empty() {
            text += &(fill(&summary, indented(6, 6)) + "\n");
        }
    }
    if variant.args.iter().next().is_none() {
        text += "  none\n";
    }
    text += "\nExample\n";
    for line in example(family, variant).lines() {
        text.extend(["  ", line, "\n"]);
    }
    text + "\n"
}

fn need(key: &Key) -> String {
    match key.need {
        Need::Default(_) => format!("{} by default", need_in_words(key)),
        _ => need_in_words(key),
    }
}

/// Lines of at most [`WIDTH`] characters, the first of them indented by `first` spaces and the others by `others`.
fn indented(first: usize, others: usize) -> Options<'static> {
    const SPACES: &str = "      ";
    Options::new(WIDTH)
        .initial_indent(&SPACES[..first])
        .subsequent_indent(&SPACES[..others])
}
