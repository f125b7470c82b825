//! `mirror components` and `mirror schema`: what a file may say, for people and for editors.

use std::io::Write;

use clap::Args;
use mirror_config::{in_words, need_in_words};
use mirror_spec::FAMILIES;
use mirror_spec::key::{Key, Need, Property};

use super::Status;

#[derive(Debug, Args)]
pub(super) struct ComponentsArguments {
    /// Prints the list as JSON
    #[arg(long)]
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
    for family in FAMILIES {
        writeln!(out, "{}: {}", family.name, family.doc.summary())?;
        for variant in family.variants() {
            let planned = if variant.has(Property::Planned) {
                " (not in this version)"
            } else {
                ""
            };
            writeln!(out, "  {}{planned}: {}", variant.name, variant.doc.summary())?;
            for key in variant.args.iter() {
                writeln!(
                    out,
                    "      {}: {}, {}; {}",
                    key.name,
                    in_words(&key.kind),
                    need(key),
                    key.doc.summary()
                )?;
            }
        }
        writeln!(out)?;
    }
    Ok(Status::Done)
}

fn need(key: &Key) -> String {
    match key.need {
        Need::Default(_) => format!("{} by default", need_in_words(key)),
        _ => need_in_words(key),
    }
}
