//! The spans of a run: complete, with ids that are functions of the random seed, and joined over all processes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, IncidentRow, ResponseRow, SpanRow};
use mirror_runs::telemetry::Summary;
use mirror_tests::{TestEnv, rows};

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
    assert_eq!((summary.missing(), summary.not_kept), (0, 0), "{summary:?}");
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
    for span in spans.dangling() {
        assert!(killed.contains(&span.node), "{span:?}");
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
