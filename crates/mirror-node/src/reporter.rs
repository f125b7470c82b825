//! Reports to the coordinator over one long stream. Every record is kept until it is acknowledged.
//!
//! A node keeps at most 1,024 records, then it waits. A broken stream is reopened and the unacknowledged records are
//! sent again; the coordinator recognises those that it already has.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::coordinator_client::CoordinatorClient;
use mirror_proto::mirror::v1::{
    Directive, Hello, NodeReport, Record, Sequenced, directive, node_report, record,
};
use mirror_proto::protocol::COORDINATOR;
use mirror_telemetry::metrics::instruments;
use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Time in which the coordinator must acknowledge the records of a node that shuts down.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of unacknowledged records. A large record counts as several.
const MAX_UNACKNOWLEDGED: u32 = 1_024;

/// Size in bytes by which a record counts as one more.
const ROOM: usize = 64 << 10;

/// Pause before a broken stream is reopened.
const PAUSE: Duration = Duration::from_millis(100);

/// Handles directives from the coordinator.
pub trait AckHandler {
    /// Data that is passed to [`acknowledged`](Self::acknowledged) when the record is acknowledged.
    type AckPayload: Send + 'static;

    /// Receives the payloads of acknowledged records, in the order of the records.
    ///
    /// # Errors
    /// Returns an error if the payloads cannot be stored. [`ReportStream::work`] then returns it.
    fn acknowledged(&mut self, ack_payloads: Vec<Self::AckPayload>) -> anyhow::Result<()>;

    /// Receives the new address of the subtensor after it was restarted.
    fn subtensor_moved(&mut self, address: SocketAddr);
}

/// Sends records to a [`ReportStream`].
pub struct Reporter<AckPayload> {
    outgoing: mpsc::Sender<Outgoing<AckPayload>>,
    room: Arc<Semaphore>,
}

/// A record with its payload.
struct Outgoing<AckPayload> {
    encoded: Bytes,
    /// Number of records that it counts as.
    room: u32,
    ack_payload: AckPayload,
}

struct Pending<AckPayload> {
    sequence: u64,
    outgoing: Outgoing<AckPayload>,
}

/// State of the reporting task.
pub struct ReportStream<K: AckHandler> {
    coordinator: SocketAddr,
    tracer: Tracer,
    hello: Hello,
    ack_handler: K,
    incoming: mpsc::Receiver<Outgoing<K::AckPayload>>,
    room: Arc<Semaphore>,
    sent: VecDeque<Pending<K::AckPayload>>,
    next: u64,
}

/// Creates a reporter and its stream. The caller runs [`ReportStream::work`] concurrently.
pub fn reporter<K: AckHandler>(
    coordinator: SocketAddr,
    tracer: Tracer,
    hello: Hello,
    ack_handler: K,
) -> (Reporter<K::AckPayload>, ReportStream<K>) {
    let (outgoing, incoming) = mpsc::channel(MAX_UNACKNOWLEDGED as usize);
    let room = Arc::new(Semaphore::new(MAX_UNACKNOWLEDGED as usize));
    let report_stream = ReportStream {
        coordinator,
        tracer,
        hello,
        ack_handler,
        incoming,
        room: room.clone(),
        sent: VecDeque::new(),
        next: 1,
    };
    (Reporter { outgoing, room }, report_stream)
}

impl<AckPayload> Clone for Reporter<AckPayload> {
    fn clone(&self) -> Self {
        Self {
            outgoing: self.outgoing.clone(),
            room: self.room.clone(),
        }
    }
}

impl<AckPayload: Send + 'static> Reporter<AckPayload> {
    /// Reports a record. Waits while too many records are unacknowledged. `ack_payload` is passed to the [`AckHandler`]
    /// once the record is acknowledged.
    ///
    /// # Errors
    /// Returns an error if the [`ReportStream`] has stopped.
    pub async fn report(&self, kind: record::Kind, ack_payload: AckPayload) -> anyhow::Result<()> {
        let encoded: Bytes = Record { kind: Some(kind) }.encode_to_vec().into();
        let unacknowledged = (MAX_UNACKNOWLEDGED as usize).saturating_sub(self.room.available_permits());
        instruments().unacknowledged.record(unacknowledged as f64, &[]);
        let room = (1 + encoded.len() / ROOM).min(MAX_UNACKNOWLEDGED as usize) as u32;
        self.room
            .acquire_many(room)
            .await
            .context("the report stream has stopped")?
            .forget();
        let sent = self
            .outgoing
            .send(Outgoing {
                encoded,
                room,
                ack_payload,
            })
            .await;
        sent.map_err(|_| anyhow!("the report stream has stopped"))
    }

    /// Waits until every record reported so far is acknowledged.
    ///
    /// # Errors
    /// Returns an error if the [`ReportStream`] has stopped.
    pub async fn drained(&self) -> anyhow::Result<()> {
        let all = self.room.acquire_many(MAX_UNACKNOWLEDGED).await;
        drop(all.context("the report stream has stopped")?);
        Ok(())
    }
}

