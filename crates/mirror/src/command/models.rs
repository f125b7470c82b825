//! `mirror models`: commands for models on this machine. The validator's program does the work, because only it links
//! libtorch.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mirror_hub::model::Part;
use serde::Serialize;

use super::{Misuse, Status, place};
use crate::sentences;
use mirror_coordinator::Network;

#[derive(Debug, Args)]
pub(super) struct ModelsArguments {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Compares models with reference values from Python
    Check(CheckArguments),
    /// Prints the sentence embedding of each line of text as a JSON array
    Embed(ReadArguments),
    /// Prints the number of tokens of each line of text
    Tokens(ReadArguments),
}

#[derive(Debug, Args)]
struct ReadArguments {
    /// Model: a folder, or a name that is resolved as in an experiment file
    model: String,
    /// File with one text on each line [default: standard input]
    texts: Option<PathBuf>,
    /// Downloads nothing: the model must be on this machine
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// Folders that contain expected.json, tokenizer.json and a model, or folders of such folders
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Largest allowed difference from Python's values
    #[arg(long, default_value_t = 2e-5, value_name = "NUMBER")]
    tolerance: f64,
}

pub(super) fn models(arguments: &ModelsArguments) -> anyhow::Result<Status> {
    match &arguments.command {
        ModelsCommand::Check(arguments) => check(arguments),
        ModelsCommand::Embed(arguments) => {
            let folder = arguments.folder(&[Part::Config, Part::Parameters, Part::Tokenizer])?;
            print_lines(&sentences::embeddings(
                &place::binaries()?.validator,
                &folder,
                &arguments.texts()?,
            )?)
        }
        ModelsCommand::Tokens(arguments) => {
            let folder = arguments.folder(&[Part::Tokenizer])?;
            print_lines(&sentences::token_counts(
                &place::binaries()?.validator,
                &folder,
                &arguments.texts()?,
            )?)
        }
    }
}

impl ReadArguments {
    fn folder(&self, parts: &[Part]) -> anyhow::Result<PathBuf> {
        let network = if self.offline {
            Network::Forbidden
        } else {
            Network::Allowed
        };
        mirror_coordinator::model_folder(&self.model, parts, network)
            .map_err(|error| Misuse::of(error).into())
    }

    fn texts(&self) -> anyhow::Result<Vec<String>> {
        let lines: Result<Vec<String>, _> = match &self.texts {
            Some(path) => {
                let open = || format!("cannot read {}", path.display());
                let file = File::open(path).with_context(open).map_err(Misuse::of)?;
                BufReader::new(file).lines().collect()
            }
            None => std::io::stdin().lock().lines().collect(),
        };
        lines.context("the texts are not all UTF-8")
    }
}

/// Prints each value as a line of JSON.
fn print_lines<T: Serialize>(all: &[T]) -> anyhow::Result<Status> {
    let mut out = std::io::stdout().lock();
    for one in all {
        serde_json::to_writer(&mut out, one)?;
        out.write_all(b"\n")?;
    }
    Ok(Status::Done)
}

fn check(arguments: &CheckArguments) -> anyhow::Result<Status> {
    let validator = place::binaries()?.validator;
    let status = Command::new(&validator)
        .arg("check-models")
        .arg(arguments.tolerance.to_string())
        .args(&arguments.folders)
        .status()
        .with_context(|| format!("cannot start {}", validator.display()))?;
    match status.code() {
        Some(0) => Ok(Status::Done),
        Some(1) => Ok(Status::Failed),
        Some(2) => Ok(Status::Misused),
        _ => bail!("the check failed: {status}"),
    }
}
