//! Serves the chain of an experiment without a run, for runs that connect to a running chain.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use mirror_cluster::{Exit, Placement};
use mirror_runs::Layout;
use mirror_spec::{Experiment, Model};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::certificates::{self, ChainClient};
use crate::data::Prepared;
use crate::network_spec::{NetworkSpec, SUBTENSOR, Subtensor};

/// File with which runs use the chain, in the folder of its state.
const CLIENT: &str = "client.json";

/// Time that the node has to shut down on its own.
const GRACE: Duration = Duration::from_secs(5);

/// Serves the chain of an experiment until `stop` is cancelled, with its state in `layout`. Calls `listening` with the
/// listen address and the path of the file that runs use, once the chain is ready.
pub async fn serve<P: Placement>(
    (experiment, model): (&Experiment, &Model),
    data: Prepared,
    layout: &Layout,
    (placement, mut exits): (P, mpsc::Receiver<Exit>),
    log: &str,
    stop: CancellationToken,
    listening: impl FnOnce(SocketAddr, &Path),
) -> anyhow::Result<()> {
    let authority = Arc::new(certificates::authority_in(&layout.certificates())?);
    let spec = NetworkSpec::new(experiment, model, layout, data, log, authority.clone())?;
    let Subtensor::Ours(node) = spec.subtensor(None) else {
        bail!("the file names a chain that is already running: use `DummySubtensor` to start one")
    };
    let ready_timeout = Duration::from_secs_f64(spec.network().ready_timeout);
    placement.spawn(&node).await?;
    let address = placement.ready(SUBTENSOR, ready_timeout).await?;
    let client = layout.root().join(CLIENT);
    ChainClient::write(&client, address, &authority)?;
    listening(address, &client);
    tokio::select! {
        () = stop.cancelled() => {
            placement.stop(SUBTENSOR, GRACE).await?;
            Ok(())
        }
        exit = exits.recv() => {
            let exit = exit.context("internal error: the placement stopped reporting exits (please report this)")?;
            bail!("the chain {}; {}", exit.status, exit.last_log)
        }
    }
}
