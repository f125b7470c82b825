//! `mirror chain serve`: serves the chain of an experiment on its own, for runs that name its address.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use mirror_cluster::local::LocalProcesses;
use mirror_output::message;
use mirror_runs::Layout;
use mirror_spec::LogFormat;
use tokio_util::sync::CancellationToken;

use super::check::{Overrides, show};
use super::{Misuse, Status, place, run};
use mirror_coordinator::{Network, base_of};

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Experiment file whose neurons are registered on the chain
    file: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Folder of the chain's state, from which a later `serve` continues
    #[arg(long, default_value = "chain", value_name = "FOLDER")]
    folder: PathBuf,
    /// Downloads nothing: data must be on this machine
    #[arg(long)]
    offline: bool,
    /// Log filter of the node, in the syntax of tracing
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
        .context("the file has no `model`, so it describes no chain")
        .map_err(Misuse::of)?;
    mirror_telemetry::init("warn", LogFormat::Pretty, None)?;
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
        let listening = |address, client: &Path| {
            message!("the chain listens on {address} until it is interrupted; use it in a run with");
            message!(
                "  mirror run {file} --set 'model.subtensor={{name: Subtensor, args: {{chain_endpoint: \"{address}\", chain_client: \"{}\"}}}}'",
                std::path::absolute(client).unwrap_or(client.into()).display()
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
