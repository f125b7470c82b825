//! The spans of a run: complete, with ids that are functions of the random seed, and joined over all processes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, IncidentRow, ResponseRow, SpanRow};
use mirror_runs::telemetry::Summary;
use mirror_test_support::Python;
use mirror_tests::{TestEnv, rows};
use mirror_traces::{Detached, Traces};
use serde_json::{Value, json};

use crate::experiment::TRAINING;

/// A wide network: 256 miners, 200 steps.
const WIDE: [&str; 4] = [
    "model.metagraph.args.num_nodes=256",
    "model.neuron.training_topk=64",
    "query.method.args.max_iter=200",
    "network.axons_per_process=32",
];

/// The spans of a run by trace and id.
struct Spans(HashMap<(String, String), SpanRow>);

impl Spans {
    #[track_caller]
    fn of(run: &Run) -> Self {
        let mut spans = HashMap::new();
        for row in rows::<SpanRow>(run) {
            let key = (row.trace_id.clone(), row.span_id.clone());
            let twice = spans.insert(key, row);
            assert!(twice.is_none(), "two spans have one id: {twice:?}");
        }
        Self(spans)
    }

    fn parent(&self, span: &SpanRow) -> Option<&SpanRow> {
        let parent = span.parent_id.clone()?;
        self.0.get(&(span.trace_id.clone(), parent))
    }

    /// Returns the spans without a parent in the table although they have one.
    fn dangling(&self) -> Vec<&SpanRow> {
        let spans = self.0.values();
        spans
            .filter(|span| span.parent_id.is_some() && self.parent(span).is_none())
            .collect()
    }

    /// Returns the client spans of first requests by trace, forward index and uid.
    fn calls(&self) -> BTreeMap<(&str, u32, u32), &SpanRow> {
        let mut calls = BTreeMap::new();
        for span in self.0.values().filter(|span| span.name == "dendrite.forward") {
            let parent = self.parent(span).expect("a call belongs to a forward");
            // A repeated request is a further call under the first.
            if parent.name == "forward" {
                let key = (
                    &*span.trace_id,
                    parent.forward_index.expect("the index of a forward"),
                    span.uid.expect("the uid of a call"),
                );
                let twice = calls.insert(key, span);
                assert!(twice.is_none(), "two calls of one forward to one uid: {twice:?}");
            }
        }
        calls
    }
}

/// Checks that each forward has one trace with a client span for each response, and a server span as its child for each
/// answer. The last spans of a node in `killed` may be lost. Returns the number of answers.
#[track_caller]
fn each_response_is_traced(run: &Run, spans: &Spans, killed: &BTreeSet<String>) -> usize {
    let calls = spans.calls();
    let mut answers: HashMap<(&str, &str), Vec<&SpanRow>> = HashMap::new();
    for span in spans.0.values().filter(|span| span.name == "axon.forward") {
        let parent = span.parent_id.as_deref().unwrap_or_default();
        answers.entry((&span.trace_id, parent)).or_default().push(span);
    }
    let trace_of: HashMap<(String, u64, u32), String> = rows::<EventRow>(run)
        .into_iter()
        .map(|event| ((event.validator, event.step, event.forward_index), event.trace_id))
        .collect();
    let responses = rows::<ResponseRow>(run);
    assert_eq!(calls.len(), responses.len(), "as many calls as responses");
    let mut answered = 0;
    for response in responses {
        let trace = &trace_of[&(response.validator.clone(), response.step, response.forward_index)];
        let call = calls.get(&(&**trace, response.forward_index, response.uid));
        let call = call.unwrap_or_else(|| panic!("no span of {response:?}"));
        assert_eq!(call.code.as_deref(), Some(&*response.outcome), "{response:?}");
        assert_eq!(call.node, response.validator);
        assert_eq!(call.kind, "client");
        assert_eq!(call.error.is_some(), response.outcome != "success", "{call:?}");
        assert_eq!(call.rules, response.faults, "{call:?}");
        let serving = answers.get(&(&**trace, &*call.span_id));
        // An answer that arrived was made by an axon, whatever its return code.
        if matches!(&*response.outcome, "success" | "empty" | "too short") {
            let [server] = serving.map_or(&[][..], |serving| &serving[..]) else {
                let is_lost = serving.is_none() && killed.contains(&format!("miner-{}", response.uid));
                assert!(is_lost, "not one server span for {response:?}: {serving:?}");
                continue;
            };
            assert_eq!((server.uid, &*server.kind), (Some(response.uid), "server"));
            assert!(server.duration_ns <= call.duration_ns, "{server:?} {call:?}");
            answered += 1;
        }
    }
    answered
}