impl<K: AckHandler> ReportStream<K> {
    /// Sends records and handles directives until every [`Reporter`] is dropped and every record is acknowledged.
    ///
    /// # Errors
    /// Returns an error if the coordinator acknowledges a record that was not sent or sends an invalid address, or if
    /// the [`AckHandler`] fails.
    pub async fn work(mut self) -> anyhow::Result<()> {
        let outcome = self.serve().await;
        self.room.close();
        outcome
    }

    async fn serve(&mut self) -> anyhow::Result<()> {
        loop {
            match self.connect().await {
                Ok((reports, directives)) => {
                    if self.exchange(reports, directives).await? == StreamEnd::Done {
                        return Ok(());
                    }
                    tracing::warn!("the stream to the coordinator broke, reconnecting");
                }
                Err(error) => tracing::warn!(%error, "cannot connect to the coordinator, retrying"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Opens the stream and sends the hello and the unacknowledged records.
    async fn connect(&mut self) -> anyhow::Result<(mpsc::Sender<NodeReport>, Streaming<Directive>)> {
        let (reports, outgoing) = mpsc::channel(MAX_UNACKNOWLEDGED as usize + 1);
        reports
            .send(NodeReport {
                report: Some(node_report::Report::Hello(self.hello.clone())),
            })
            .await?;
        for pending in &self.sent {
            reports.send(pending.report()).await?;
        }
        let mut client = CoordinatorClient::new(self.tracer.secure_channel(self.coordinator, COORDINATOR));
        let directives = client.report(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok((reports, directives))
    }

    async fn exchange(
        &mut self,
        reports: mpsc::Sender<NodeReport>,
        mut directives: Streaming<Directive>,
    ) -> anyhow::Result<StreamEnd> {
        let mut open = true;
        loop {
            if !open && self.sent.is_empty() {
                return Ok(StreamEnd::Done);
            }
            tokio::select! {
                outgoing = self.incoming.recv(), if open => match outgoing {
                    Some(outgoing) => {
                        let pending = Pending { sequence: self.next, outgoing };
                        self.next += 1;
                        let report = pending.report();
                        self.sent.push_back(pending);
                        if reports.send(report).await.is_err() {
                            return Ok(StreamEnd::Broken);
                        }
                    }
                    None => open = false,
                },
                directive = directives.message() => match directive {
                    Ok(Some(Directive { directive: Some(directive) })) => self.follow(directive)?,
                    Ok(Some(Directive { directive: None })) => {}
                    Ok(None) | Err(_) => return Ok(StreamEnd::Broken),
                },
            }
        }
    }

    fn follow(&mut self, directive: directive::Directive) -> anyhow::Result<()> {
        match directive {
            directive::Directive::Acknowledged(sequence) => self.acknowledge(sequence),
            directive::Directive::SubtensorAddress(text) => {
                let address = text
                    .parse()
                    .with_context(|| format!("invalid subtensor address `{text}` from the coordinator"))?;
                self.ack_handler.subtensor_moved(address);
                Ok(())
            }
        }
    }

    fn acknowledge(&mut self, sequence: u64) -> anyhow::Result<()> {
        let count = self
            .sent
            .iter()
            .take_while(|pending| pending.sequence <= sequence)
            .count();
        if count == 0 {
            bail!(
                "the coordinator acknowledged record {sequence}, which was not sent or is already acknowledged"
            );
        }
        let acknowledged = self.sent.drain(..count).map(|pending| pending.outgoing);
        let (rooms, ack_payloads): (Vec<u32>, Vec<K::AckPayload>) = acknowledged
            .map(|outgoing| (outgoing.room, outgoing.ack_payload))
            .unzip();
        self.ack_handler.acknowledged(ack_payloads)?;
        self.room.add_permits(rooms.iter().sum::<u32>() as usize);
        Ok(())
    }
}

impl<AckPayload> Pending<AckPayload> {
    fn report(&self) -> NodeReport {
        let record = self.outgoing.encoded.clone();
        NodeReport {
            report: Some(node_report::Report::Record(Sequenced {
                sequence: self.sequence,
                record,
            })),
        }
    }
}

#[derive(PartialEq, Eq)]
enum StreamEnd {
    Done,
    Broken,
}
