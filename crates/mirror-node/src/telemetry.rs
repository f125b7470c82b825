//! Sends the spans and metrics of a node to the coordinator. A dedicated thread encodes and sends them, so that they do
//! not delay the work of the node. Nothing waits for it: spans that cannot be sent are dropped and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use mirror_net::channel;
use mirror_net::otlp::{self, Signal};
use mirror_net::tls::Identity;
use mirror_net::tracer::own_trace;
use mirror_proto::protocol::COORDINATOR;
use mirror_seed::Seed;
use mirror_spec::launch::Launch;
use mirror_telemetry::metrics::{Metrics, instruments};
use mirror_telemetry::spans::{Batch, Buffer, Recorder, Sampler};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Pause before a message is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Timeout of one attempt to send a message.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Time that a node waits at its end until its last spans are sent.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);

/// Stack size of the thread, in bytes. A thousand miners have one such thread each.
const STACK: usize = 256 << 10;

/// The recording of spans and metrics of this process.
pub(crate) struct Telemetry {
    /// The thread that sends them, and the token that asks it to end. `None` if nothing is recorded.
    sender: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Telemetry {
    /// Initialises the log and, if the launch config requires it, the recording of spans and metrics.
    pub(crate) fn start<R>(launch: &Launch<R>) -> anyhow::Result<Self> {
        let Some(settings) = launch.telemetry else {
            mirror_telemetry::init(&launch.log.filter, launch.log.format, None)?;
            return Ok(Self { sender: None });
        };
        let buffer = Arc::new(Buffer::default());
        let own_trace = own_trace(&Seed::root(launch.seed), &launch.node, launch.incarnation);
        let recorder = Recorder::new(
            buffer.clone(),
            Sampler::of_share(settings.trace_share),
            u128::from_be_bytes(own_trace),
        );
        mirror_telemetry::init(&launch.log.filter, launch.log.format, Some(recorder))?;
        let metrics = Metrics::start();
        let identity = crate::identity(&launch.credentials)?;
        let sender = Sender {
            buffer,
            metrics,
            spans_interval: Duration::try_from_secs_f64(settings.spans_interval)
                .context("the launch config has an invalid interval of the spans")?,
            metrics_interval: Duration::try_from_secs_f64(settings.metrics_interval)
                .context("the launch config has an invalid interval of the metrics")?,
            coordinator: settings.coordinator,
            identity,
            resource: resource(&launch.node, launch.incarnation),
        };
        let ending = CancellationToken::new();
        let ends = ending.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime that sends spans")?;
        let thread = thread::Builder::new()
            .name("telemetry".to_owned())
            .stack_size(STACK)
            .spawn(move || runtime.block_on(sender.work_until(&ends)))
            .context("cannot start the thread that sends spans")?;
        Ok(Self {
            sender: Some((ending, thread)),
        })
    }

    /// Sends the last spans, for at most [`LAST_ATTEMPTS`].
    pub(crate) fn finish(self) {
        if let Some((ending, thread)) = self.sender {
            ending.cancel();
            if thread.join().is_err() {
                tracing::error!("internal error: the thread that sends spans panicked (please report this)");
            }
        }
    }
}

struct Sender {
    buffer: Arc<Buffer>,
    metrics: &'static Metrics,
    /// Time between two messages with spans.
    spans_interval: Duration,
    /// Time between two measurements.
    metrics_interval: Duration,
    coordinator: SocketAddr,
    identity: Identity,
    resource: Resource,
}

impl Sender {
    /// Sends spans and metrics until the process ends, and then the last ones.
    async fn work_until(&self, ending: &CancellationToken) {
        let too_late = async {
            ending.cancelled().await;
            tokio::time::sleep(LAST_ATTEMPTS).await;
        };
        tokio::select! {
            () = self.work(ending) => {}
            () = too_late => {
                // The coordinator is out of reach, so the log has the count.
                for batch in self.buffer.take() {
                    self.buffer.count_lost(batch.count);
                }
                tracing::warn!(
                    spans = self.buffer.dropped(),
                    "the coordinator did not take the last spans in time; the number is that of all spans that this \
                     process has lost"
                );
            }
        }
    }

