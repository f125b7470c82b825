//! `mirror agents`: agents that run nodes on other machines.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mirror_output::message;

use super::Status;
use crate::agents_file;

#[derive(Debug, Args)]
pub(super) struct AgentsArguments {
    #[command(subcommand)]
    command: AgentsCommand,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// Creates the certificates of agents and of the coordinators that they admit
    ///
    /// `ca.crt` and `ca.key` are for `mirror run --agents`; `ca.crt`, `tls.crt` and `tls.key` are for `mirror-agent
    /// --credentials`.
    Certificates {
        /// The folder of the certificates
        folder: PathBuf,
    },
}

pub(super) fn agents(arguments: &AgentsArguments) -> anyhow::Result<Status> {
    let AgentsCommand::Certificates { folder } = &arguments.command;
    if agents_file::create_certificates(folder)? {
        message!("the certificates of the agents are in {}", folder.display());
    } else {
        message!("{} has certificates already", folder.display());
    }
    Ok(Status::Done)
}