#[test]
fn every_call_of_a_wide_network_is_traced() {
    let env = TestEnv::new();
    let run = env.done(env.file("wide.yml", TRAINING), &WIDE);
    let summary = Summary::read(run.layout()).expect("readable").expect("counts");
    assert_eq!((summary.missing_spans(), summary.not_kept), (0, 0), "{summary:?}");
    let spans = Spans::of(&run);
    assert_eq!(spans.0.len() as u64, summary.spans);
    assert!(spans.dangling().is_empty(), "{:?}", spans.dangling().first());
    let steps = spans.0.values().filter(|span| span.name == "step").count();
    assert_eq!(steps, 200);
    let answered = each_response_is_traced(&run, &spans, &BTreeSet::new());
    assert!(answered > 10_000, "{answered} answers");
    // Each answer has the parts of the axon's work.
    for part in [
        "axon.signature",
        "axon.check",
        "axon.queue",
        "axon.behaviour",
        "axon.answer",
    ] {
        let count = spans.0.values().filter(|span| span.name == part);
        let count = count
            .filter(|span| {
                spans
                    .parent(span)
                    .is_some_and(|parent| parent.name == "axon.forward")
            })
            .count();
        assert!(count >= answered, "{count} of {part} for {answered} answers");
    }
}

/// The spans of two runs of one file differ in their times alone.
#[test]
fn the_same_seed_gives_the_same_spans() {
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let identities = || {
        let run = env.done(file, &["query.method.args.max_iter=10"]);
        let identities: BTreeSet<_> = Spans::of(&run)
            .0
            .into_values()
            // The number of requests while a network starts depends on time.
            .filter(|span| span.step.is_some() || span.uid.is_some() || span.block.is_some())
            .map(|span| {
                (
                    span.trace_id,
                    span.span_id,
                    span.parent_id,
                    span.name,
                    span.node,
                    span.code,
                )
            })
            .collect();
        assert!(identities.len() > 300, "{}", identities.len());
        identities
    };
    assert_eq!(identities(), identities());
}

/// With faults of links and killed miners, only parents in killed processes are missing.
#[test]
fn faults_leave_no_span_without_its_parent() {
    let env = TestEnv::new();
    let faults = format!(
        "{TRAINING}faults:
  - {{id: lossy, at: step 2, link: {{from: validators, to: uid 0-3}}, latency: 2ms, drop: 0.2}}
  - {{id: twice, at: step 2, link: {{from: validators, to: uid 4-5}}, duplicate: 0.5}}
  - {{at: step 10, kill: uid 7}}
"
    );
    let run = env.done(
        env.file("faults.yml", faults),
        &[
            "network.restart={miners: restart}",
            "network.validators=2",
            "model.neuron.training_timeout=100ms",
        ],
    );
    let killed: BTreeSet<String> = rows::<IncidentRow>(&run)
        .into_iter()
        .map(|incident| incident.node)
        .collect();
    assert_eq!(killed.iter().collect::<Vec<_>>(), ["miner-7"]);
    let spans = Spans::of(&run);
    for (span, node) in detached(&run) {
        assert_eq!((&*node, &*span.node), ("miner-7", "miner-7"), "{span:?}");
    }
    each_response_is_traced(&run, &spans, &killed);
    let rules: BTreeSet<String> = spans
        .0
        .values()
        .filter(|span| span.name == "link")
        .filter_map(|span| span.rules.clone())
        .collect();
    for rule in ["lossy/latency", "lossy/latency, lossy/drop", "twice/duplicate"] {
        assert!(rules.contains(rule), "{rule}: {rules:?}");
    }
    let repeated = spans.0.values().filter(|span| {
        span.name == "dendrite.forward"
            && spans
                .parent(span)
                .is_some_and(|parent| parent.name == "dendrite.forward")
    });
    assert!(repeated.count() > 10);
}

/// Returns the spans without a parent in the table although they have one, each with the node whose end is the reason.
#[track_caller]
fn detached(run: &Run) -> Vec<(SpanRow, String)> {
    let dangling = Spans::of(run).dangling().len();
    let mut detached = Vec::new();
    for trace in Traces::of_run(run).expect("the tables can be read") {
        let trace = trace.expect("a trace can be read");
        for span in trace.spans() {
            match &span.detached {
                Some(Detached::KilledNode { node }) => detached.push((span.row.clone(), node.clone())),
                None => {}
                other => panic!("{other:?} is not the end of a node: {:?}", span.row),
            }
        }
    }
    assert_eq!(detached.len(), dangling);
    detached
}

