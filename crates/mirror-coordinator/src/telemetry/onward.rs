//! Sends spans and metrics on to another collector, by OTLP over HTTP with messages in protobuf.
//!
//! A thread sends one message after the other. It never blocks the run: messages wait in a queue of bounded size, and
//! what does not fit, is refused or cannot be sent before the run ends is dropped and counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use mirror_net::otlp::Signal;
use mirror_spec::OtlpEndpoint;
use mirror_traces::Neurons;
use percent_encoding::percent_decode_str;
use prost::Message;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue};

/// Maximum size of the waiting messages in bytes.
const QUEUE_BYTES: usize = 32 << 20;

/// Timeout of one attempt to send a message.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Maximum size of an answer in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// Pause after the first failed attempt at a message. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Maximum pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Time after the end of the run in which the last messages are sent.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

/// The environment variable with the headers of the requests, by OpenTelemetry's specification: `key=value,key=value`.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The queue, and the thread that sends what waits in it.
pub(super) struct Onward {
    /// The neurons of the run, whose spans name their behaviours and labels.
    pub(super) neurons: Neurons,
    queue: Sender<Waiting>,
    load: Arc<Load>,
    thread: JoinHandle<()>,
}

/// A message with the number of spans or metrics in it.
struct Waiting {
    signal: Signal,
    message: Bytes,
    count: u64,
}

#[derive(Default)]
struct Load {
    /// Size of the waiting messages in bytes.
    bytes: AtomicUsize,
    /// Number of spans and metrics that were not sent.
    lost: AtomicU64,
    /// The time after which no attempt is made. It is set when the run ends.
    last: OnceLock<Instant>,
}

impl Load {
    /// Waits for `pause`, or only for [`FIRST_PAUSE`] once the run has ended.
    fn wait(&self, pause: Duration) {
        let started = Instant::now();
        loop {
            std::thread::sleep(FIRST_PAUSE.min(pause));
            if started.elapsed() >= pause || self.last.get().is_some() {
                return;
            }
        }
    }
}

impl Onward {
    /// Starts the thread.
    ///
    /// # Errors
    /// Returns an error if the headers in the environment are invalid, or the thread cannot be started.
    pub(super) fn start(endpoint: &OtlpEndpoint, neurons: Neurons) -> anyhow::Result<Self> {
        let headers = std::env::var(HEADERS).unwrap_or_default();
        let client = Client {
            agent: Agent::config_builder()
                .timeout_global(Some(ATTEMPT))
                .http_status_as_error(false)
                .build()
                .into(),
            endpoint: endpoint.clone(),
            headers: headers_of(&headers).with_context(|| format!("the environment variable {HEADERS}"))?,
        };
        let (queue, waiting) = mpsc::channel();
        let load = Arc::<Load>::default();
        let shared = load.clone();
        let thread = std::thread::Builder::new()
            .name("telemetry-onward".to_owned())
            .spawn(move || client.work(&waiting, &shared))
            .context("cannot start the thread that sends telemetry to the collector")?;
        Ok(Self {
            neurons,
            queue,
            load,
            thread,
        })
    }

