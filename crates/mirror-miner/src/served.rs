//! Telling the chain where an axon is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use mirror_identity::Hotkey;
use mirror_net::channel::is_passing;
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::{ServeAxon, Transaction, transaction};

/// How long the chain may be out of reach before a miner gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time of one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// An axon and where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) hotkey: Hotkey,
    pub(crate) address: SocketAddr,
}

/// Submits `serve_axon` for each axon, all at once. The nonce is the process's incarnation, so an attempt whose answer was
/// lost can be made again and acts once.
pub(crate) async fn announce(
    subtensor: SocketAddr,
    tracer: &Tracer,
    incarnation: u32,
    axons: impl Iterator<Item = Served>,
) -> anyhow::Result<()> {
    let client = SubtensorClient::new(tracer.channel(subtensor));
    try_join_all(axons.map(|Served { hotkey, address }| {
        let serve_axon = ServeAxon {
            ip: address.ip().to_string(),
            port: address.port().into(),
        };
        let transaction = Transaction {
            hotkey: hotkey.bytes().to_vec(),
            nonce: incarnation.into(),
            call: Some(transaction::Call::ServeAxon(serve_axon)),
        };
        let client = client.clone();
        async move {
            let submitted = submit(client, transaction).await;
            submitted.with_context(|| format!("telling the subtensor at {subtensor} where {hotkey} listens"))
        }
    }))
    .await?;
    Ok(())
}

/// Submits until the chain has answered, for as long as failures are the connection's and patience lasts.
async fn submit(mut client: SubtensorClient<Traced>, transaction: Transaction) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let mut request = tonic::Request::new(transaction.clone());
        request.set_timeout(ATTEMPT);
        match client.submit(request).await {
            Ok(reply) => {
                let refusal = reply.into_inner().refusal;
                ensure!(refusal.is_empty(), "serve_axon was refused: {refusal}");
                return Ok(());
            }
            Err(status) if is_passing(&status) && started.elapsed() < PATIENCE => {
                tracing::warn!(%status, "serve_axon was not answered, trying again");
            }
            Err(status) => return Err(status.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