/// A validator that is killed leaves the spans of the axons that it called, and those of its own that were sent.
#[test]
fn spans_below_a_killed_validator_are_marked_with_it() {
    let env = TestEnv::new();
    let faults =
        format!("{TRAINING}faults: [{{at: step 10, kill: uid 7}}, {{at: step 20, kill: validator-1}}]\n");
    let run = env.done(
        env.file("killed.yml", faults),
        &["network.restart={miners: restart}", "network.validators=2"],
    );
    let ended: BTreeSet<String> = rows::<IncidentRow>(&run)
        .into_iter()
        .map(|incident| incident.node)
        .collect();
    assert_eq!(ended.iter().collect::<Vec<_>>(), ["miner-7", "validator-1"]);
    let mut below_the_validator = 0;
    for (span, node) in detached(&run) {
        // Only validators call axons, and both nodes call the subtensor. All other parents are of the same node.
        let expected: &[&str] = match (&*span.kind, &*span.node) {
            ("server", "subtensor") => &["miner-7", "validator-1"],
            ("server", _) => &["validator-1"],
            (_, own) => &[own],
        };
        assert!(expected.contains(&&*node), "{node}: {span:?}");
        below_the_validator += usize::from(node == "validator-1");
    }
    assert!(below_the_validator > 0, "the kill cut a step off");
}

#[test]
fn a_run_without_traces_has_no_spans() {
    let env = TestEnv::new();
    let file = env.file("training.yml", TRAINING);
    let off = env.done(file, &["telemetry.traces=off"]);
    assert!(rows::<SpanRow>(&off).is_empty());
    let all = env.done(file, &[]);
    let same = env.diff(&off, &all);
    assert_eq!(same.status, Some(0), "tracing changes no event: {same:?}");
}

/// Runs `mirror trace` and returns its output as JSON.
#[track_caller]
fn traced(env: &TestEnv, words: &[&str]) -> Value {
    let output = env.mirror(words);
    assert_eq!(output.status, Some(0), "{words:?}: {output:?}");
    serde_json::from_str(&output.out).expect("the output is JSON")
}

