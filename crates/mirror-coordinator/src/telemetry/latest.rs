//! The latest measurement of each metric of each node, in the text format of Prometheus.
//!
//! Names follow OpenTelemetry's specification of the translation to Prometheus: other characters than letters, digits
//! and `_` become `_`, the unit is appended, and counters end with `_total`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mirror_runs::tables::MetricRow;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

/// Maximum number of series. Further ones are left out and counted.
const MAX_SERIES: usize = 200_000;

/// The latest measurements.
#[derive(Debug)]
pub(super) struct Latest {
    series: Mutex<BTreeMap<Series, Measured>>,
    /// Time after which a series without a new measurement is left out: its node has ended.
    lifetime: Duration,
}

/// The identity of a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    node: String,
    attributes: Option<String>,
}

#[derive(Debug)]
struct Measured {
    at: Instant,
    row: MetricRow,
}

impl Latest {
    /// Creates an empty collection for metrics that are measured at this interval.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            series: Mutex::default(),
            lifetime: 3 * interval.max(Duration::from_secs(1)),
        }
    }

    /// Adds measurements. Returns the number of those that were left out.
    pub(super) fn add(&self, rows: &[MetricRow], now: Instant) -> u64 {
        let mut left_out = 0;
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let series = Series {
                name: row.name.clone(),
                node: row.node.clone(),
                attributes: row.attributes.clone(),
            };
            if all.len() >= MAX_SERIES && !all.contains_key(&series) {
                left_out += 1;
                continue;
            }
            let row = row.clone();
            all.insert(series, Measured { at: now, row });
        }
        left_out
    }

    /// Returns the text of all series that are not outdated, and forgets those that are.
    pub(super) fn text(&self, now: Instant) -> String {
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        {
            let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, measured| now.saturating_duration_since(measured.at) <= self.lifetime);
            for Measured { row, .. } in all.values() {
                let name = name_of(row);
                let family = families.entry(name.clone()).or_insert_with(|| family(row, name));
                // A name has one kind, unless a node breaks the rules. Prometheus rejects a page that mixes them.
                if family.get_field_type() == type_of(row) {
                    family.mut_metric().push(metric(row));
                }
            }
        }
        let families: Vec<MetricFamily> = families.into_values().collect();
        let mut text = Vec::new();
        // The encoder fails only for a family without a name or metrics, and none is empty.
        let _ = TextEncoder::new().encode(&families, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

fn type_of(row: &MetricRow) -> MetricType {
    match &*row.kind {
        "counter" => MetricType::COUNTER,
        "histogram" => MetricType::HISTOGRAM,
        _ => MetricType::GAUGE,
    }
}

fn name_of(row: &MetricRow) -> String {
    let mut name = legal(&row.name);
    match &*row.unit {
        "s" => name.push_str("_seconds"),
        "By" => name.push_str("_bytes"),
        // Units in braces are annotations, which are left out, and so is the unit of a plain number.
        _ => {}
    }
    if row.kind == "counter" {
        name.push_str("_total");
    }
    name
}

/// Replaces the characters that names in Prometheus cannot have.
fn legal(name: &str) -> String {
    let legal = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let legal: String = legal.collect();
    if legal.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{legal}")
    } else {
        legal
    }
}

fn family(row: &MetricRow, name: String) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name);
    family.set_help(format!("{} in unit {}", row.name, row.unit));
    family.set_field_type(type_of(row));
    family
}

fn metric(row: &MetricRow) -> Metric {
    let mut metric = Metric::default();
    metric.set_label(labels(row));
    match type_of(row) {
        MetricType::COUNTER => {
            let mut counter = Counter::default();
            counter.set_value(row.value);
            metric.set_counter(counter);
        }
        MetricType::HISTOGRAM => metric.set_histogram(histogram(row)),
        _ => {
            let mut gauge = Gauge::default();
            gauge.set_value(row.value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

/// Returns the histogram of a row. Its buckets count all values up to their bounds, those of OTLP only their own.
fn histogram(row: &MetricRow) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(row.count.unwrap_or_default());
    histogram.set_sample_sum(row.value);
    let mut count = 0_u64;
    let buckets = row.bounds.iter().zip(&row.buckets).map(|(bound, own)| {
        count = count.saturating_add(*own);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram
}

/// Returns the labels: the name of the node and the attributes.
fn labels(row: &MetricRow) -> Vec<LabelPair> {
    let attributes = row.attributes.as_deref().map(serde_json::from_str);
    let attributes = match attributes {
        Some(Ok(serde_json::Value::Object(attributes))) => attributes,
        _ => serde_json::Map::new(),
    };
    let mut labels = BTreeMap::from([("node".to_owned(), row.node.clone())]);
    for (name, value) in attributes {
        let text = match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        labels.entry(legal(&name)).or_insert(text);
    }
    labels
        .into_iter()
        .map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name(name);
            label.set_value(value);
            label
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(node: &str, name: &str, kind: &str, unit: &str, value: f64) -> MetricRow {
        MetricRow {
            node: node.to_owned(),
            incarnation: 0,
            name: name.to_owned(),
            unit: unit.to_owned(),
            kind: kind.to_owned(),
            attributes: Some(r#"{"mirror.uid":3}"#.to_owned()),
            time_ns: 1,
            value,
            count: None,
            bounds: Vec::new(),
            buckets: Vec::new(),
        }
    }

    #[test]
    fn the_latest_value_of_a_series_is_served_until_its_node_has_ended() {
        let latest = Latest::new(Duration::from_secs(5));
        let now = Instant::now();
        let rows = [
            row("miner-0", "process.cpu.time", "counter", "s", 1.0),
            row("miner-0", "process.cpu.time", "counter", "s", 2.5),
            row("a\"b\\c\n", "mirror.block", "gauge", "{block}", 7.0),
        ];
        assert_eq!(latest.add(&rows, now), 0);
        let text = latest.text(now);
        // The expected lines are written by the rules of Prometheus' text format.
        for line in [
            "# TYPE process_cpu_time_seconds_total counter",
            r#"process_cpu_time_seconds_total{mirror_uid="3",node="miner-0"} 2.5"#,
            "# TYPE mirror_block gauge",
            r#"mirror_block{mirror_uid="3",node="a\"b\\c\n"} 7"#,
        ] {
            assert!(text.lines().any(|served| served == line), "{line}:\n{text}");
        }
        assert!(!latest.text(now + Duration::from_secs(16)).contains("miner-0"));
    }

    #[test]
    fn a_name_with_two_kinds_is_served_with_one() {
        let latest = Latest::new(Duration::from_secs(5));
        let now = Instant::now();
        let kinds = [
            row("miner-0", "made.up", "gauge", "", 1.0),
            row("miner-1", "made.up", "histogram", "", 2.0),
        ];
        latest.add(&kinds, now);
        let text = latest.text(now);
        assert_eq!(text.matches("# TYPE made_up ").count(), 1, "{text}");
        assert!(text.contains("miner-0") && !text.contains("miner-1"), "{text}");
    }
}
