//! The metrics of a run: the numbers in its other tables, and readable by other programs while it lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, MetricRow, ResponseRow, SpanRow, TransactionRow};
use mirror_runs::telemetry::Summary;
use mirror_test_support::Python;
use mirror_tests::{TestEnv, rows};
use serde_json::{Value, json};

use crate::experiment::TRAINING;

const COLLECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/otlp_collector.py");

/// The last measurement of each series of a metric, as its attributes with its row.
fn last(run: &Run, node: &str, name: &str) -> Vec<(Value, MetricRow)> {
    let mut series = BTreeMap::new();
    for row in rows::<MetricRow>(run) {
        if row.node == node && row.name == name {
            // The rows of a series are in the order of their times.
            series.insert(row.attributes.clone(), row);
        }
    }
    series
        .into_iter()
        .map(|(attributes, row)| {
            let attributes = attributes.map_or(Value::Null, |text| {
                serde_json::from_str(&text).expect("attributes are JSON")
            });
            (attributes, row)
        })
        .collect()
}

/// Returns the number of values in the histograms of the calls of a method, by the value of an attribute.
fn calls(run: &Run, node: &str, name: &str, method: &str, by: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (attributes, row) in last(run, node, name) {
        if attributes["rpc.method"] == method {
            let value = attributes[by].as_str().expect("a text").to_owned();
            *counts.entry(value).or_default() += row.count.expect("the count of a histogram");
            assert_eq!(row.count, Some(row.buckets.iter().sum()), "{row:?}");
        }
    }
    counts
}

#[test]
fn the_metrics_of_nodes_are_the_numbers_of_the_tables() {
    let env = TestEnv::new();
    let run = env.done(
        env.file("training.yml", TRAINING),
        &["telemetry.metrics_interval=100ms"],
    );
    let summary = Summary::read(run.layout()).expect("readable").expect("counts");
    assert_eq!(
        (summary.refused_metrics, summary.dropped_metrics),
        (0, 0),
        "{summary:?}"
    );
    assert_eq!(summary.metrics, rows::<MetricRow>(&run).len() as u64);

    let forward = "TextPrompting/Forward";
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for response in rows::<ResponseRow>(&run) {
        *outcomes.entry(response.outcome).or_default() += 1;
    }
    let by_validator = calls(
        &run,
        "validator-0",
        "rpc.client.call.duration",
        forward,
        "mirror.code",
    );
    assert_eq!(by_validator, outcomes);
    let served: u64 = (0..8)
        .flat_map(|uid| {
            let miner = format!("miner-{uid}");
            calls(
                &run,
                &miner,
                "rpc.server.call.duration",
                forward,
                "rpc.response.status_code",
            )
            .into_values()
        })
        .sum();
    assert_eq!(served, outcomes.values().sum::<u64>());

    let mut forwards = BTreeMap::from([(false, 0.0), (true, 0.0)]);
    for event in rows::<EventRow>(&run) {
        *forwards.entry(event.best_uid.is_some()).or_default() += 1.0;
    }
    for (attributes, row) in last(&run, "validator-0", "mirror.forwards") {
        let has_completion = attributes["mirror.has_completion"]
            .as_bool()
            .expect("a truth value");
        assert_eq!(forwards.remove(&has_completion), Some(row.value));
    }
    assert!(forwards.values().all(|count| *count == 0.0), "{forwards:?}");

    let transactions = rows::<TransactionRow>(&run).len() as f64;
    let applied = last(&run, "subtensor", "mirror.transactions");
    assert_eq!(
        applied.iter().map(|(_, row)| row.value).sum::<f64>(),
        transactions
    );
    // Every process of the network measures its memory, also the coordinator.
    for node in ["coordinator", "subtensor", "validator-0", "miner-0", "miner-7"] {
        let memory = last(&run, node, "process.memory.usage");
        let [(_, memory)] = &memory[..] else {
            panic!("not one series of {node}: {memory:?}")
        };
        assert_eq!((&*memory.kind, &*memory.unit), ("gauge", "By"));
        assert!((1e6..1e10).contains(&memory.value), "{memory:?}");
    }
}

/// The collector in Python, which ends with this.
struct Collector {
    child: Child,
    /// The program ends when its standard input does.
    _stdin: ChildStdin,
    port: u16,
}

impl Collector {
    fn start() -> Option<Self> {
        // Says that the test is skipped, or fails in CI.
        Python::find()?;
        let interpreter = std::env::var_os("MIRROR_PYTHON").map(PathBuf::from)?;
        let mut child = Command::new(interpreter)
            .arg(COLLECTOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let stdin = child.stdin.take().expect("a pipe");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut port)
            .expect("the port");
        Some(Self {
            child,
            _stdin: stdin,
            port: port.trim().parse().expect("a port"),
        })
    }

    fn endpoint(&self, behaviour: &str) -> String {
        format!(
            "telemetry.otlp_endpoint=http://127.0.0.1:{}/{behaviour}",
            self.port
        )
    }

