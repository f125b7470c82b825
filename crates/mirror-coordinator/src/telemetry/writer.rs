//! The thread that decodes the messages and writes the tables.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mirror_net::otlp::{MESSAGE_LIMIT, Signal};
use mirror_proto::protocol::COORDINATOR;
use mirror_runs::RunError;
use mirror_runs::tables::{MetricRow, Row, SpanRow};
use mirror_runs::telemetry::{Parts, Summary};
use mirror_telemetry::metrics::{Metrics, instruments};
use prost::Message;

use super::decode::DroppedByNodes;
use super::keep::Keep;
use super::latest::Latest;
use super::onward::Onward;
use super::{Input, Load, decode};

/// Number of rows at which a file is written.
const ROWS: usize = 50_000;

/// Number of spans in a message to another collector.
const ROWS_ONWARD: usize = 1_000;

/// Time after which the rows are written even if they are few, so that readers of a run in progress see them.
const INTERVAL: Duration = Duration::from_secs(5);

/// The destinations of spans and metrics.
pub(super) struct Outputs {
    pub(super) spans: Parts<SpanRow>,
    pub(super) metrics: Parts<MetricRow>,
    pub(super) keep: Keep,
    /// Another collector.
    pub(super) onward: Option<Onward>,
    /// The metrics that are served for Prometheus.
    pub(super) latest: Option<Arc<Latest>>,
    /// The metrics of the coordinator's own process.
    pub(super) own: Option<OwnMetrics>,
}

/// The metrics of the coordinator's own process. Runs of one process share them.
pub(super) struct OwnMetrics {
    metrics: &'static Metrics,
    interval: Duration,
    due: Instant,
}

impl OwnMetrics {
    /// Begins to measure at this interval.
    pub(super) fn start(interval: Duration) -> Self {
        Self {
            metrics: Metrics::start(),
            interval,
            due: Instant::now() + interval,
        }
    }

    /// Measures. Returns the message.
    fn measure(&mut self, load: &Load) -> Bytes {
        self.due = Instant::now() + self.interval;
        let queue = load.bytes.load(Ordering::Acquire);
        instruments().telemetry_queue.record(queue as f64, &[]);
        self.metrics
            .collect(&mirror_traces::otlp::resource(COORDINATOR, 0))
            .encode_to_vec()
            .into()
    }
}

/// Writes the tables of spans and metrics.
pub(super) struct Writer {
    spans: Rows<SpanRow>,
    metrics: Rows<MetricRow>,
    keep: Keep,
    onward: Option<Onward>,
    latest: Option<Arc<Latest>>,
    own: Option<OwnMetrics>,
    load: Arc<Load>,
    /// Messages of metrics that are not sent on yet. The concatenation of messages is their union.
    unsent: BytesMut,
    /// Number of measurements in them.
    unsent_count: u64,
    dropped_by_nodes: DroppedByNodes,
    summary: Summary,
}

/// Rows that are not written yet, and the files of their table.
struct Rows<R> {
    waiting: Vec<R>,
    parts: Parts<R>,
    /// Number of rows that are in files.
    written: u64,
    /// Number of rows that were lost because a file could not be written.
    lost: u64,
}

impl<R: Row> Rows<R> {
    fn new(parts: Parts<R>) -> Self {
        Self {
            waiting: Vec::new(),
            parts,
            written: 0,
            lost: 0,
        }
    }

    /// Writes the waiting rows to a file.
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let count = self.waiting.len() as u64;
        match self.parts.write(&self.waiting) {
            Ok(()) => self.written += count,
            Err(error) => self.lose(count, &error),
        }
        self.waiting.clear();
    }

    fn lose(&mut self, count: u64, error: &RunError) {
        if self.lost == 0 {
            tracing::warn!(
                rows = count,
                "rows of the table `{}` are lost, because a file cannot be written: {error}",
                R::TABLE
            );
        }
        self.lost += count;
    }
}

