//! The metrics of a process, measured with the SDK of OpenTelemetry. Until [`Metrics::start`] is called, nothing is
//! measured, and the instruments cost next to nothing.

mod instruments;
mod process;

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};

pub use self::instruments::{DESCRIPTIONS, Description, Instruments, instruments};
pub use opentelemetry::{KeyValue, Value};

use crate::clock;

/// Name of the scope of all instruments.
const SCOPE: &str = "mirror-neuron";

/// Maximum number of series of an instrument. The measurements of further series are added up in one series with the
/// attribute `otel.metric.overflow`. A subnet has at most 4,096 uids.
const MAX_SERIES: usize = 5_000;

/// The metrics of this process.
pub struct Metrics {
    reader: Reader,
}

impl Metrics {
    /// Begins to measure, if this process does not measure yet. Must be called before the first use of [`instruments`].
    pub fn start() -> &'static Self {
        static METRICS: OnceLock<Metrics> = OnceLock::new();
        METRICS.get_or_init(Self::new)
    }

    fn new() -> Self {
        let reader = Reader(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder()
            .with_resource(opentelemetry_sdk::Resource::builder_empty().build())
            .with_reader(reader.clone())
            .with_view(|_: &opentelemetry_sdk::metrics::Instrument| {
                Stream::builder().with_cardinality_limit(MAX_SERIES).build().ok()
            })
            .build();
        process::observe(&provider.meter(SCOPE));
        opentelemetry::global::set_meter_provider(provider);
        Self { reader }
    }

    /// Measures. Returns the measurements of all instruments that have any, as the metrics of `resource`.
    pub fn collect(&self, resource: &Resource) -> ExportMetricsServiceRequest {
        let mut measured = ResourceMetrics::default();
        // The only failure is that of a provider that was shut down, and nothing shuts it down.
        let _ = self.reader.collect(&mut measured);
        let mut request = ExportMetricsServiceRequest::from(&measured);
        for of_resource in &mut request.resource_metrics {
            of_resource.resource = Some(resource.clone());
            let metrics = of_resource
                .scope_metrics
                .iter_mut()
                .flat_map(|scope| &mut scope.metrics);
            metrics.for_each(set_time);
        }
        request
    }
}

/// Sets the time of a metric's points to that of the node's clock, which the SDK does not know.
fn set_time(metric: &mut Metric) {
    let now = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => gauge
            .data_points
            .iter_mut()
            .for_each(|point| point.time_unix_nano = now),
        Some(Data::Sum(sum)) => sum
            .data_points
            .iter_mut()
            .for_each(|point| point.time_unix_nano = now),
        Some(Data::Histogram(histogram)) => {
            histogram
                .data_points
                .iter_mut()
                .for_each(|point| point.time_unix_nano = now);
        }
        _ => {}
    }
}

/// A reader that the provider and [`Metrics`] share.
#[derive(Debug, Clone)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