    /// Returns what the collector has taken.
    fn taken(&self) -> Value {
        let text = ureq::get(format!("http://127.0.0.1:{}/", self.port))
            .call()
            .expect("an answer")
            .body_mut()
            .read_to_string()
            .expect("a text");
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn another_collector_gets_all_spans_and_metrics() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let mut env = TestEnv::new();
    env.set("OTEL_EXPORTER_OTLP_HEADERS", "x-team=mechanism%20design");
    let run = env.done(env.file("training.yml", TRAINING), &[&collector.endpoint("take")]);
    let taken = collector.taken();
    assert_eq!(taken["problems"], json!([]));
    assert_eq!(taken["headers"], json!(["mechanism design"]));
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for span in rows::<SpanRow>(&run) {
        *names.entry(span.name).or_default() += 1;
    }
    assert_eq!(taken["spans"], json!(names));
    let mut points: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows::<MetricRow>(&run) {
        *points.entry(row.name).or_default() += 1;
    }
    assert_eq!(taken["metrics"], json!(points));
    let call = &taken["attributes"]["dendrite.forward"];
    assert_eq!(call["rpc.system.name"], "grpc");
    assert_eq!(call["rpc.method"], "TextPrompting/Forward");
    assert_eq!(call["gen_ai.operation.name"], "chat");
    let services = taken["services"].as_array().expect("a list");
    assert!(
        services.contains(&json!("miner-3")) && services.contains(&json!("subtensor")),
        "{services:?}"
    );
    let summary = Summary::read(run.layout()).expect("readable").expect("counts");
    assert_eq!(summary.not_sent_on, 0);
}

/// A collector that is down, refuses or never answers costs a run only what is then not sent, which is counted.
#[test]
fn a_run_does_not_depend_on_the_collector() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    // The port is free: nothing listens on it after the listener is dropped.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr();
    let down = format!("telemetry.otlp_endpoint=http://{}", free.expect("an address"));
    for endpoint in [down, collector.endpoint("refuse"), collector.endpoint("silent")] {
        let run = env.done(file, &[&endpoint]);
        let summary = Summary::read(run.layout()).expect("readable").expect("counts");
        assert_eq!(
            summary.not_sent_on,
            summary.spans + summary.metrics,
            "{endpoint}: {summary:?}"
        );
        let missing = (summary.missing_spans(), summary.missing_measurements());
        assert_eq!(missing, (0, 0), "the tables are complete: {summary:?}");
        assert_eq!(rows::<SpanRow>(&run).len() as u64, summary.spans);
    }
    assert_eq!(collector.taken()["spans"], json!({}));
}

/// Returns the names of metrics in the expressions of the Grafana dashboard.
fn names_in_dashboard() -> BTreeSet<String> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/grafana/mirror-neuron.json"
    );
    let text = std::fs::read_to_string(path).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let words = targets.flat_map(|target| {
        let expression = target["expr"].as_str().expect("an expression");
        expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
    });
    let prefixes = ["mirror_", "rpc_", "process_"];
    let labels = ["mirror_code", "mirror_uid", "mirror_outcome"];
    let names = words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)));
    let names: BTreeSet<String> = names
        .filter(|word| !labels.contains(word))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 8, "{names:?}");
    names
}

#[test]
fn prometheus_reads_the_metrics_while_the_run_lasts() {
    let Some(python) = Python::find() else {
        return;
    };
    let env = TestEnv::new();
    let mut running = env.start_run(
        env.file("training.yml", TRAINING),
        &[
            "query.method.args.max_iter=1000000",
            "telemetry.metrics_interval=100ms",
            "telemetry.prometheus=127.0.0.1:0",
        ],
    );
    let url = running.printed_after("the metrics are served at ");
    running.until_acknowledged("validator-0", 20);
    // Prometheus' own parser, until all metrics of the dashboard have been measured.
    let script = "
import time, urllib.request
from prometheus_client.parser import text_string_to_metric_families
while True:
    text = urllib.request.urlopen(data['url'], timeout=10).read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {sample.name for family in families.values() for sample in family.samples}
    if samples.issuperset(data['names']):
        break
    time.sleep(0.05)
calls = families['rpc_client_call_duration_seconds']
buckets = {}
for sample in calls.samples:
    labels = dict(sample.labels)
    bound = labels.pop('le', None)
    one = buckets.setdefault(tuple(sorted(labels.items())), {'bounds': []})
    if bound is None:
        one[sample.name.rsplit('_', 1)[1]] = sample.value
    else:
        one['bounds'].append([float(bound) if bound != '+Inf' else 1e300, sample.value])
result = {
    'types': {name: family.type for name, family in families.items()},
    'nodes': sorted({s.labels['node'] for s in families['process_memory_usage_bytes'].samples}),
    'series': list(buckets.values()),
}
";
    let read = python.run(script, &json!({ "url": url, "names": names_in_dashboard() }));
    running.send(rustix::process::Signal::INT);
    running.ends();
    assert_eq!(read["types"]["rpc_client_call_duration_seconds"], "histogram");
    assert_eq!(read["types"]["mirror_forwards"], "counter");
    assert_eq!(read["types"]["mirror_block"], "gauge");
    let nodes = read["nodes"].as_array().expect("a list");
    assert!(
        nodes.contains(&json!("miner-0")) && nodes.contains(&json!("validator-0")),
        "{nodes:?}"
    );
    for series in read["series"].as_array().expect("a list") {
        let bounds = series["bounds"].as_array().expect("buckets");
        assert!(bounds.is_sorted_by_key(|bucket| bucket[1].as_f64()), "{series}");
        assert_eq!(
            bounds.last().expect("the last bucket")[1],
            series["count"],
            "{series}"
        );
    }
}