impl Writer {
    pub(super) fn new(outputs: Outputs, load: Arc<Load>) -> Self {
        Self {
            spans: Rows::new(outputs.spans),
            metrics: Rows::new(outputs.metrics),
            keep: outputs.keep,
            onward: outputs.onward,
            latest: outputs.latest,
            own: outputs.own,
            load,
            unsent: BytesMut::new(),
            unsent_count: 0,
            dropped_by_nodes: DroppedByNodes::default(),
            summary: Summary::default(),
        }
    }

    /// Writes what arrives until the queue is closed. Returns the counts.
    pub(super) fn work(mut self, waiting: &Receiver<Input>) -> Summary {
        let mut due = Instant::now() + INTERVAL;
        loop {
            let next = self.own.as_ref().map_or(due, |own| own.due.min(due));
            match waiting.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Input::Message {
                    node,
                    signal,
                    message,
                }) => {
                    let size = message.len();
                    match signal {
                        Signal::Traces => self.take_spans(message, &node),
                        Signal::Metrics => self.take_metrics(&message, &node),
                    }
                    self.load.bytes.fetch_sub(size, Ordering::AcqRel);
                }
                Ok(Input::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.own.as_ref().is_some_and(|own| Instant::now() >= own.due) {
                self.measure();
            }
            let is_due = Instant::now() >= due;
            if is_due {
                due = Instant::now() + INTERVAL;
                self.keep
                    .take(Vec::new(), Instant::now(), &mut self.spans.waiting);
            }
            if is_due || self.spans.waiting.len() >= ROWS {
                self.write_spans();
            }
            if is_due || self.metrics.waiting.len() >= ROWS || self.unsent.len() >= MESSAGE_LIMIT {
                self.write_metrics();
            }
        }
        self.measure();
        self.keep.finish(&mut self.spans.waiting);
        self.write_spans();
        self.write_metrics();
        Summary {
            spans: self.spans.written,
            metrics: self.metrics.written,
            dropped_by_nodes: self.dropped_by_nodes.total(),
            not_kept: self.keep.dropped(),
            lost: self.spans.lost,
            lost_metrics: self.metrics.lost,
            not_sent_on: self.onward.map_or(0, Onward::finish),
            ..self.summary
        }
    }

    fn take_spans(&mut self, message: Bytes, node: &str) {
        let decoded = decode::spans(message, node);
        self.dropped_by_nodes
            .note(node, decoded.incarnation, decoded.dropped_by_node);
        self.summary.refused += decoded.refused;
        self.keep
            .take(decoded.rows, Instant::now(), &mut self.spans.waiting);
    }

    fn take_metrics(&mut self, message: &Bytes, node: &str) {
        let decoded = decode::metrics(message.clone(), node);
        self.dropped_by_nodes
            .note(node, decoded.incarnation, decoded.dropped_by_node);
        self.summary.refused_metrics += decoded.refused;
        if let Some(latest) = &self.latest {
            self.summary.refused_metrics += latest.add(&decoded.rows, Instant::now());
        }
        if self.onward.is_some() && decoded.refused == 0 {
            self.unsent.extend_from_slice(message);
            self.unsent_count += decoded.rows.len() as u64;
        }
        self.metrics.waiting.extend(decoded.rows);
    }

    /// Measures the coordinator's own process.
    fn measure(&mut self) {
        if let Some(own) = &mut self.own {
            let message = own.measure(&self.load);
            self.take_metrics(&message, COORDINATOR);
        }
    }

    fn write_spans(&mut self) {
        if let Some(onward) = &self.onward {
            for rows in self.spans.waiting.chunks(ROWS_ONWARD) {
                let message = mirror_traces::otlp::request(rows, &onward.neurons).encode_to_vec();
                onward.send(Signal::Traces, message.into(), rows.len() as u64);
            }
        }
        self.spans.write();
    }

    fn write_metrics(&mut self) {
        if let Some(onward) = &self.onward
            && !self.unsent.is_empty()
        {
            let count = std::mem::take(&mut self.unsent_count);
            onward.send(Signal::Metrics, self.unsent.split().freeze(), count);
        }
        self.metrics.write();
    }
}