    async fn work(&self, ending: &CancellationToken) {
        let channel = channel::secure(self.coordinator, self.identity.connecting_to(COORDINATOR));
        let mut losses = Losses::default();
        // The first measurement also opens the connection, while the network starts.
        self.send_metrics(&channel, &mut losses).await;
        let mut measured = Instant::now();
        loop {
            let ends = ending.is_cancelled();
            self.send_spans(&channel, &mut losses).await;
            if ends || measured.elapsed() >= self.metrics_interval {
                measured = Instant::now();
                self.send_metrics(&channel, &mut losses).await;
            }
            if ends {
                return;
            }
            let until_measurement = self.metrics_interval.saturating_sub(measured.elapsed());
            let pause = self.spans_interval.min(until_measurement);
            tokio::select! {
                () = ending.cancelled() => {}
                () = self.buffer.has_a_full_batch() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Measures, and sends the measurements.
    async fn send_metrics(&self, channel: &Channel, losses: &mut Losses) {
        instruments()
            .lost_spans
            .add(losses.new_spans(self.buffer.dropped()), &[]);
        let message = self.metrics.collect(&self.resource()).encode_to_vec();
        if let Err(error) = send(channel, Signal::Metrics, message.into()).await {
            losses.warn("a measurement of the metrics", &error);
        }
    }

    /// Sends the spans that have ended so far.
    async fn send_spans(&self, channel: &Channel, losses: &mut Losses) {
        let batches = self.buffer.take();
        let mut unsent = Unsent {
            buffer: &self.buffer,
            spans: batches.iter().map(|batch| batch.count).sum(),
        };
        for batch in batches {
            let count = batch.count;
            match send(channel, Signal::Traces, self.message(batch)).await {
                Ok(()) => unsent.spans -= count,
                Err(error) => losses.warn("spans", &error),
            }
        }
    }

    /// Returns the resource, with the number of spans that the process has lost so far.
    fn resource(&self) -> Resource {
        let mut resource = self.resource.clone();
        let dropped = i64::try_from(self.buffer.dropped()).unwrap_or(i64::MAX);
        resource
            .attributes
            .push(attribute("mirror.dropped_spans", Value::IntValue(dropped)));
        resource
    }

    /// Returns the message of a batch.
    fn message(&self, batch: Batch) -> Bytes {
        let request = EncodedRequest {
            resource_spans: vec![EncodedResourceSpans {
                resource: Some(self.resource()),
                scope_spans: vec![batch.encoded],
            }],
        };
        request.encode_to_vec().into()
    }
}

/// Spans that were taken from the buffer. Those that were not sent when this is dropped are counted as lost.
struct Unsent<'a> {
    buffer: &'a Buffer,
    spans: u64,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.buffer.count_lost(self.spans);
    }
}

/// The losses of a node, of which only the first is logged.
#[derive(Default)]
struct Losses {
    has_warned: bool,
    /// Number of lost spans that the metrics contain.
    measured: u64,
}

impl Losses {
    /// Returns the number of spans that were lost since the last measurement. `total` is the number of all lost spans.
    fn new_spans(&mut self, total: u64) -> u64 {
        total.saturating_sub(std::mem::replace(&mut self.measured, total))
    }

    fn warn(&mut self, lost: &str, error: &tonic::Status) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(%error, "the coordinator did not take {lost}; further losses are not logged");
        }
    }
}

/// `ExportTraceServiceRequest` with spans that are encoded already: a field of bytes has the encoding of a message.
#[derive(Clone, PartialEq, Message)]
struct EncodedRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<EncodedResourceSpans>,
}

/// `ResourceSpans`, each of whose `ScopeSpans` is encoded already.
#[derive(Clone, PartialEq, Message)]
struct EncodedResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    scope_spans: Vec<Vec<u8>>,
}

/// Sends a message until the coordinator takes or refuses it.
async fn send(channel: &Channel, signal: Signal, message: Bytes) -> Result<(), tonic::Status> {
    loop {
        let sent = otlp::export(channel.clone(), signal, message.clone());
        let outcome = tokio::time::timeout(ATTEMPT, sent).await;
        match outcome {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(status)) if !channel::is_passing(&status) => return Err(status),
            Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Returns the resource of a node, by OpenTelemetry's semantic conventions.
fn resource(node: &str, incarnation: u32) -> Resource {
    Resource {
        attributes: vec![
            attribute(
                "service.namespace",
                Value::StringValue("mirror-neuron".to_owned()),
            ),
            attribute("service.name", Value::StringValue(node.to_owned())),
            attribute(
                "service.instance.id",
                Value::StringValue(format!("{node}/{incarnation}")),
            ),
            attribute("process.pid", Value::IntValue(i64::from(std::process::id()))),
            attribute("mirror.incarnation", Value::IntValue(i64::from(incarnation))),
        ],
        ..Resource::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
