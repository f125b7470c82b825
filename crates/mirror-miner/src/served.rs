//! Telling the chain where an axon is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use mirror_identity::Hotkey;
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

/// Submits `serve_axon` for each axon. The nonce is the process's incarnation, so an attempt whose answer was lost can be
/// made again and acts once.
pub(crate) async fn announce(
    subtensor: SocketAddr,
    tracer: &Tracer,
    incarnation: u32,
    axons: impl Iterator<Item = Served>,
) -> anyhow::Result<()> {
    let mut client = SubtensorClient::new(tracer.channel(subtensor));
    for Served { hotkey, address } in axons {
        let transaction = Transaction {
            hotkey: hotkey.bytes().to_vec(),
            nonce: incarnation.into(),
            call: Some(transaction::Call::ServeAxon(ServeAxon {
                ip: address.ip().to_string(),
                port: address.port().into(),
            })),
        };
        let submitted = tokio::time::timeout(PATIENCE, submit(&mut client, transaction));
        let refusal = submitted
            .await
            .with_context(|| format!("the subtensor at {subtensor} did not answer within {PATIENCE:?}"))?;
        ensure!(
            refusal.is_empty(),
            "the subtensor refused serve_axon of {hotkey}: {refusal}"
        );
    }
    Ok(())
}

async fn submit(client: &mut SubtensorClient<Traced>, transaction: Transaction) -> String {
    loop {
        let mut request = tonic::Request::new(transaction.clone());
        request.set_timeout(ATTEMPT);
        match client.submit(request).await {
            Ok(reply) => return reply.into_inner().refusal,
            Err(status) => tracing::warn!(%status, "serve_axon was not answered, trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
