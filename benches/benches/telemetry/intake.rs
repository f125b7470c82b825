//! The spans that the coordinator takes from nodes and writes to its table.

use std::hint::black_box;
use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use mirror_certificates::Authority;
use mirror_coordinator::telemetry;
use mirror_net::otlp::{self, Signal};
use mirror_net::server::{self, Callers, Limits, Services};
use mirror_net::{channel, tls::Identity};
use mirror_proto::protocol::COORDINATOR;
use mirror_runs::Layout;
use mirror_spec::Telemetry;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpListener;

/// Number of nodes that send at the same time.
const NODES: u64 = 8;

/// Number of messages of each node.
const MESSAGES: u64 = 50;

/// Number of spans in a message.
const SPANS: u64 = 512;

/// Returns the spans per second from the first message until the table is written.
pub(crate) fn taken() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let layout = Layout::new(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let authority = Authority::new()?;
    let messages = messages();
    runtime.block_on(async {
        let (collector, writer) =
            telemetry::start(&layout, "benchmark", &Telemetry::default(), Vec::new()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (spans, _) = otlp::services(&collector);
        let identity = Identity::new(&authority.issue(COORDINATOR)?)?;
        let services = Services::new(Some(identity)).only(Callers::Certified, spans);
        let serving = tokio::spawn(server::serve(
            listener,
            services,
            Limits::coordinator(),
            std::future::pending(),
        ));
        let started = Instant::now();
        let mut nodes = Vec::new();
        for (node, messages) in (0..NODES).zip(messages) {
            let identity = Identity::new(&authority.issue(&format!("miner-{node}"))?)?;
            nodes.push(async move {
                let channel = channel::secure(address, identity.connecting_to(COORDINATOR));
                for message in messages {
                    otlp::export(channel.clone(), Signal::Traces, message).await?;
                }
                anyhow::Ok(())
            });
        }
        futures::future::try_join_all(nodes).await?;
        let summary = tokio::task::spawn_blocking(move || writer.finish()).await??;
        let seconds = started.elapsed().as_secs_f64();
        serving.abort();
        drop(collector);
        let sent = NODES * MESSAGES * SPANS;
        ensure!(
            summary.spans == sent,
            "{} of {sent} spans were written: {summary:?}",
            summary.spans
        );
        Ok(sent as f64 / seconds)
    })
}

/// Returns the spans per second that `opentelemetry-proto` decodes.
pub(crate) fn decoded() -> f64 {
    let messages = messages();
    let started = Instant::now();
    for message in messages.into_iter().flatten() {
        black_box(ExportTraceServiceRequest::decode(message).expect("a valid message"));
    }
    (NODES * MESSAGES * SPANS) as f64 / started.elapsed().as_secs_f64()
}

/// Returns the messages of each node.
fn messages() -> Vec<Vec<Bytes>> {
    let of_node = |node: u64| {
        (0..MESSAGES)
            .map(move |message| request(node * MESSAGES + message))
            .collect()
    };
    (0..NODES).map(of_node).collect()
}

/// A message with the spans of calls, as a miner sends them.
fn request(number: u64) -> Bytes {
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let spans = (0..SPANS).map(|span| {
        let start = 1_700_000_000_000_000_000 + (number * SPANS + span) * 1_000;
        Span {
            trace_id: u128::from(number * SPANS / 1_000 + 1).to_be_bytes().to_vec(),
            span_id: (number * SPANS + span + 1).to_be_bytes().to_vec(),
            parent_span_id: (span + 7).to_be_bytes().to_vec(),
            name: "axon.forward".to_owned(),
            kind: 2,
            start_time_unix_nano: start,
            end_time_unix_nano: start + 80_000,
            attributes: vec![
                attribute("mirror.uid", Value::IntValue(3)),
                attribute("mirror.code", Value::StringValue("Success".to_owned())),
                attribute("server.address", Value::StringValue("127.0.0.1".to_owned())),
            ],
            ..Span::default()
        }
    });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}
