//! Receives the spans and metrics of the nodes over OTLP, writes them to the tables `spans` and `metrics`, and sends
//! them on to another collector.
//!
//! Telemetry never blocks a run. Messages wait in a queue of bounded size, and one thread decodes and writes them. What
//! does not fit into the queue is dropped and counted by cause.

mod decode;
mod keep;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;
use bytes::Bytes;
use mirror_net::otlp::{Receive, Signal};
use mirror_net::tls::PeerName;
use mirror_runs::telemetry::{Parts, Summary};
use mirror_runs::{Layout, RunError};
use mirror_spec::{Telemetry, Traces};
use tonic::Status;

use self::keep::Keep;
use self::writer::Writer;

/// Maximum size of the messages in the queue in bytes.
const QUEUE_BYTES: usize = 64 << 20;

/// Takes messages from the nodes and queues them.
pub(crate) struct Collector {
    queue: mpsc::Sender<Input>,
    load: Arc<Load>,
}

/// An input of the writing thread.
enum Input {
    /// A message of a node.
    Message {
        node: PeerName,
        signal: Signal,
        message: Bytes,
    },
    /// No more messages follow.
    Close,
}

/// The state of the queue, which both ends share.
#[derive(Default)]
struct Load {
    /// Size of the messages in the queue in bytes.
    bytes: AtomicUsize,
    /// Number of spans that did not fit into the queue.
    dropped_spans: AtomicU64,
    /// Number of messages of metrics that did not fit into the queue.
    dropped_metrics: AtomicU64,
}

/// The thread that writes the tables.
pub(crate) struct TelemetryWriter {
    queue: mpsc::Sender<Input>,
    load: Arc<Load>,
    thread: JoinHandle<Summary>,
    layout: Layout,
}

/// Starts to receive the telemetry of the run `run_id`.
///
/// # Errors
/// Returns an error if the directory of the files cannot be created, or the thread cannot be started.
pub(crate) fn start(
    layout: &Layout,
    run_id: &str,
    settings: &Telemetry,
) -> anyhow::Result<(Arc<Collector>, TelemetryWriter)> {
    let (queue, waiting) = mpsc::channel();
    let load = Arc::<Load>::default();
    let keep = match settings.traces {
        Traces::All | Traces::Off => Keep::all(),
        Traces::ErrorsAndSlowest => Keep::errors_and_slowest(),
    };
    let writer = Writer::new(
        Parts::create(layout, run_id)?,
        Parts::create(layout, run_id)?,
        keep,
    );
    let shared = load.clone();
    let thread = std::thread::Builder::new()
        .name("telemetry-writer".to_owned())
        .spawn(move || writer.work(&waiting, &shared))
        .context("cannot start the thread that writes spans")?;
    let collector = Arc::new(Collector {
        queue: queue.clone(),
        load: load.clone(),
    });
    let writer = TelemetryWriter {
        queue,
        load,
        thread,
        layout: layout.clone(),
    };
    Ok((collector, writer))
}

impl Receive for Collector {
    fn receive(&self, node: PeerName, signal: Signal, message: Bytes) -> Result<Option<String>, Status> {
        let size = message.len();
        let before = self.load.bytes.fetch_add(size, Ordering::AcqRel);
        if before.saturating_add(size) > QUEUE_BYTES {
            self.load.bytes.fetch_sub(size, Ordering::AcqRel);
            match signal {
                Signal::Traces => {
                    let spans = decode::count_spans(message);
                    self.load.dropped_spans.fetch_add(spans, Ordering::Relaxed);
                }
                Signal::Metrics => {
                    self.load.dropped_metrics.fetch_add(1, Ordering::Relaxed);
                }
            }
            return Ok(Some(
                "the queue of the coordinator is full: the message was dropped".to_owned(),
            ));
        }
        let input = Input::Message {
            node,
            signal,
            message,
        };
        self.queue
            .send(input)
            .map_err(|_| Status::failed_precondition("the run has ended"))?;
        Ok(None)
    }
}

impl TelemetryWriter {
    /// Waits until everything that was received is written, and writes the counts of the run. Blocks the thread.
    ///
    /// # Errors
    /// Returns an error if the counts cannot be written.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        // The thread has ended only if it panicked, which the result of `join` reports.
        let _ = self.queue.send(Input::Close);
        let mut summary = self.thread.join().map_err(|_| {
            anyhow::anyhow!("internal error: the thread that writes spans panicked (please report this)")
        })?;
        summary.dropped_by_queue = self.load.dropped_spans.load(Ordering::Relaxed);
        summary.dropped_metrics = self.load.dropped_metrics.load(Ordering::Relaxed);
        summary.write(&self.layout).map_err(RunError::into)
    }
}
