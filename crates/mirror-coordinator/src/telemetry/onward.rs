//! Sends spans and metrics on to another collector, by OTLP over HTTP with messages in protobuf.
//!
//! A thread sends one message after the other. It never blocks the run: messages wait in a queue of bounded size, and
//! what does not fit, is refused or cannot be sent before the run ends is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use mirror_net::otlp::Signal;
use mirror_spec::OtlpEndpoint;
use mirror_traces::Neurons;
use percent_encoding::percent_decode_str;
use ureq::Agent;

/// Maximum size of the waiting messages in bytes.
const QUEUE_BYTES: usize = 32 << 20;

/// Timeout of one attempt to send a message.
const ATTEMPT: Duration = Duration::from_secs(10);

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
    /// Whether the run has ended.
    ends: AtomicBool,
}

impl Load {
    /// Waits for `pause`, or only for [`FIRST_PAUSE`] once the run has ended.
    fn wait(&self, pause: Duration) {
        let started = Instant::now();
        loop {
            std::thread::sleep(FIRST_PAUSE.min(pause));
            if started.elapsed() >= pause || self.ends.load(Ordering::Acquire) {
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

    /// Waits until everything is sent, but for at most [`LAST_ATTEMPTS`] and the attempt in progress. Returns the
    /// number of spans and metrics that were not sent.
    pub(super) fn finish(self) -> u64 {
        let Self {
            queue, load, thread, ..
        } = self;
        load.ends.store(true, Ordering::Release);
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
    headers: Vec<(String, String)>,
}

/// The outcome of an attempt that did not succeed.
enum Failure {
    /// Another attempt may succeed.
    Passing(String),
    /// The collector will never take the message.
    Refused(String),
}

impl Client {
    /// Sends messages until the queue is closed and empty, or the time for the last ones is over.
    fn work(&self, waiting: &Receiver<Waiting>, load: &Load) {
        let mut has_warned = false;
        let mut last: Option<Instant> = None;
        while let Ok(next) = waiting.recv() {
            if load.ends.load(Ordering::Acquire) {
                last.get_or_insert_with(|| Instant::now() + LAST_ATTEMPTS);
            }
            let sent = self.send(&next, load, &mut last);
            load.bytes.fetch_sub(next.message.len(), Ordering::AcqRel);
            if let Err(reason) = sent {
                load.lost.fetch_add(next.count, Ordering::Relaxed);
                if !std::mem::replace(&mut has_warned, true) {
                    tracing::warn!(
                        collector = %self.endpoint,
                        "spans or metrics were not sent to the collector: {reason}; further losses are only counted"
                    );
                }
            }
        }
    }

    /// Sends a message until the collector takes or refuses it. `last` is the time after which no attempt is made,
    /// which is set when the run ends.
    fn send(&self, message: &Waiting, load: &Load, last: &mut Option<Instant>) -> Result<(), String> {
        let mut pause = FIRST_PAUSE;
        let mut reason = "the run has ended".to_owned();
        loop {
            if last.is_some_and(|last| Instant::now() >= last) {
                return Err(reason);
            }
            match self.attempt(message) {
                Ok(()) => return Ok(()),
                Err(Failure::Refused(why)) => return Err(why),
                Err(Failure::Passing(why)) => reason = why,
            }
            // The queue is more than half full, so the oldest message gives way to newer ones.
            if load.bytes.load(Ordering::Acquire) > QUEUE_BYTES / 2 {
                return Err(reason);
            }
            load.wait(pause);
            if load.ends.load(Ordering::Acquire) {
                last.get_or_insert_with(|| Instant::now() + LAST_ATTEMPTS);
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn attempt(&self, waiting: &Waiting) -> Result<(), Failure> {
        let path = match waiting.signal {
            Signal::Traces => "v1/traces",
            Signal::Metrics => "v1/metrics",
        };
        let mut request = self
            .agent
            .post(self.endpoint.url(path))
            .header("content-type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request
            .send(&*waiting.message)
            .map_err(|error| Failure::Passing(error.to_string()))?;
        let status = response.status();
        // These are the statuses after which the specification of OTLP allows another attempt.
        match status.as_u16() {
            200..=299 => Ok(()),
            429 | 502 | 503 | 504 => Err(Failure::Passing(format!("it answered {status}"))),
            _ => Err(Failure::Refused(format!("it answered {status}"))),
        }
    }
}

/// Reads headers in the form `key=value,key=value`, whose values may be percent-encoded.
///
/// # Errors
/// Returns an error if a part is no pair.
fn headers_of(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part
                .split_once('=')
                .context("it contains a part that is not of the form `name=value`")?;
            let value = percent_decode_str(value.trim()).decode_utf8_lossy();
            Ok((name.trim().to_owned(), value.into_owned()))
        })
        .collect()
}
