//! Measures the cost of spans: recorded, and dropped by sampling, compared with `tracing-opentelemetry` and the SDK;
//! the spans that the coordinator takes; and the steps per second of complete runs with all traces, compared with runs
//! without.

#[path = "telemetry/intake.rs"]
mod intake;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mirror_benches::figures::{self, Pair};
use mirror_benches::run::{Experiment, Models};
use mirror_telemetry::span;
use mirror_telemetry::spans::{Buffer, Kind, Recorder, Sampler};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing_subscriber::layer::SubscriberExt;

/// Number of spans of a measurement.
const SPANS: u64 = 200_000;

/// Number of measurements.
const PAIRS: usize = 7;

/// Miners, axons per process, steps and pairs of complete runs.
const NETWORKS: [(u32, u32, u64, usize); 2] = [(16, 1, 3_000, 7), (256, 16, 2_000, 7)];

/// Timeout of a run.
const LIMIT: Duration = Duration::from_mins(2);

/// Takes the finished spans of the SDK and drops them, without encoding them.
#[derive(Debug)]
struct Discarding;

impl SpanProcessor for Discarding {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        black_box(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    figures::head(
        "nanoseconds for a span with three attributes, compared with tracing-opentelemetry without encoding",
        "ns",
    );
    let recorded: Vec<Pair> = (0..PAIRS)
        .map(|_| Pair {
            ours: ours(Sampler::ALL),
            reference: reference(),
        })
        .collect();
    figures::line("recorded and encoded", &recorded);
    let dropped: Vec<Pair> = (0..PAIRS)
        .map(|_| Pair {
            ours: ours(Sampler::of_share(0.0)),
            reference: reference(),
        })
        .collect();
    figures::line("dropped by sampling", &dropped);
    if std::env::args().any(|argument| argument == "spans") {
        return Ok(());
    }
    figures::head(
        "spans per second that the coordinator takes over mutual TLS and writes, compared with only decoding them",
        "spans/s",
    );
    let taken = (0..PAIRS)
        .map(|_| {
            Ok(Pair {
                ours: intake::taken()?,
                reference: intake::decoded(),
            })
        })
        .collect::<anyhow::Result<Vec<Pair>>>()?;
    figures::line("8 nodes, 512 spans in a message", &taken);
    figures::head(
        "training steps, topk 10: all traces, compared with none",
        "steps/s",
    );
    for (miners, axons_per_process, steps, pairs) in NETWORKS {
        let run = |traces: &'static str| {
            let experiment = Experiment {
                validators: 1,
                miners,
                axons_per_process,
                topk: 10,
                steps,
                models: Models::Random,
                traces,
            };
            anyhow::Ok(experiment.start()?.end(LIMIT)?.steps_per_second)
        };
        let measured: Vec<Pair> = (0..pairs)
            .map(|pair| {
                // The order alternates, so that a drift of the machine favours neither.
                let first = if pair % 2 == 0 { "all" } else { "off" };
                let second = if pair % 2 == 0 { "off" } else { "all" };
                let (first, second) = (run(first)?, run(second)?);
                let (ours, reference) = if pair % 2 == 0 {
                    (first, second)
                } else {
                    (second, first)
                };
                Ok(Pair { ours, reference })
            })
            .collect::<anyhow::Result<_>>()?;
        figures::line(
            &format!("{miners} miners in {} processes", miners / axons_per_process),
            &measured,
        );
    }
    Ok(())
}

/// Returns the nanoseconds for a span of ours.
fn ours(sampler: Sampler) -> f64 {
    let buffer = Arc::new(Buffer::default());
    let root = Recorder::new(buffer.clone(), sampler, 1)
        .root("step")
        .in_trace(7, 0)
        .start();
    let _in_root = root.enter();
    let started = Instant::now();
    for number in 0..SPANS {
        let span = span("dendrite.forward")
            .id(number + 1)
            .kind(Kind::Client)
            .with("mirror.uid", number)
            .with("server.address", "127.0.0.1")
            .start();
        let entered = span.enter();
        span.record("mirror.code", "success");
        drop(entered);
        drop(span);
        if number % 4_096 == 0 {
            // A node empties its buffer once a second.
            black_box(buffer.take());
        }
    }
    let nanoseconds = started.elapsed().as_nanos() as f64 / SPANS as f64;
    black_box(buffer.dropped());
    nanoseconds
}

/// Returns the nanoseconds for the same span of `tracing-opentelemetry`.
fn reference() -> f64 {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Discarding)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("benchmark"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let root = tracing::debug_span!("step");
        let _in_root = root.enter();
        let started = Instant::now();
        for number in 0..SPANS {
            let span = tracing::debug_span!(
                "dendrite.forward",
                otel.kind = "client",
                mirror.uid = number,
                mirror.code = tracing::field::Empty,
                server.address = "127.0.0.1"
            );
            let entered = span.enter();
            span.record("mirror.code", "success");
            drop(entered);
            drop(span);
        }
        started.elapsed().as_nanos() as f64 / SPANS as f64
    })
}
