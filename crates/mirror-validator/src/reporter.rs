//! Reports to the coordinator: one long stream, every record kept until it is acknowledged.
//!
//! A node holds at most 1,024 records; then it waits. A broken stream is opened again and what was not
//! acknowledged is sent again: the coordinator recognises what it has.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use mirror_journal::Writer;
use mirror_net::tracer::Tracer;
use mirror_proto::mirror::v1::coordinator_client::CoordinatorClient;
use mirror_proto::mirror::v1::{
    Directive, Hello, NodeReport, Purpose, Record, Sequenced, directive, node_report, record,
};
use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::learned::Learned;

/// Records that may be unacknowledged; a large one counts as several.
const MOST_UNACKNOWLEDGED: u32 = 1_024;

/// Bytes by which a record counts as one more.
const ROOM: usize = 64 << 10;

/// Pause before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// Where records go.
#[derive(Clone)]
pub struct Reporter {
    outgoing: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
}

/// A record, and what is written down once it is acknowledged.
struct Outgoing {
    encoded: Bytes,
    /// As how many records it counts.
    room: u32,
    identity: Option<String>,
    learned: Option<Learned>,
}

struct Pending {
    sequence: u64,
    outgoing: Outgoing,
}

/// What the reporting task owns.
pub struct Desk {
    coordinator: SocketAddr,
    tracer: Tracer,
    hello: Hello,
    /// The subtensor's address, as the coordinator tells it.
    subtensor: watch::Sender<SocketAddr>,
    /// Takes what was learned from acknowledged events.
    memory: Writer,
    /// Takes the identities of acknowledged events, a line each.
    acknowledged: Option<File>,
    incoming: mpsc::Receiver<Outgoing>,
    room: Arc<Semaphore>,
    sent: VecDeque<Pending>,
    next: u64,
}

/// A reporter and the desk that it reports to; [`Desk::work`] is to be run beside it.
pub fn reporter(
    coordinator: SocketAddr,
    tracer: Tracer,
    hello: Hello,
    subtensor: watch::Sender<SocketAddr>,
    memory: Writer,
    acknowledged: Option<&Path>,
) -> anyhow::Result<(Reporter, Desk)> {
    let acknowledged = acknowledged.map(|path| {
        let file = File::options().create(true).append(true).open(path);
        file.with_context(|| format!("cannot open {}", path.display()))
    });
    let (outgoing, incoming) = mpsc::channel(MOST_UNACKNOWLEDGED as usize);
    let room = Arc::new(Semaphore::new(MOST_UNACKNOWLEDGED as usize));
    let desk = Desk {
        coordinator,
        tracer,
        hello,
        subtensor,
        memory,
        acknowledged: acknowledged.transpose()?,
        incoming,
        room: room.clone(),
        sent: VecDeque::new(),
        next: 1,
    };
    Ok((Reporter { outgoing, room }, desk))
}

impl Reporter {
    /// Reports a record; waits while too many are unacknowledged. `learned` is remembered once it is acknowledged.
    pub async fn report(&self, kind: record::Kind, learned: Option<Learned>) -> anyhow::Result<()> {
        let identity = identity(&kind);
        let encoded: Bytes = Record { kind: Some(kind) }.encode_to_vec().into();
        let room = (1 + encoded.len() / ROOM).min(MOST_UNACKNOWLEDGED as usize) as u32;
        self.room
            .acquire_many(room)
            .await
            .context("the reporter has stopped")?
            .forget();
        let sent = self
            .outgoing
            .send(Outgoing {
                encoded,
                room,
                identity,
                learned,
            })
            .await;
        sent.map_err(|_| anyhow!("the reporter has stopped"))
    }

    /// Waits until everything reported so far is acknowledged.
    pub async fn drained(&self) -> anyhow::Result<()> {
        let all = self.room.acquire_many(MOST_UNACKNOWLEDGED).await;
        drop(all.context("the reporter has stopped")?);
        Ok(())
    }
}

