//! `mirror components` and `mirror schema`: what a file may say, for people and for editors.

use std::io::Write;

use clap::Args;
use mirror_config::schema::{self, Key, Need, Readiness};

use super::Status;

#[derive(Debug, Args)]
pub(super) struct ComponentsArguments {
    /// Prints the list as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn schema() -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &schema::json_schema())?;
    writeln!(out)?;
    Ok(Status::Done)
}

pub(super) fn components(arguments: &ComponentsArguments) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, schema::families())?;
        writeln!(out)?;
        return Ok(Status::Done);
    }
    for family in schema::families() {
        writeln!(out, "{}: {}", family.name, family.doc)?;
        for variant in family.variants {
            let planned = if variant.readiness == Readiness::Built {
                ""
            } else {
                " (not in this version)"
            };
            writeln!(out, "  {}{planned}: {}", variant.name, variant.doc)?;
            for key in variant.args {
                writeln!(out, "      {}: {}{}; {}", key.name, key.kind, need(key), key.doc)?;
            }
        }
        writeln!(out)?;
    }
    Ok(Status::Done)
}

fn need(key: &Key) -> String {
    match key.need {
        Need::Required => ", required".to_owned(),
        Need::Default(text) => format!(", {text} by default"),
        Need::Optional => ", optional".to_owned(),
        Need::Ignored(why) => format!(", ignored: {why}"),
    }
}
