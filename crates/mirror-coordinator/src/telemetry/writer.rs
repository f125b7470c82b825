//! The thread that decodes the messages and writes the tables.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use mirror_net::otlp::Signal;
use mirror_runs::RunError;
use mirror_runs::tables::{MetricRow, Row, SpanRow};
use mirror_runs::telemetry::{Parts, Summary};

use super::decode::DroppedByNodes;
use super::keep::Keep;
use super::{Input, Load, decode};

/// Number of rows at which a file is written.
const ROWS: usize = 50_000;

/// Time after which the rows are written even if they are few, so that readers of a run in progress see them.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes the tables of spans and metrics.
pub(super) struct Writer {
    spans: Rows<SpanRow>,
    metrics: Rows<MetricRow>,
    keep: Keep,
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
        let rows = std::mem::take(&mut self.waiting);
        let count = rows.len() as u64;
        match self.parts.write(rows) {
            Ok(()) => self.written += count,
            Err(error) => self.lose(count, &error),
        }
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
    pub(super) fn new(spans: Parts<SpanRow>, metrics: Parts<MetricRow>, keep: Keep) -> Self {
        Self {
            spans: Rows::new(spans),
            metrics: Rows::new(metrics),
            keep,
            dropped_by_nodes: DroppedByNodes::default(),
            summary: Summary::default(),
        }
    }

    /// Writes what arrives until the queue is closed. Returns the counts.
    pub(super) fn work(mut self, waiting: &Receiver<Input>, load: &Load) -> Summary {
        let mut due = Instant::now() + INTERVAL;
        loop {
            match waiting.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Input::Message {
                    node,
                    signal,
                    message,
                }) => {
                    let size = message.len();
                    match signal {
                        Signal::Traces => self.take_spans(message, node.as_str()),
                        Signal::Metrics => {
                            let rows = decode::metrics(message, node.as_str());
                            self.summary.refused_metrics += rows.refused;
                            self.metrics.waiting.extend(rows.rows);
                        }
                    }
                    load.bytes.fetch_sub(size, Ordering::AcqRel);
                }
                Ok(Input::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let is_due = Instant::now() >= due;
            if is_due {
                due = Instant::now() + INTERVAL;
                self.keep
                    .take(Vec::new(), Instant::now(), &mut self.spans.waiting);
            }
            if is_due || self.spans.waiting.len() >= ROWS {
                self.spans.write();
            }
            if is_due || self.metrics.waiting.len() >= ROWS {
                self.metrics.write();
            }
        }
        self.keep.finish(&mut self.spans.waiting);
        self.spans.write();
        self.metrics.write();
        Summary {
            spans: self.spans.written,
            metrics: self.metrics.written,
            dropped_by_nodes: self.dropped_by_nodes.total(),
            not_kept: self.keep.dropped(),
            lost: self.spans.lost + self.metrics.lost,
            ..self.summary
        }
    }

    fn take_spans(&mut self, message: bytes::Bytes, node: &str) {
        let decoded = decode::spans(message, node);
        self.dropped_by_nodes
            .note(node, decoded.incarnation, decoded.dropped_by_node);
        self.summary.refused += decoded.refused;
        self.keep
            .take(decoded.rows, Instant::now(), &mut self.spans.waiting);
    }
}
