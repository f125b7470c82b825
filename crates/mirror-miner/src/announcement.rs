//! Announces the listen addresses of axons to the chain.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use mirror_identity::SecretKey;
use mirror_proto::mirror::v1::DispatchError;
use mirror_proto::mirror::v1::ServeAxon;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_subtensor_client::SubtensorClient;
use mirror_subtensor_client::transaction::sign_call;

/// An axon and its listen address.
#[derive(Debug, Clone)]
pub(crate) struct ServedAxon {
    pub(crate) key: SecretKey,
    pub(crate) address: SocketAddr,
}

/// Submits `serve_axon` for each axon concurrently. The nonce is the incarnation of the process, so an attempt whose
/// reply was lost can be repeated and takes effect once.
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
        let reply = reply.with_context(|| format!("cannot announce the axon of {hotkey}"))?;
        if let Some(error) = DispatchError::from_field(reply.refusal) {
            bail!("the subtensor rejected the serve_axon call of {hotkey}: {error}");
        }
        Ok(())
    });
    try_join_all(announcements).await?;
    Ok(())
}