/// Every call waits for its link, and the forward for the slowest of them, so the time of links is known.
#[test]
fn the_critical_path_adds_up_to_the_steps_and_names_the_slowed_link() {
    let env = TestEnv::new();
    let file = format!(
        "{TRAINING}faults:
  - {{id: usual, at: step 0, link: {{from: validators, to: \"uid 0-2,4-7\"}}, latency: 20ms}}
  - {{id: slow, at: step 0, link: {{from: validators, to: uid 3}}, latency: 120ms}}
"
    );
    let settings = ["model.neuron.training_topk=8", "query.method.args.max_iter=10"];
    let run = env.done(env.file("slow.yml", file), &settings);
    let steps: Vec<SpanRow> = rows::<SpanRow>(&run)
        .into_iter()
        .filter(|span| span.name == "step")
        .collect();
    let of_steps = steps
        .iter()
        .map(|step| step.duration_ns as f64 / 1e9)
        .sum::<f64>();
    let forwards = rows::<EventRow>(&run).len() as f64;
    let longest = longest_links(&Spans::of(&run));
    assert_eq!(longest.len() as f64, forwards);
    let seconds_of = |ns: u64| ns as f64 / 1e9;
    let before: f64 = longest.values().map(|link| seconds_of(link.begins)).sum();
    let longest: f64 = longest.values().map(|link| seconds_of(link.duration)).sum();
    let path = traced(&env, &["trace", "critical-path", "last", "--all", "--json"]);
    let list = |key: &str| path[key].as_array().expect("a list").clone();
    let seconds = |entry: &Value| entry["seconds"].as_f64().expect("a number");
    let sum = list("phases").iter().map(seconds).sum::<f64>();
    assert!((sum - of_steps).abs() < 1e-6, "{sum} s of {of_steps} s");
    let link = list("phases").into_iter().find(|phase| phase["phase"] == "link");
    let link = seconds(&link.expect("the phase of links"));
    // A timer never fires early: 120 ms after the start of the forward, of which the link is all but its beginning. The
    // calls of a forward are concurrent, so it waits for at most one link.
    assert!(
        link >= forwards * 0.12 - before - 1e-6 && link <= longest + 1e-6,
        "{link} s in {forwards} forwards, whose longest links took {longest} s and began after {before} s"
    );
    let first = &list("uids")[0];
    assert_eq!(
        (&first["uid"], &first["main_phase"]),
        (&json!(3), &json!("link")),
        "{path}"
    );
    assert_eq!(list("rules")[0]["rules"], "slow/latency");

    // The segments of one step follow each other from its start to its end.
    for step in steps {
        let path = traced(
            &env,
            &["trace", "critical-path", "last", &step.trace_id, "--json"],
        );
        let mut end = 0;
        for segment in path["segments"].as_array().expect("a list") {
            assert_eq!(segment["start_ns"], end, "{path}");
            end += segment["duration_ns"].as_u64().expect("a number");
        }
        assert_eq!(end, step.duration_ns);
    }
}

/// The link of a forward that took longest.
#[derive(Debug, Default, Clone, Copy)]
struct LongestLink {
    /// Time in nanoseconds from the start of the forward to the start of the link.
    begins: u64,
    /// Duration in nanoseconds.
    duration: u64,
}

/// Returns the longest link of each forward, by trace and id of the forward. A request leaves a link no earlier than
/// its latency after the start of the forward. The link and the work of the axon take at most the time of the call
/// together, because the axon begins when the request arrives.
fn longest_links(spans: &Spans) -> HashMap<(String, String), LongestLink> {
    let axons: HashMap<(&str, &str), u64> = (spans.0.values())
        .filter(|span| span.name == "axon.forward")
        .map(|span| {
            let call = span.parent_id.as_deref().expect("the call");
            ((&*span.trace_id, call), span.duration_ns)
        })
        .collect();
    let mut longest = HashMap::new();
    for link in spans.0.values().filter(|span| span.name == "link") {
        let call = spans.parent(link).expect("a link belongs to a call");
        let forward = spans.parent(call).expect("a call belongs to a forward");
        let latency = if link.uid == Some(3) {
            120_000_000
        } else {
            20_000_000
        };
        let begins = link.started_ns.saturating_sub(forward.started_ns);
        assert!(begins + link.duration_ns >= latency, "{link:?} {forward:?}");
        let axon = axons.get(&(&*call.trace_id, &*call.span_id));
        let axon = axon.copied().unwrap_or_default();
        assert!(
            link.duration_ns + axon <= call.duration_ns,
            "{link:?} {call:?} {axon} ns"
        );
        let key = (forward.trace_id.clone(), forward.span_id.clone());
        let known: &mut LongestLink = longest.entry(key).or_default();
        if link.duration_ns > known.duration {
            *known = LongestLink {
                begins,
                duration: link.duration_ns,
            };
        }
    }
    longest
}

/// A clock that is 50 seconds ahead does not change a trace, and the reader says that it is.
#[test]
fn the_spans_of_a_node_with_a_wrong_clock_are_shown_corrected() {
    let env = TestEnv::new();
    let file = format!("{TRAINING}faults:\n  - {{id: early, at: step 2, clock: uid 3, skew: 50s}}\n");
    let settings = ["model.neuron.training_topk=8", "query.method.args.max_iter=5"];
    let run = env.done(env.file("clock.yml", file), &settings);
    let as_recorded: Vec<SpanRow> = rows::<SpanRow>(&run);
    let shown = traced(&env, &["trace", "show", "last", "step:4", "--json"]);
    let offsets = shown["clock_offsets"].as_array().expect("a list");
    let [offset] = &offsets[..] else {
        panic!("one clock is wrong: {offsets:?}")
    };
    assert_eq!(offset["node"], "miner-3");
    let ahead = offset["ahead_ns"].as_i64().expect("a number");
    assert!((49_000_000_000..51_000_000_000).contains(&ahead), "{offset}");
    let spans: HashMap<&str, &Value> = shown["spans"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|span| (span["span_id"].as_str().expect("an id"), span))
        .collect();
    let start = |span: &Value| span["start_ns"].as_i64().expect("a number");
    let end = |span: &Value| start(span) + span["duration_ns"].as_i64().expect("a number");
    let mut moved = 0;
    for row in as_recorded
        .iter()
        .filter(|row| row.node == "miner-3" && row.name == "axon.forward")
    {
        let Some(server) = spans.get(&*row.span_id) else {
            continue;
        };
        let client = spans[row.parent_id.as_deref().expect("the call")];
        assert!(
            start(client) <= start(server) && end(server) <= end(client),
            "{client} {server}"
        );
        moved += 1;
    }
    assert!(moved >= 1, "the miner served calls of the step");
}

/// A rule slows the link to one uid in a few steps. The report names the uid and the rule, and the event of the slowest
/// step links to its waterfall.
#[test]
fn the_report_names_the_uid_and_the_rule_of_the_slowest_step() {
    let env = TestEnv::new();
    let fault = "faults: [{id: slow, at: step 10, for: 4 steps, link: {from: validators, to: uid 3}, latency: 300ms}]";
    let run = env.done(env.file("slow.yml", format!("{TRAINING}{fault}\n")), &[]);
    let printed = env.mirror(&["report", "last", "--json"]);
    assert_eq!(printed.status, Some(0), "{printed:?}");
    let report: Value = serde_json::from_str(&printed.out).expect("the report is JSON");
    let slowest = &report["traces"]["slowest"][0];
    let step = slowest["step"].as_u64().expect("the number of a step");
    assert!((10..14).contains(&step), "{slowest}");
    assert_eq!(slowest["rules"], json!(["slow/latency"]));
    assert_eq!(slowest["critical_path"]["uids"][0]["uid"], 3);
    assert_eq!(slowest["critical_path"]["phases"][0]["phase"], "link");
    assert!(slowest["seconds"].as_f64() >= Some(0.3), "{slowest}");
    // The uids of validators follow those of the eight miners.
    assert_eq!(slowest["uid"], 8);
    let events = rows::<EventRow>(&run);
    let event = events
        .iter()
        .find(|event| event.step == step)
        .expect("the event of the step");
    assert_eq!(slowest["id"], event.trace_id);
    let page = std::fs::read_to_string(run.layout().report()).expect("the page of the run");
    let anchor = slowest["anchor"].as_str().expect("the place on the page");
    assert!(page.contains(&format!("<a href=\"#{anchor}\">{}</a>", event.trace_id)));
    assert!(page.contains(&format!("id=\"{anchor}\"")));
}

/// Reads an export for collectors with the reference package, which refuses fields that it does not know. Ids are
/// hexadecimal digits in OTLP, and base64 in the JSON of Protocol Buffers that the package reads.
const READ_EXPORT: &str = "
import base64, json
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from google.protobuf import json_format

def decoded(pairs):
    entry = dict(pairs)
    for key in ('traceId', 'spanId', 'parentSpanId'):
        if key in entry:
            entry[key] = base64.b64encode(bytes.fromhex(entry[key])).decode()
    return entry

result = []
for line in open(data):
    traces = json_format.ParseDict(json.loads(line, object_pairs_hook=decoded), TracesData())
    for of_resource in traces.resource_spans:
        process = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
        for span in (span for scope in of_resource.scope_spans for span in scope.spans):
            result.append({
                'node': process['service.name'],
                'trace': span.trace_id.hex(),
                'span': span.span_id.hex(),
                'parent': span.parent_span_id.hex() or None,
                'name': span.name,
                'kind': Span.SpanKind.Name(span.kind),
                'start': span.start_time_unix_nano,
                'duration': span.end_time_unix_nano - span.start_time_unix_nano,
                'error': span.status.message if span.status.code == 2 else None,
                'uid': next((pair.value.int_value for pair in span.attributes if pair.key == 'mirror.uid'), None),
                'links': [[link.trace_id.hex(), link.span_id.hex()] for link in span.links],
            })
";

#[test]
fn the_reference_package_reads_the_export_for_collectors() {
    let Some(python) = Python::find() else {
        return;
    };
    let env = TestEnv::new();
    let run = env.done(env.file("training.yml", TRAINING), &[]);
    let exported = env.mirror(&[
        "trace",
        "export",
        "last",
        "--format",
        "otlp-json",
        "--output",
        "spans.json",
    ]);
    assert_eq!(exported.status, Some(0), "{exported:?}");
    let read = python.run(READ_EXPORT, &json!(env.path().join("spans.json")));
    let key = |span: &Value| (span["trace"].to_string(), span["span"].to_string());
    let mut read: BTreeMap<_, Value> = (read.as_array().expect("a list").iter())
        .map(|span| (key(span), span.clone()))
        .collect();
    for row in rows::<SpanRow>(&run) {
        let mut span = json!({
            "node": row.node,
            "trace": row.trace_id,
            "span": row.span_id,
            "parent": row.parent_id,
            "name": row.name,
            "kind": format!("SPAN_KIND_{}", row.kind.to_uppercase()),
            "duration": row.duration_ns,
            "error": row.error,
            "uid": row.uid,
            "links": row.links.iter().flat_map(|links| links.split(',')).map(|link| link.split_once('-')).collect::<Vec<_>>(),
        });
        let read = read
            .remove(&key(&span))
            .unwrap_or_else(|| panic!("not exported: {row:?}"));
        // The export has the times corrected by the differences of the clocks, which are small on one machine.
        let start = read["start"].as_u64().expect("a time");
        assert!(start.abs_diff(row.started_ns) < 1_000_000_000, "{read} {row:?}");
        span["start"] = start.into();
        assert_eq!(read, span);
    }
    assert!(read.is_empty(), "spans that the run does not have: {read:?}");
}
