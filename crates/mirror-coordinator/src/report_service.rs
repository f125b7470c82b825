//! Takes in what nodes report. Records go to the run's journal in batches; when a batch is with the operating system,
//! its senders are told.
//!
//! One thread owns the journal. What arrives within [`GATHER`] is written together: acknowledgements are due within
//! 100 ms, and fewer wake-ups leave more of the machine to the network that is measured.

use std::net::SocketAddr;
use std::pin::Pin;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::{Stream, StreamExt, stream};
use mirror_proto::mirror::v1::coordinator_server::Coordinator;
use mirror_proto::mirror::v1::{Directive, NodeReport, Record, directive, node_report, record};
use mirror_runs::{Encoded, Ended, Manifest, Recorder};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::Instrument;

/// How long records are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// Records that wait to be written; then the streams wait.
const WAITING: usize = 8_192;

/// Bytes from which a batch takes in no more.
const MAX_BATCH: usize = 32 << 20;

/// How often the journal is synced to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Time for a node that has connected to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Reports taken from a stream at once.
const CHUNK: usize = 256;

/// Where records are sent to be written.
#[derive(Clone)]
pub(crate) struct ReportService {
    records: mpsc::Sender<Arrived>,
    /// Where the subtensor is, for those who connect and those who listen.
    subtensor: watch::Receiver<SocketAddr>,
}

/// The thread that owns the journal.
pub(crate) struct JournalWriter {
    records: mpsc::Sender<Arrived>,
    thread: JoinHandle<anyhow::Result<Recorder>>,
    /// Resolves when the journal writer has stopped by itself: the journal cannot be written.
    pub(crate) stopped: oneshot::Receiver<()>,
}

/// What the journal writer is given.
enum Arrived {
    /// Records of one sender, and where to tell that they are written.
    Records(Vec<Encoded>, Written),
    /// A second has passed.
    Sync,
    /// Nothing more is to come.
    Close,
}

enum Written {
    /// A stream is told up to which number.
    Acknowledge(watch::Sender<u64>, u64),
    /// The coordinator's own.
    Nobody,
}

/// Starts the journal writer on a run.
pub(crate) fn start(
    recorder: Recorder,
    subtensor: watch::Receiver<SocketAddr>,
) -> anyhow::Result<(ReportService, JournalWriter)> {
    let (records, waiting) = mpsc::channel(WAITING);
    let (stopping, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("journal-writer".to_owned())
        .spawn(move || {
            let outcome = write(recorder, waiting);
            // The coordinator may have stopped listening: it is waiting for this thread then.
            let _ = stopping.send(());
            outcome
        });
    let thread = thread.context("cannot start the thread that writes the journal")?;
    tokio::spawn(remind(records.clone()));
    let reports = ReportService {
        records: records.clone(),
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
    /// Writes down what the coordinator itself knows.
    pub(crate) async fn record(&self, kind: record::Kind) -> anyhow::Result<()> {
        let record = Record { kind: Some(kind) };
        self.records
            .send(Arrived::Records(vec![Encoded::from(&record)], Written::Nobody))
            .await
            .map_err(|_| anyhow!("the journal is closed"))
    }
}

impl JournalWriter {
    /// Waits until everything that has arrived is written, and ends the run. Blocks.
    pub(crate) fn finish(self, ended: Ended) -> anyhow::Result<Manifest> {
        // A journal writer that has stopped by itself takes nothing any more; its thread says why.
        let _ = self.records.blocking_send(Arrived::Close);
        let recorder = self
            .thread
            .join()
            .map_err(|_| anyhow!("the thread that writes the journal broke down"))??;
        Ok(recorder.finish(ended)?)
    }
}

fn write(mut recorder: Recorder, mut waiting: mpsc::Receiver<Arrived>) -> anyhow::Result<Recorder> {
    let mut batch = Batch::default();
    while let Some(first) = waiting.blocking_recv() {
        if matches!(first, Arrived::Records(..)) {
            std::thread::sleep(GATHER);
        }
        batch.take(first);
        while batch.bytes < MAX_BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.take(next);
        }
        recorder
            .append(batch.records.drain(..))
            .context("cannot write the journal of the run")?;
        for (sender, number) in batch.told.drain(..) {
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
            told: batch.told,
            ..Batch::default()
        };
    }
    Ok(recorder)
}

/// What is written together.
#[derive(Default)]
struct Batch {
    records: Vec<Encoded>,
    bytes: usize,
    told: Vec<(watch::Sender<u64>, u64)>,
    sync: bool,
    close: bool,
}

impl Batch {
    fn take(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Records(records, written) => {
                self.bytes += records.iter().map(Encoded::size).sum::<usize>();
                self.records.extend(records);
                if let Written::Acknowledge(sender, number) = written {
                    self.told.push((sender, number));
                }
            }
            Arrived::Sync => self.sync = true,
            Arrived::Close => self.close = true,
        }
    }
}

/// Has the journal synced each second, until the journal writer is gone.
async fn remind(records: mpsc::Sender<Arrived>) {
    let mut seconds = tokio::time::interval(SYNC);
    while records.send(Arrived::Sync).await.is_ok() {
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
        let mut reports = request.into_inner();
        let first = tokio::time::timeout(INTRODUCTION, reports.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the first report, a hello, did not come"))?;
        let Some(NodeReport {
            report: Some(node_report::Report::Hello(hello)),
        }) = first?
        else {
            return Err(Status::invalid_argument("the first report must be a hello"));
        };
        let span = tracing::debug_span!(
            "coordinator.report",
            node = hello.node,
            incarnation = hello.incarnation
        );
        let (acknowledged, acknowledgements) = watch::channel(0);
        let forwarding = forward(reports, self.records.clone(), acknowledged, hello.node);
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

/// Passes a node's reports on until its stream ends.
async fn forward(
    reports: Streaming<NodeReport>,
    records: mpsc::Sender<Arrived>,
    acknowledged: watch::Sender<u64>,
    node: String,
) {
    let mut chunks = reports.ready_chunks(CHUNK);
    let mut ended = None;
    while ended.is_none()
        && let Some(chunk) = chunks.next().await
    {
        let mut batch = Vec::with_capacity(chunk.len());
        let mut last = None;
        for report in chunk {
            match read(report) {
                Ok((sequence, record)) => {
                    last = Some(sequence);
                    batch.push(record);
                }
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            }
        }
        // What came before a report that cannot be read counts.
        if let Some(last) = last {
            let written = Written::Acknowledge(acknowledged.clone(), last);
            if records.send(Arrived::Records(batch, written)).await.is_err() {
                return;
            }
        }
    }
    if let Some(error) = ended {
        tracing::info!(node, %error, "a stream of reports broke off: its node sends again what was not acknowledged");
    }
}

fn read(report: Result<NodeReport, Status>) -> anyhow::Result<(u64, Encoded)> {
    match report?.report {
        Some(node_report::Report::Record(sequenced)) => {
            let record = Encoded::decode(sequenced.record).context("a record cannot be read")?;
            Ok((sequenced.sequence, record))
        }
        _ => Err(anyhow!("a report is no record")),
    }
}
