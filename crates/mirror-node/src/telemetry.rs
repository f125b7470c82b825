//! Sends the spans and metrics of a node to the coordinator. A dedicated thread encodes and sends them, so that they do
//! not delay the work of the node. Nothing waits for it: spans that cannot be sent are dropped and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use mirror_net::channel;
use mirror_net::otlp::{self, MESSAGE_LIMIT, Signal};
use mirror_net::tls::Identity;
use mirror_net::tracer::own_trace;
use mirror_proto::protocol::COORDINATOR;
use mirror_seed::Seed;
use mirror_spec::launch::Launch;
use mirror_telemetry::spans::{Buffer, Sampler, SpanLayer, Taken};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Time between two messages while spans end.
const INTERVAL: Duration = Duration::from_millis(100);

/// Maximum number of spans in a message.
const MAX_BATCH: usize = 1_000;

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
            mirror_telemetry::init(&launch.log, None)?;
            return Ok(Self { sender: None });
        };
        let buffer = Arc::new(Buffer::default());
        let own_trace = own_trace(&Seed::root(launch.seed), &launch.node, launch.incarnation);
        let layer = SpanLayer::new(
            buffer.clone(),
            Sampler::of_share(settings.trace_share),
            u128::from_be_bytes(own_trace),
        );
        mirror_telemetry::init(&launch.log, Some(layer))?;
        let identity = crate::identity(&launch.credentials)?;
        let sender = Sender {
            buffer,
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
    coordinator: SocketAddr,
    identity: Identity,
    resource: Resource,
}

impl Sender {
    /// Sends spans until the process ends, and then the last ones.
    async fn work_until(&self, ending: &CancellationToken) {
        let too_late = async {
            ending.cancelled().await;
            tokio::time::sleep(LAST_ATTEMPTS).await;
        };
        tokio::select! {
            () = self.work(ending) => {}
            () = too_late => {}
        }
    }

    async fn work(&self, ending: &CancellationToken) {
        let channel = channel::secure(self.coordinator, self.identity.connecting_to(COORDINATOR));
        let mut has_warned = false;
        loop {
            let ends = ending.is_cancelled();
            self.send_spans(&channel, &mut has_warned).await;
            if ends {
                return;
            }
            let _ = tokio::time::timeout(INTERVAL, ending.cancelled()).await;
        }
    }

    /// Sends the spans that have ended so far.
    async fn send_spans(&self, channel: &Channel, has_warned: &mut bool) {
        let Taken { spans, dropped } = self.buffer.take();
        let mut spans = spans.into_iter();
        loop {
            let batch: Vec<Span> = spans.by_ref().take(MAX_BATCH).collect();
            if batch.is_empty() {
                return;
            }
            let count = batch.len() as u64;
            for message in self.encoded(batch, dropped) {
                if let Err(error) = send(channel, Signal::Traces, message).await {
                    self.buffer.count_lost(count);
                    if !std::mem::replace(has_warned, true) {
                        tracing::warn!(%error, "spans could not be sent and are lost; further losses are only counted");
                    }
                }
            }
        }
    }

    /// Encodes spans as messages of at most [`MESSAGE_LIMIT`] bytes. A span that is larger alone is dropped.
    fn encoded(&self, spans: Vec<Span>, dropped: u64) -> Vec<Bytes> {
        let mut resource = self.resource.clone();
        resource.attributes.push(attribute(
            "mirror.dropped_spans",
            Value::IntValue(i64::try_from(dropped).unwrap_or(i64::MAX)),
        ));
        let mut waiting = vec![spans];
        let mut messages = Vec::new();
        while let Some(mut spans) = waiting.pop() {
            let request = ExportTraceServiceRequest {
                resource_spans: vec![ResourceSpans {
                    resource: Some(resource.clone()),
                    scope_spans: vec![ScopeSpans {
                        scope: Some(InstrumentationScope {
                            name: "mirror-neuron".to_owned(),
                            ..InstrumentationScope::default()
                        }),
                        spans: std::mem::take(&mut spans),
                        ..ScopeSpans::default()
                    }],
                    ..ResourceSpans::default()
                }],
            };
            let message = request.encode_to_vec();
            if message.len() <= MESSAGE_LIMIT {
                messages.push(message.into());
                continue;
            }
            let mut first = request
                .resource_spans
                .into_iter()
                .flat_map(|spans| spans.scope_spans);
            let mut first = first.next().map(|spans| spans.spans).unwrap_or_default();
            if first.len() < 2 {
                self.buffer.count_lost(1);
                continue;
            }
            let second = first.split_off(first.len() / 2);
            waiting.extend([second, first]);
        }
        messages
    }
}

/// Sends a message until the coordinator takes or refuses it.
async fn send(channel: &Channel, signal: Signal, message: Bytes) -> Result<(), tonic::Status> {
    loop {
        let sent = otlp::export(channel.clone(), signal, message.clone());
        let outcome = tokio::time::timeout(ATTEMPT, sent).await;
        match outcome {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(status)) if !channel::is_passing(&status) => return Err(status),
            Ok(Err(_)) | Err(_) => tokio::time::sleep(INTERVAL).await,
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
