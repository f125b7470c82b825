//! The validator's side of the chain: the metagraph, transactions and the block barrier.
//!
//! The subtensor may be killed and come back elsewhere. Every request here is made again, at the address that is known
//! then, until it is answered; each is such that it acts once however often it arrives. The coordinator watches the chain,
//! starts it again and ends the run when that does not help, so a validator never gives up by itself.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use mirror_identity::{Hotkey, SecretKey};
use mirror_net::channel::is_passing;
use mirror_net::tracer::{Traced, Tracer};
use mirror_net::{server, signed};
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{BlockClosed, MetagraphRequest, NominatorsRequest, StepReport, SubmitReply};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use crate::metagraph::Metagraph;

/// Time of one attempt at a single request.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a metagraph: 65,536 neurons with full rows of weights would not fit, a row of some hundred each does.
const METAGRAPH_LIMIT: usize = 256 << 20;

/// A connection to the subtensor, wherever it is.
pub struct Chain {
    key: SecretKey,
    tracer: Tracer,
    address: watch::Receiver<SocketAddr>,
    client: SubtensorClient<Traced>,
    barrier: Option<Barrier>,
}

struct Barrier {
    reports: mpsc::Sender<StepReport>,
    closed: Streaming<BlockClosed>,
}

impl Chain {
    /// A connection that speaks and signs for the hotkey `key`, and follows `address`.
    pub fn new(key: SecretKey, tracer: Tracer, mut address: watch::Receiver<SocketAddr>) -> Self {
        let client = client(&tracer, *address.borrow_and_update());
        Self {
            key,
            tracer,
            address,
            client,
            barrier: None,
        }
    }

    /// The metagraph when `block` had closed; now, when none is named.
    pub async fn metagraph(&mut self, block: Option<u64>) -> anyhow::Result<Metagraph> {
        let reply = self.ask("GetMetagraph", |mut client| async move {
            let request = MetagraphRequest { block, lite: true };
            client.get_metagraph(within(request)).await
        });
        reply.await?.try_into()
    }

    /// Whom it speaks for.
    pub fn hotkey(&self) -> Hotkey {
        self.key.public()
    }

    /// Who nominates this validator, by coldkey, in rao.
    pub async fn nominators(&mut self) -> anyhow::Result<Vec<(Vec<u8>, u64)>> {
        let hotkey = self.key.public().bytes().to_vec();
        let reply = self.ask("GetNominators", |mut client| {
            let hotkey = hotkey.clone();
            async move { client.get_nominators(within(NominatorsRequest { hotkey })).await }
        });
        let nominators = reply.await?.nominators;
        Ok(nominators
            .into_iter()
            .map(|nominator| (nominator.coldkey, nominator.stake))
            .collect())
    }

    /// Signs and submits a call, `block` being one that has closed. What the chain has taken applies when the open block
    /// closes, which is the one in the reply.
    pub async fn submit(&mut self, nonce: u64, block: u64, call: Call) -> anyhow::Result<SubmitReply> {
        let transaction = signed::sign(&self.key, nonce, block, call);
        let reply = self.ask("Submit", |mut client| {
            let transaction = transaction.clone();
            async move { client.submit(within(transaction)).await }
        });
        reply.await
    }

    /// Reports a finished step and waits until its block has closed, as long as the other validators take.
    pub async fn step_done(&mut self, step: u64) -> anyhow::Result<BlockClosed> {
        loop {
            match self.report(step).await {
                Ok(closed) => return Ok(closed),
                Err(status) if !is_passing(&status) => {
                    bail!("the subtensor refused the report of step {step}: {status}")
                }
                Err(status) => {
                    self.barrier = None;
                    self.wait(&status)
                        .await
                        .with_context(|| format!("reporting step {step}"))?;
                }
            }
        }
    }

    async fn report(&mut self, step: u64) -> Result<BlockClosed, Status> {
        let barrier = match &mut self.barrier {
            Some(barrier) => barrier,
            none => none.insert(join(&mut self.client).await?),
        };
        let report = StepReport {
            hotkey: self.key.public().bytes().to_vec(),
            step,
        };
        barrier
            .reports
            .send(report)
            .await
            .map_err(|_| Status::unavailable("the barrier's stream has ended"))?;
        loop {
            match barrier.closed.message().await? {
                Some(closed) if closed.step == step => return Ok(closed),
                // A block of an earlier step, told again after a new start.
                Some(_) => {}
                None => return Err(Status::unavailable("the barrier's stream has ended")),
            }
        }
    }

    async fn ask<T, F>(
        &mut self,
        what: &str,
        request: impl Fn(SubtensorClient<Traced>) -> F,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        loop {
            match request(self.client.clone()).await {
                Ok(reply) => return Ok(reply.into_inner()),
                Err(status) if !is_passing(&status) => bail!("the subtensor refused {what}: {status}"),
                Err(status) => self.wait(&status).await.with_context(|| what.to_owned())?,
            }
        }
    }

    /// Waits for the next attempt, at the address that is known by then.
    async fn wait(&mut self, status: &Status) -> anyhow::Result<()> {
        tracing::warn!(%status, "the subtensor did not answer, trying again");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            changed = self.address.changed() => changed.context("the coordinator is gone")?,
        }
        self.client = client(&self.tracer, *self.address.borrow_and_update());
        Ok(())
    }
}

async fn join(client: &mut SubtensorClient<Traced>) -> Result<Barrier, Status> {
    let (reports, outgoing) = mpsc::channel(1);
    let closed = client.steps(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok(Barrier { reports, closed })
}

fn client(tracer: &Tracer, address: SocketAddr) -> SubtensorClient<Traced> {
    SubtensorClient::new(tracer.channel(address))
        .max_decoding_message_size(METAGRAPH_LIMIT)
        .max_encoding_message_size(server::MESSAGE_LIMIT)
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ATTEMPT);
    request
}
