//! Traces of runs: look-up, comparison and export.

mod sample;

use mirror_runs::Run;
use mirror_runs::tables::SpanRow;
use mirror_traces::export::FORMATS;
use mirror_traces::{FindError, Grouping, Pairing, Selector, Verdict, compare, count, find, traces};
use serde_json::Value;

use sample::{MILLISECOND, START, answer, call, run_of, span};

/// Traces of 20 steps with a call of `milliseconds`, which varies by up to 9%.
fn steps(prefix: &str, milliseconds: u64) -> Vec<SpanRow> {
    let of_step = |step: u64| {
        let to = milliseconds + milliseconds * (step % 4) * 3 / 100;
        [
            span(1, None, "step", (0, 1000)),
            call(2, 1, 7, (0, to)),
            answer(3, 2, 7, (0, to)),
        ]
        .map(|row| SpanRow {
            trace_id: format!("{prefix}{step:028x}"),
            step: (row.name == "step").then_some(step),
            ..row
        })
    };
    (0..20).flat_map(of_step).collect()
}

fn selector(text: &str) -> Selector {
    text.parse().expect("the name of a trace")
}

fn exported(run: &Run, name: &str) -> String {
    let format = FORMATS
        .iter()
        .find(|format| format.name == name)
        .expect("a format");
    let mut export = (format.new)();
    let mut out = Vec::new();
    export.begin(&mut out).expect("writing");
    for trace in traces(run).expect("the table opens") {
        export.trace(&trace.expect("a trace"), &mut out).expect("writing");
    }
    export.end(&mut out).expect("writing");
    String::from_utf8(out).expect("text")
}

#[test]
fn traces_are_found_by_id_and_by_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run_of(folder.path(), 7, steps("beef", 100));
    assert_eq!(count(&run).ok(), Some(60));
    assert_eq!(traces(&run).expect("the table opens").count(), 20);
    let id = format!("beef{:028x}", 5);
    for name in [id.as_str(), &id.to_uppercase(), "step:5", "validator-0/step:5"] {
        assert_eq!(find(&run, &selector(name)).expect("a trace").id(), id);
    }
    let ambiguous = find(&run, &selector("beef"));
    assert!(matches!(
        ambiguous,
        Err(FindError::Ambiguous { candidates, has_more: true, .. }) if candidates.len() == 5
    ));
    for unknown in ["beee", "ffff", "step:20", "validator-1/step:5"] {
        assert!(matches!(
            find(&run, &selector(unknown)),
            Err(FindError::Unknown(_))
        ));
    }
    for wrong in ["bee", "xyzw", "", "step:", "step:-1", "a/b"] {
        assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
    }
}

#[test]
fn runs_with_one_seed_are_compared_trace_by_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = run_of(folder.path(), 7, steps("beef", 100));
    let second = run_of(folder.path(), 7, steps("beef", 200));
    let comparison = compare(&first, &second, Grouping::NameAndUid).expect("two runs");
    assert!(matches!(
        comparison.pairing,
        Pairing::Paired {
            traces: 20,
            only_first: 0,
            only_second: 0
        }
    ));
    let call = &comparison.changes[0];
    assert_eq!((call.uid, call.verdict), (Some(7), Verdict::Slower));
    assert_eq!(call.ratio, Some(2.0));
    let step = comparison
        .changes
        .iter()
        .find(|change| change.name == "step")
        .expect("steps");
    assert_eq!(step.verdict, Verdict::NoDifferenceShown);
    assert!(step.added_per_trace_ns.abs() < f64::EPSILON);
}

#[test]
fn runs_with_different_seeds_are_compared_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = run_of(folder.path(), 7, steps("beef", 200));
    let second = run_of(folder.path(), 8, steps("cafe", 100));
    let comparison = compare(&first, &second, Grouping::Name).expect("two runs");
    assert!(matches!(
        comparison.pairing,
        Pairing::Unpaired {
            first: 20,
            second: 20
        }
    ));
    let call = comparison.changes.last().expect("a change");
    assert_eq!((call.uid, call.verdict), (None, Verdict::Faster));
}

#[test]
fn every_format_has_every_span() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run_of(folder.path(), 7, steps("beef", 100));

    let text = exported(&run, "otlp-json");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 20);
    let of_miner = &lines[3]["resourceSpans"][0];
    assert_eq!(
        of_miner["resource"]["attributes"][1]["value"]["stringValue"],
        "miner-7"
    );
    let server = &of_miner["scopeSpans"][0]["spans"][0];
    assert_eq!(server["traceId"], format!("beef{:028x}", 3));
    assert_eq!(server["parentSpanId"], format!("{:016x}", 2));
    assert_eq!(server["kind"], 2);
    assert_eq!(server["startTimeUnixNano"], START.to_string());
    assert_eq!(server["endTimeUnixNano"], (START + 109 * MILLISECOND).to_string());
    assert_eq!(server["attributes"][0]["key"], "mirror.uid");
    assert_eq!(server["attributes"][0]["value"]["intValue"], "7");

    let jaeger: Value = serde_json::from_str(&exported(&run, "jaeger")).expect("JSON");
    let data = jaeger["data"].as_array().expect("traces");
    assert_eq!(data.len(), 20);
    for trace in data {
        for span in trace["spans"].as_array().expect("spans") {
            let process = span["processID"].as_str().expect("an id");
            assert!(trace["processes"][process]["serviceName"].is_string());
            assert!(
                span["startTime"]
                    .as_u64()
                    .is_some_and(|time| time == START / 1000)
            );
        }
    }

    let perfetto: Value = serde_json::from_str(&exported(&run, "perfetto")).expect("JSON");
    let events = perfetto["traceEvents"].as_array().expect("events");
    let of_kind = |kind: &str| events.iter().filter(|event| event["ph"] == kind).count();
    assert_eq!((of_kind("X"), of_kind("s"), of_kind("f")), (60, 20, 20));
}
