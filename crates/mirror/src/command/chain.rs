//! `mirror chain`: what the chain of a run did, and the chain as a calculator.

use clap::{Args, Subcommand};

use super::Status;
use super::cabal::{CabalArguments, cabal};
use super::serve::{ServeArguments, serve};

mod epoch;
mod show;

#[derive(Debug, Args)]
pub(super) struct ChainArguments {
    #[command(subcommand)]
    command: ChainCommand,
}

#[derive(Debug, Subcommand)]
enum ChainCommand {
    /// Computes an epoch of Yuma consensus and prints its outputs as JSON
    Epoch(epoch::EpochArguments),
    /// Shows the metagraph of a run's chain after an epoch
    Show(show::ShowArguments),
    /// Computes the cabal's share of the pay by its share of the stake
    Cabal(CabalArguments),
    /// Serves the chain of an experiment for runs that name its address
    Serve(ServeArguments),
}

pub(super) fn chain(arguments: &ChainArguments) -> anyhow::Result<Status> {
    match &arguments.command {
        ChainCommand::Epoch(arguments) => epoch::epoch(arguments),
        ChainCommand::Show(arguments) => show::show(arguments),
        ChainCommand::Cabal(arguments) => cabal(arguments),
        ChainCommand::Serve(arguments) => serve(arguments),
    }
}
