//! Receives the spans and metrics of the nodes over OTLP, writes them to the tables `spans` and `metrics`, and sends
//! them on to another collector.
//!
//! Telemetry never blocks a run. Messages wait in a queue of bounded size, and one thread decodes and writes them. What
//! does not fit into the queue is dropped and counted by cause.

mod decode;
mod keep;
mod latest;
mod onward;
mod prometheus;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use mirror_net::otlp::{Receive, Signal};
use mirror_output::message;
use mirror_runs::Layout;
use mirror_runs::neurons::Neuron;
use mirror_runs::telemetry::{Parts, Summary};
use mirror_spec::launch::TelemetryLaunch;
use mirror_spec::{Telemetry, Traces};
use mirror_traces::Neurons;
use tonic::Status;

use self::keep::Keep;
use self::latest::Latest;
use self::onward::Onward;
use self::prometheus::Prometheus;
use self::writer::{Outputs, OwnMetrics, Writer};

/// Maximum size of the messages in the queue in bytes.
const QUEUE_BYTES: usize = 64 << 20;

/// Takes messages from the nodes and queues them.
pub struct Collector {
    queue: mpsc::Sender<Input>,
    load: Arc<Load>,
}

/// An input of the writing thread.
enum Input {
    /// A message of a node.
    Message {
        /// The name in the certificate of the node.
        node: String,
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
pub struct TelemetryWriter {
    queue: mpsc::Sender<Input>,
    load: Arc<Load>,
    thread: JoinHandle<Summary>,
    layout: Layout,
    /// The server of the metrics, which ends with the run.
    _prometheus: Option<Prometheus>,
}

/// Starts to receive the telemetry of the run `run_id`.
///
/// # Errors
/// Returns an error if the directory of the files cannot be created, a thread cannot be started, or the server of the
/// metrics cannot listen at its address.
pub async fn start(
    layout: &Layout,
    run_id: &str,
    settings: &Telemetry,
    neurons: Vec<Neuron>,
) -> anyhow::Result<(Arc<Collector>, TelemetryWriter)> {
    let (queue, waiting) = mpsc::channel();
    let load = Arc::<Load>::default();
    let interval = Duration::from_secs_f64(settings.metrics_interval);
    let spans_interval = Duration::from_secs_f64(TelemetryLaunch::spans_interval_of(neurons.len()));
    let is_on = settings.traces != Traces::Off;
    let latest = Arc::new(Latest::new(interval));
    let prometheus = match settings.prometheus.filter(|_| is_on) {
        Some(address) => Some(Prometheus::start(address, latest.clone()).await?),
        None => None,
    };
    if let Some(prometheus) = &prometheus {
        message!("the metrics are served at http://{}/metrics", prometheus.address);
    }
    let endpoint = settings.otlp_endpoint.as_ref().filter(|_| is_on);
    let outputs = Outputs {
        spans: Parts::create(layout, run_id)?,
        metrics: Parts::create(layout, run_id)?,
        keep: match settings.traces {
            Traces::All | Traces::Off => Keep::all(),
            Traces::ErrorsAndSlowest => Keep::errors_and_slowest(spans_interval),
        },
        onward: match endpoint {
            Some(endpoint) => Some(Onward::start(endpoint, Neurons::new(neurons))?),
            None => None,
        },
        latest: prometheus.is_some().then_some(latest),
        own: is_on.then(|| OwnMetrics::start(interval)),
    };
    let writer = Writer::new(outputs, load.clone());
    let thread = std::thread::Builder::new()
        .name("telemetry-writer".to_owned())
        .spawn(move || writer.work(&waiting))
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
        _prometheus: prometheus,
    };
    Ok((collector, writer))
}

impl Receive for Collector {
    fn receive(&self, caller: &str, signal: Signal, message: Bytes) -> Result<Option<String>, Status> {
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
            node: caller.to_owned(),
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
    /// Waits until everything that was received is written, and writes the counts of the run, which it returns. Blocks
    /// the thread.
    ///
    /// # Errors
    /// Returns an error if the counts cannot be written.
    pub fn finish(self) -> anyhow::Result<Summary> {
        // The thread has ended only if it panicked, which the result of `join` reports.
        let _ = self.queue.send(Input::Close);
        let mut summary = self.thread.join().map_err(|_| {
            anyhow::anyhow!("internal error: the thread that writes spans panicked (please report this)")
        })?;
        summary.dropped_by_queue = self.load.dropped_spans.load(Ordering::Relaxed);
        summary.dropped_metrics = self.load.dropped_metrics.load(Ordering::Relaxed);
        summary.write(&self.layout)?;
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use super::*;

    /// A message with this number of spans.
    fn message(spans: usize) -> Bytes {
        let span = Span {
            name: "x".repeat(1_000),
            ..Span::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![span; spans],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        request.encode_to_vec().into()
    }

    /// A disk that takes nothing is imitated by a queue from which nothing is taken.
    #[test]
    fn the_queue_is_bounded_while_nothing_is_written_and_counts_what_it_drops() {
        let (queue, waiting) = mpsc::channel();
        let collector = Collector {
            queue,
            load: Arc::default(),
        };
        let message = message(1_000);
        let fitting = QUEUE_BYTES / message.len();
        let mut rejected = 0;
        for _ in 0..2 * fitting {
            let answer = collector.receive("miner-0", Signal::Traces, message.clone());
            rejected += u64::from(answer.expect("it is never an error").is_some());
        }
        assert_eq!(rejected, fitting as u64);
        assert_eq!(
            collector.load.dropped_spans.load(Ordering::Relaxed),
            1_000 * rejected
        );
        assert_eq!(waiting.try_iter().count(), fitting);
        assert!(collector.load.bytes.load(Ordering::Relaxed) <= QUEUE_BYTES);
    }
}