impl Desk {
    /// Sends, takes acknowledgements and remembers, until every reporter is gone and everything is acknowledged.
    pub async fn work(mut self) -> anyhow::Result<()> {
        let outcome = self.serve().await;
        self.room.close();
        outcome
    }

    async fn serve(&mut self) -> anyhow::Result<()> {
        loop {
            match self.connect().await {
                Ok((reports, directives)) => {
                    if self.exchange(reports, directives).await? == Ended::Done {
                        return Ok(());
                    }
                    tracing::warn!("the stream to the coordinator broke, opening it again");
                }
                Err(error) => tracing::warn!(%error, "the coordinator takes no reports, trying again"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Opens the stream, says hello, and sends again what was not acknowledged.
    async fn connect(&mut self) -> anyhow::Result<(mpsc::Sender<NodeReport>, Streaming<Directive>)> {
        let (reports, outgoing) = mpsc::channel(MOST_UNACKNOWLEDGED as usize + 1);
        reports
            .send(NodeReport {
                report: Some(node_report::Report::Hello(self.hello.clone())),
            })
            .await?;
        for pending in &self.sent {
            reports.send(pending.report()).await?;
        }
        let mut client = CoordinatorClient::new(self.tracer.channel(self.coordinator));
        let directives = client.report(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok((reports, directives))
    }

    async fn exchange(
        &mut self,
        reports: mpsc::Sender<NodeReport>,
        mut directives: Streaming<Directive>,
    ) -> anyhow::Result<Ended> {
        let mut open = true;
        loop {
            if !open && self.sent.is_empty() {
                return Ok(Ended::Done);
            }
            tokio::select! {
                outgoing = self.incoming.recv(), if open => match outgoing {
                    Some(outgoing) => {
                        let pending = Pending { sequence: self.next, outgoing };
                        self.next += 1;
                        let report = pending.report();
                        self.sent.push_back(pending);
                        if reports.send(report).await.is_err() {
                            return Ok(Ended::Broken);
                        }
                    }
                    None => open = false,
                },
                directive = directives.message() => match directive {
                    Ok(Some(Directive { directive: Some(directive) })) => self.follow(directive)?,
                    Ok(Some(Directive { directive: None })) => {}
                    Ok(None) | Err(_) => return Ok(Ended::Broken),
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
                    .with_context(|| format!("the subtensor is said to be at `{text}`"))?;
                self.subtensor.send_replace(address);
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
                "the coordinator acknowledged record {sequence}, which was not sent or acknowledged before"
            );
        }
        let acknowledged: Vec<Pending> = self.sent.drain(..count).collect();
        let identities = acknowledged
            .iter()
            .filter_map(|pending| pending.outgoing.identity.as_deref());
        if let Some(file) = &mut self.acknowledged {
            let lines: String = identities.flat_map(|identity| [identity, "\n"]).collect();
            file.write_all(lines.as_bytes())
                .context("cannot write down what was acknowledged")?;
        }
        let learned = acknowledged
            .iter()
            .filter_map(|pending| pending.outgoing.learned.as_ref());
        let learned: Vec<Vec<u8>> = learned.map(Message::encode_to_vec).collect();
        self.memory
            .append_batch(&learned)
            .context("cannot remember what was learned")?;
        let room: u32 = acknowledged.iter().map(|pending| pending.outgoing.room).sum();
        self.room.add_permits(room as usize);
        Ok(())
    }
}

impl Pending {
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
enum Ended {
    Done,
    Broken,
}

/// An event's identity in words: validator, purpose, step, forward.
fn identity(kind: &record::Kind) -> Option<String> {
    match kind {
        record::Kind::Event(event) => {
            let purpose = if event.purpose() == Purpose::ByHand {
                "by_hand"
            } else {
                "query"
            };
            Some(format!(
                "{} {purpose} {} {}",
                event.validator, event.step, event.step_sub
            ))
        }
        _ => None,
    }
}
