//! Telling the chain where an axon is.
//!
//! The coordinator watches the chain and starts it again at the same address, so a miner asks until it has an answer.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use mirror_identity::SecretKey;
use mirror_net::channel::is_passing;
use mirror_net::signed;
use mirror_net::tracer::{Traced, Tracer};
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{CurrentBlockRequest, DispatchError, ServeAxon};
use tonic::{Request, Response, Status};

/// Time of one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// An axon and where it listens.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) key: SecretKey,
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
    let current = ask(
        client.clone(),
        CurrentBlockRequest {},
        |mut client, request| async move { client.get_current_block(request).await },
    );
    let block = current
        .await
        .with_context(|| format!("asking the subtensor at {subtensor} for its block"))?
        .block;
    try_join_all(axons.map(|Served { key, address }| {
        let call = Call::ServeAxon(ServeAxon {
            ip: address.ip().to_string(),
            port: address.port().into(),
        });
        let signed = signed::sign(&key, incarnation.into(), block, call);
        let submitted = ask(client.clone(), signed, |mut client, request| async move {
            client.submit(request).await
        });
        async move {
            let reply = submitted.await.with_context(|| {
                format!(
                    "telling the subtensor at {subtensor} where {} listens",
                    key.public()
                )
            })?;
            if let Some(error) = DispatchError::from_field(reply.refusal) {
                bail!("the subtensor refused serve_axon of {}: {error}", key.public());
            }
            Ok(())
        }
    }))
    .await?;
    Ok(())
}

/// Asks until the chain has answered, for as long as failures are the connection's.
async fn ask<Q: Clone, A, F>(
    client: SubtensorClient<Traced>,
    question: Q,
    call: impl Fn(SubtensorClient<Traced>, Request<Q>) -> F,
) -> anyhow::Result<A>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    loop {
        let mut request = Request::new(question.clone());
        request.set_timeout(ATTEMPT);
        match call(client.clone(), request).await {
            Ok(reply) => return Ok(reply.into_inner()),
            Err(status) if is_passing(&status) => {
                tracing::warn!(%status, "the subtensor did not answer, trying again");
            }
            Err(status) => return Err(status.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
