//! `metrics`: one row per measurement of a metric.

use std::cmp::Ordering;

use super::{Row, columns};

columns! {
    /// One measurement of a metric of one node. Counters and histograms are cumulative since the node started.
    pub struct MetricRow {
        /// Name of the node that measured, according to its certificate.
        pub node: String,
        /// Number of earlier starts of the node.
        pub incarnation: u32,
        /// Name of the metric, such as `rpc.client.call.duration`.
        pub name: String,
        /// Unit of the metric by the Unified Code for Units of Measure: `s`, `By`, `{call}`.
        pub unit: String,
        /// `counter`, `gauge` or `histogram`.
        pub kind: String,
        /// The attributes, as a JSON object.
        pub attributes: Option<String>,
        /// Time of the measurement in nanoseconds since 1970, by the clock of the node.
        pub time_ns: u64,
        /// Value of a counter or gauge, or sum of a histogram.
        pub value: f64,
        /// Number of values in a histogram.
        pub count: Option<u64>,
        /// Upper bounds of the histogram's buckets except the last, which has none.
        pub bounds: Vec<f64>,
        /// Number of values in each bucket of a histogram.
        pub buckets: Vec<u64>,
    }
}

/// Metrics come over OTLP and are no records of the journal.
impl Row for MetricRow {
    const TABLE: &'static str = "metrics";
    const ABOUT: &'static str = "one row per measurement of a metric";
    const TIMING: &'static [&'static str] = &["time_ns", "value", "count", "buckets"];

    fn order(&self, other: &Self) -> Ordering {
        (self.node.cmp(&other.node))
            .then_with(|| self.name.cmp(&other.name))
            .then_with(|| self.attributes.cmp(&other.attributes))
            .then_with(|| self.time_ns.cmp(&other.time_ns))
    }

    fn identity(&self) -> String {
        format!("{}, metric {} at {} ns", self.node, self.name, self.time_ns)
    }
}
