//! Receives the reports of nodes. Records are written to the run's journal in batches. Once a batch has been handed to
//! the operating system, its senders receive an acknowledgement.
//!
//! One thread owns the journal. Records that arrive within [`GATHER`] are written together: acknowledgements are due
//! within 100 ms, and fewer wake-ups leave more of the machine to the network under measurement.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use futures::{FutureExt, Stream, StreamExt, stream};
use mirror_net::tls::PeerName;
use mirror_proto::mirror::v1::coordinator_server::Coordinator;
use mirror_proto::mirror::v1::{Directive, NodeReport, Purpose, Record, directive, node_report, record};
use mirror_proto::protocol::SUBTENSOR;
use mirror_runs::{Encoded, Ended, Manifest, Recorder};
use mirror_telemetry::metrics::instruments;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::Instrument;

use crate::network_spec::{validator_index, validator_name};

/// Time for which records are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// Maximum number of messages in the queue of the journal writer. If it is full, the streams wait.
const WAITING: usize = 8_192;

/// Maximum size of the records in the queue of the journal writer, in KiB, except that a larger record may be in it
/// alone. If it is full, the streams wait.
const WAITING_KIB: u32 = 64 << 10;

/// Size in bytes from which a batch takes no more records.
const MAX_BATCH: usize = 32 << 20;

/// Interval between syncs of the journal to disk.
const SYNC: Duration = Duration::from_secs(1);

/// Time that a connected node has to send its hello.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Maximum number of reports that are taken from a stream together.
const CHUNK: usize = 256;

/// Size in bytes from which no more reports are taken from a stream together.
const CHUNK_BYTES: usize = 1 << 20;

/// The gRPC service that receives reports and queues their records for the journal writer.
#[derive(Clone)]
pub(crate) struct ReportService {
    records: Records,
    /// Number of validators of the run.
    validators: u32,
    /// Address of the subtensor, sent to nodes when they connect and whenever it changes.
    subtensor: watch::Receiver<SocketAddr>,
}

/// The queue of the journal writer.
#[derive(Clone)]
struct Records {
    queue: mpsc::Sender<WriterMessage>,
    /// The free room of the queue, in KiB.
    room: Arc<Semaphore>,
}

/// The thread that owns the journal.
pub(crate) struct JournalWriter {
    records: mpsc::Sender<WriterMessage>,
    thread: JoinHandle<anyhow::Result<Recorder>>,
    /// Resolves when the journal writer has stopped on its own because it cannot write the journal.
    pub(crate) stopped: oneshot::Receiver<()>,
}

/// A message to the journal writer.
enum WriterMessage {
    /// Records of one sender, with the acknowledgement that follows once they are written, and their room in the queue.
    Records(Vec<Encoded>, Written, OwnedSemaphorePermit),
    /// Requests a sync of the journal.
    Sync,
    /// No more records follow.
    Close,
}

enum Written {
    /// Acknowledges records of a stream up to this sequence number.
    Acknowledge(watch::Sender<u64>, u64),
    /// The record comes from the coordinator itself and needs no acknowledgement.
    Unacknowledged,
}

impl Records {
    /// Queues records once there is room for them. Returns an error if the journal is closed.
    async fn send(&self, records: Vec<Encoded>, written: Written) -> anyhow::Result<()> {
        let bytes: usize = records.iter().map(Encoded::size).sum();
        let kib = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(WAITING_KIB);
        let room = self.room.clone().acquire_many_owned(kib.min(WAITING_KIB)).await?;
        let message = WriterMessage::Records(records, written, room);
        self.queue
            .send(message)
            .await
            .map_err(|_| anyhow!("the journal is closed"))
    }
}

