//! `mirror chain serve`: the chain of an experiment by itself, which runs of it can name.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use mirror_cluster::local::LocalProcesses;
use mirror_runs::Layout;
use tokio_util::sync::CancellationToken;

use super::check::{Overrides, show};
use super::{Misuse, Status, place, run};
use mirror_coordinator::{Network, base_of};

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The experiment file; its neurons are registered on the chain
    file: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Where the chain keeps its state, from which it goes on when it is served again
    #[arg(long, default_value = "chain", value_name = "FOLDER")]
    folder: PathBuf,
    /// Fetches nothing: data must be on this machine
    #[arg(long)]
    offline: bool,
    /// What the node logs, in tracing's syntax
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: String,
}

pub(super) fn serve(arguments: &ServeArguments) -> anyhow::Result<Status> {
    let loaded = match arguments.overrides.load(&arguments.file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            show(&problems);
            return Ok(Status::Misused);
        }
    };
    let experiment = &loaded.experiment;
    let model = experiment.model.as_ref();
    let model = model
        .context("the file has no `model`, so there is no chain in it")
        .map_err(Misuse::of)?;
    mirror_telemetry::init("warn")?;
    let binaries = place::binaries()?;
    let network = if arguments.offline {
        Network::Forbidden
    } else {
        Network::Allowed
    };
    let data = mirror_coordinator::prepare(
        experiment,
        model,
        base_of(&arguments.file),
        &arguments.folder,
        network,
    );
    let data = data.map_err(Misuse::of)?;
    let layout = Layout::new(&arguments.folder);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        let interrupts = tokio::spawn(run::watch_interrupts(stop.clone(), now));
        let place = LocalProcesses::new(binaries, layout.logs()).context("cannot start nodes")?;
        let file = arguments.file.display();
        let listening = |address| {
            eprintln!("the chain listens at {address} until it is interrupted; a run finds it by");
            eprintln!(
                "  mirror run {file} --set 'model.subtensor={{name: Subtensor, args: {{chain_endpoint: \"{address}\"}}}}'"
            );
        };
        let served = mirror_coordinator::chain::serve(
            (experiment, model),
            data,
            &layout,
            place,
            &arguments.log,
            stop,
            listening,
        );
        served.await?;
        interrupts.abort();
        Ok(Status::Done)
    })
}