    /// Queues a message with `count` spans or metrics, or drops it if the queue is full.
    pub(super) fn send(&self, signal: Signal, message: Bytes, count: u64) {
        let size = message.len();
        let before = self.load.bytes.fetch_add(size, Ordering::AcqRel);
        let waiting = Waiting {
            signal,
            message,
            count,
        };
        // The thread ends only after this queue, unless it panicked.
        if before.saturating_add(size) > QUEUE_BYTES || self.queue.send(waiting).is_err() {
            self.load.bytes.fetch_sub(size, Ordering::AcqRel);
            self.load.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Waits until everything is sent, but for at most [`LAST_ATTEMPTS`]. Returns the number of spans and metrics that
    /// were not sent.
    pub(super) fn finish(self) -> u64 {
        let Self {
            queue, load, thread, ..
        } = self;
        load.last.get_or_init(|| Instant::now() + LAST_ATTEMPTS);
        drop(queue);
        if thread.join().is_err() {
            tracing::error!(
                "internal error: the thread that sends telemetry to the collector panicked (please report this)"
            );
        }
        load.lost.load(Ordering::Relaxed)
    }
}

/// The client of the collector.
struct Client {
    agent: Agent,
    endpoint: OtlpEndpoint,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The outcome of an attempt that did not succeed.
enum Failure {
    /// The collector cannot be reached, or does not answer.
    Unreachable(String),
    /// The collector takes the message if it is sent again.
    Busy(String),
    /// The collector will never take the message.
    Refused(String),
}

impl Client {
    /// Sends messages until the queue is closed and empty, or the time for the last ones is over.
    fn work(&self, waiting: &Receiver<Waiting>, load: &Load) {
        let mut log = Log {
            collector: &self.endpoint,
            has_warned: false,
            has_taken: false,
        };
        while let Ok(next) = waiting.recv() {
            let rejected = self.send(&next, load, &mut log);
            load.bytes.fetch_sub(next.message.len(), Ordering::AcqRel);
            load.lost.fetch_add(rejected, Ordering::Relaxed);
        }
    }

    /// Sends a message until the collector takes or refuses it. Returns the number of spans and metrics in it that the
    /// collector did not take.
    fn send(&self, message: &Waiting, load: &Load, log: &mut Log) -> u64 {
        let mut pause = FIRST_PAUSE;
        loop {
            let left = load
                .last
                .get()
                .map_or(ATTEMPT, |last| last.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                log.warn("the run has ended");
                return message.count;
            }
            match self.attempt(message, left.min(ATTEMPT)) {
                Ok(rejected) => {
                    log.has_taken = true;
                    if rejected > 0 {
                        log.warn("it rejected a part of them");
                    }
                    return rejected.min(message.count);
                }
                Err(Failure::Refused(reason)) => {
                    log.warn(&reason);
                    return message.count;
                }
                Err(Failure::Unreachable(reason)) => {
                    log.warn(&reason);
                    // A collector that was never there does not delay the end of the run.
                    if load.last.get().is_some() && !log.has_taken {
                        return message.count;
                    }
                }
                Err(Failure::Busy(reason)) => log.warn(&reason),
            }
            // The queue is more than half full, so the oldest message gives way to newer ones.
            if load.bytes.load(Ordering::Acquire) > QUEUE_BYTES / 2 {
                return message.count;
            }
            load.wait(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Makes one attempt. Returns the number of spans or metrics that the collector rejected.
    fn attempt(&self, waiting: &Waiting, timeout: Duration) -> Result<u64, Failure> {
        let path = match waiting.signal {
            Signal::Traces => "v1/traces",
            Signal::Metrics => "v1/metrics",
        };
        let mut request = self
            .agent
            .post(self.endpoint.url(path))
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("content-type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = request
            .send(&*waiting.message)
            .map_err(|error| Failure::Unreachable(error.to_string()))?;
        let status = response.status();
        // These are the statuses after which the specification of OTLP allows another attempt.
        match status.as_u16() {
            200..=299 => {
                let answer = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
                Ok(answer.map_or(0, |answer| rejected(&answer)))
            }
            429 | 502 | 503 | 504 => Err(Failure::Busy(format!("it answered {status}"))),
            _ => Err(Failure::Refused(format!("it answered {status}"))),
        }
    }
}

/// The warnings about the collector, of which only the first is logged.
struct Log<'a> {
    collector: &'a OtlpEndpoint,
    has_warned: bool,
    /// Whether the collector has taken a message.
    has_taken: bool,
}

impl Log<'_> {
    fn warn(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                collector = %self.collector,
                "the collector did not take spans or metrics: {reason}; what is not sent in the end is only counted"
            );
        }
    }
}

/// `ExportTraceServiceResponse` and `ExportMetricsServiceResponse`, whose fields have the same numbers.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
}

/// Returns the number of spans or metrics that an answer says were rejected. What cannot be decoded says nothing.
fn rejected(answer: &[u8]) -> u64 {
    ExportResponse::decode(answer)
        .ok()
        .and_then(|response| u64::try_from(response.partial_success?.rejected).ok())
        .unwrap_or_default()
}

/// Reads headers in the form `key=value,key=value`, whose values may be percent-encoded.
///
/// # Errors
/// Returns an error if a part is no pair, or the pair is no valid header.
fn headers_of(text: &str) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part
                .split_once('=')
                .context("it contains a part that is not of the form `name=value`")?;
            let value = percent_decode_str(value.trim()).decode_utf8_lossy();
            let name = name.trim();
            let header = HeaderName::try_from(name)
                .with_context(|| format!("it contains `{name}`, which is no name of a header"))?;
            let value = HeaderValue::try_from(&*value).with_context(|| {
                format!("the value of `{name}` contains characters that no header may have")
            })?;
            Ok((header, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };

    use super::*;

    #[test]
    fn headers_that_cannot_be_sent_are_errors_that_name_them() {
        let valid = headers_of("authorization=Bearer%20a%3D1, x-team = mechanism").expect("valid headers");
        let valid: Vec<_> = valid
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
            .collect();
        assert_eq!(valid, [("authorization", "Bearer a=1"), ("x-team", "mechanism")]);
        for (text, problem) in [
            ("token", "`name=value`"),
            ("a b=c", "`a b`"),
            ("x-team=a%0Ab", "`x-team`"),
        ] {
            let error = headers_of(text).expect_err(text);
            assert!(format!("{error:#}").contains(problem), "{error:#}");
        }
    }

    #[test]
    fn spans_that_a_collector_rejects_are_counted() {
        let response = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        };
        assert_eq!(rejected(&response.encode_to_vec()), 3);
        assert_eq!(
            rejected(&ExportTraceServiceResponse::default().encode_to_vec()),
            0
        );
        assert_eq!(rejected(b"<html>"), 0);
    }
}