/// Starts the journal writer of a run with this number of validators.
pub(crate) fn start(
    recorder: Recorder,
    validators: u32,
    subtensor: watch::Receiver<SocketAddr>,
) -> anyhow::Result<(ReportService, JournalWriter)> {
    let (records, waiting) = mpsc::channel(WAITING);
    let (stopping, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("journal-writer".to_owned())
        .spawn(move || {
            let outcome = write(recorder, waiting);
            // The coordinator no longer listens if it is already waiting for this thread.
            let _ = stopping.send(());
            outcome
        });
    let thread = thread.context("cannot start the thread that writes the journal")?;
    tokio::spawn(request_syncs(records.clone()));
    let reports = ReportService {
        records: Records {
            queue: records.clone(),
            room: Arc::new(Semaphore::new(WAITING_KIB as usize)),
        },
        validators,
        subtensor,
    };
    Ok((
        reports,
        JournalWriter {
            records,
            thread,
            stopped,
        },
    ))
}

impl ReportService {
    /// Records something that the coordinator itself has observed.
    pub(crate) async fn record(&self, kind: record::Kind) -> anyhow::Result<()> {
        let record = Record { kind: Some(kind) };
        let records = vec![Encoded::from(&record)];
        self.records.send(records, Written::Unacknowledged).await
    }
}

impl JournalWriter {
    /// Waits until all queued records are written, and closes the run. Blocks the thread.
    pub(crate) fn finish(self, ended: Ended) -> anyhow::Result<Manifest> {
        // A journal writer that has stopped on its own receives nothing. The result of its thread contains the cause.
        let _ = self.records.blocking_send(WriterMessage::Close);
        let recorder = self
            .thread
            .join()
            .map_err(|_| anyhow!("internal error: the journal thread panicked (please report this)"))??;
        Ok(recorder.finish(ended)?)
    }
}

fn write(mut recorder: Recorder, mut waiting: mpsc::Receiver<WriterMessage>) -> anyhow::Result<Recorder> {
    let mut batch = Batch::default();
    while let Some(first) = waiting.blocking_recv() {
        if matches!(first, WriterMessage::Records(..)) {
            std::thread::sleep(GATHER);
        }
        batch.take(first);
        while batch.bytes < MAX_BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.take(next);
        }
        instruments().journal_records.add(batch.records.len() as u64, &[]);
        recorder
            .append(batch.records.drain(..))
            .context("cannot write the journal of the run")?;
        batch.room.clear();
        for (sender, number) in batch.acknowledgements.drain(..) {
            sender.send_replace(number);
        }
        if batch.sync {
            recorder.sync().context("cannot write the journal of the run")?;
        }
        if batch.close {
            waiting.close();
        }
        batch = Batch {
            records: batch.records,
            acknowledgements: batch.acknowledgements,
            room: batch.room,
            ..Batch::default()
        };
    }
    Ok(recorder)
}

/// Records that are written together.
#[derive(Default)]
struct Batch {
    records: Vec<Encoded>,
    bytes: usize,
    acknowledgements: Vec<(watch::Sender<u64>, u64)>,
    /// The room of the records in the queue.
    room: Vec<OwnedSemaphorePermit>,
    sync: bool,
    close: bool,
}

impl Batch {
    fn take(&mut self, arrived: WriterMessage) {
        match arrived {
            WriterMessage::Records(records, written, room) => {
                self.room.push(room);
                self.bytes += records.iter().map(Encoded::size).sum::<usize>();
                self.records.extend(records);
                if let Written::Acknowledge(sender, number) = written {
                    self.acknowledgements.push((sender, number));
                }
            }
            WriterMessage::Sync => self.sync = true,
            WriterMessage::Close => self.close = true,
        }
    }
}

/// Requests a sync of the journal every second, until the journal writer has stopped.
async fn request_syncs(records: mpsc::Sender<WriterMessage>) {
    let mut seconds = tokio::time::interval(SYNC);
    while records.send(WriterMessage::Sync).await.is_ok() {
        seconds.tick().await;
    }
}

#[async_trait]
impl Coordinator for ReportService {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<Directive, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let caller = PeerName::of(&request)?;
        let mut reports = request.into_inner();
        let first = tokio::time::timeout(INTRODUCTION, reports.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the first report, a hello, did not arrive in time"))?;
        let Some(NodeReport {
            report: Some(node_report::Report::Hello(hello)),
        }) = first?
        else {
            return Err(Status::invalid_argument("the first report must be a hello"));
        };
        if hello.node != caller.as_str() {
            return Err(Status::permission_denied(format!(
                "`{}` cannot report as `{}`: the certificate must have the name of the node",
                caller.as_str(),
                shortened(&hello.node)
            )));
        }
        let span = tracing::debug_span!(
            "coordinator.report",
            node = hello.node,
            incarnation = hello.incarnation
        );
        let (acknowledged, acknowledgements) = watch::channel(0);
        let forwarding = forward(
            reports,
            self.records.clone(),
            self.validators,
            acknowledged,
            hello.node,
        );
        tokio::spawn(forwarding.instrument(span));
        let acknowledgements =
            WatchStream::from_changes(acknowledgements).map(directive::Directive::Acknowledged);
        let moves = WatchStream::from_changes(self.subtensor.clone())
            .map(|address| directive::Directive::SubtensorAddress(address.to_string()));
        let directives = stream::select(acknowledgements, moves);
        Ok(Response::new(Box::pin(directives.map(|directive| {
            Ok(Directive {
                directive: Some(directive),
            })
        }))))
    }
}

