//! `mirror models`: models on this machine. The validator's program does the work, since it alone links libtorch.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{Status, place};

#[derive(Debug, Args)]
pub(super) struct ModelsArguments {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Holds models against the numbers that Python computed from them, and prints the largest differences
    Check(CheckArguments),
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// Folders with expected.json, tokenizer.json and a model; or folders of such folders
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// How far a number may be from Python's
    #[arg(long, default_value_t = 2e-5, value_name = "NUMBER")]
    tolerance: f64,
}

pub(super) fn models(arguments: &ModelsArguments) -> anyhow::Result<Status> {
    let ModelsCommand::Check(arguments) = &arguments.command;
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
        _ => bail!("the check broke down: {status}"),
    }
}
