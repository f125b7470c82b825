//! Announcing to the chain where an axon listens.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use mirror_identity::SecretKey;
use mirror_proto::mirror::v1::DispatchError;
use mirror_proto::mirror::v1::ServeAxon;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_subtensor_client::SubtensorClient;
use mirror_subtensor_client::transaction::sign_call;

/// An axon and where it listens.
#[derive(Debug, Clone)]
pub(crate) struct ServedAxon {
    pub(crate) key: SecretKey,
    pub(crate) address: SocketAddr,
}

/// Submits `serve_axon` for each axon, all at once. The nonce is the process's incarnation, so an attempt whose answer
/// was lost can be made again and acts once.
pub(crate) async fn announce(
    subtensor: &SubtensorClient,
    incarnation: u32,
    axons: impl Iterator<Item = ServedAxon>,
) -> anyhow::Result<()> {
    let block = subtensor.current_block().await?;
    let announcements = axons.map(|ServedAxon { key, address }| async move {
        let call = Call::ServeAxon(ServeAxon {
            ip: address.ip().to_string(),
            port: address.port().into(),
        });
        let transaction = sign_call(&key, incarnation.into(), block, call);
        let hotkey = key.public();
        let reply = subtensor.submit(transaction).await;
        let reply = reply.with_context(|| format!("cannot announce where {hotkey} listens"))?;
        if let Some(error) = DispatchError::from_field(reply.refusal) {
            bail!("the subtensor refused serve_axon of {hotkey}: {error}");
        }
        Ok(())
    });
    try_join_all(announcements).await?;
    Ok(())
}