/// Forwards a node's records to the journal writer until its stream ends.
async fn forward(
    mut reports: Streaming<NodeReport>,
    records: Records,
    validators: u32,
    acknowledged: watch::Sender<u64>,
    node: String,
) {
    let mut ended = None;
    while ended.is_none()
        && let Some(first) = reports.next().await
    {
        let mut next = Some(first);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        while let Some(report) = next {
            match read(report, validators, &node) {
                Ok((sequence, record)) => {
                    last = Some(sequence);
                    bytes += record.size();
                    batch.push(record);
                }
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            }
            let is_full = batch.len() >= CHUNK || bytes >= CHUNK_BYTES;
            next = if is_full {
                None
            } else {
                reports.next().now_or_never().flatten()
            };
        }
        // Records that precede an unreadable report are still written and acknowledged.
        if let Some(last) = last {
            let written = Written::Acknowledge(acknowledged.clone(), last);
            if records.send(batch, written).await.is_err() {
                return;
            }
        }
    }
    if let Some(error) = ended {
        tracing::info!(node, %error, "a report stream was interrupted: the node will resend the records that were not acknowledged");
    }
}

fn read(report: Result<NodeReport, Status>, validators: u32, node: &str) -> anyhow::Result<(u64, Encoded)> {
    match report?.report {
        Some(node_report::Report::Record(sequenced)) => {
            let record = Encoded::decode(sequenced.record).context("cannot decode a record")?;
            check_source(record.record(), validators, node)?;
            Ok((sequenced.sequence, record))
        }
        _ => Err(anyhow!("expected a report with a record")),
    }
}

/// Checks that `node` may report a record: a validator its own events and weights, for a purpose of the run, and the
/// chain transactions and epochs. The number of sources whose records are remembered therefore has a bound.
fn check_source(record: &Record, validators: u32, node: &str) -> anyhow::Result<()> {
    let validator = match &record.kind {
        Some(record::Kind::Event(event)) => {
            ensure!(
                Purpose::try_from(event.purpose).is_ok(),
                "there is no purpose {} of events",
                event.purpose
            );
            &event.validator
        }
        Some(record::Kind::Weights(set)) => &set.validator,
        Some(record::Kind::Transactions(_) | record::Kind::Epoch(_)) => {
            ensure!(
                node == SUBTENSOR,
                "only the chain reports transactions and epochs, not `{node}`"
            );
            return Ok(());
        }
        Some(record::Kind::Incident(_) | record::Kind::Barrier(_) | record::Kind::Fault(_)) | None => {
            bail!("only the coordinator makes records of this kind, not `{node}`")
        }
    };
    let index = validator_index(validator).filter(|index| *index < validators);
    ensure!(
        index.is_some_and(|index| validator_name(index) == *validator),
        "the run has no validator `{}`",
        shortened(validator)
    );
    ensure!(
        validator == node,
        "`{node}` cannot report a record of `{validator}`"
    );
    Ok(())
}

/// Returns the beginning of a name that a peer has sent, for messages.
fn shortened(name: &str) -> String {
    name.chars()
        .take(64)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

#[cfg(test)]
mod tests {
    use mirror_proto::mirror::v1::ForwardEvent;

    use super::*;

    #[test]
    fn only_records_of_the_validators_of_the_run_are_accepted() {
        let check = |validator: &str, purpose: i32| {
            let event = ForwardEvent {
                validator: validator.to_owned(),
                purpose,
                ..ForwardEvent::default()
            };
            let kind = Some(record::Kind::Event(event));
            check_source(&Record { kind }, 2, validator).map_err(|error| error.to_string())
        };
        let query = Purpose::Query as i32;
        assert_eq!(check("validator-1", query), Ok(()));
        for invented in ["validator-2", "validator-01", "validator-+1", "miner-0", ""] {
            let refused = Err(format!("the run has no validator `{invented}`"));
            assert_eq!(check(invented, query), refused);
        }
        assert!(check("validator-1", 77).is_err());
    }
}
