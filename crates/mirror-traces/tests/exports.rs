//! Tests of the formats of other programs, by the descriptions of these formats.

mod made;

use std::collections::{HashMap, HashSet};

use made::{EPOCH_NS, MS, fan_out, id, trace};
use mirror_runs::tables::SpanRow;
use mirror_traces::export::Format;
use mirror_traces::{Neurons, Trace};
use serde_json::{Value, json};

/// Returns two steps, of which the second one starts before the first one has ended, on the same nodes.
fn sample() -> Vec<Trace> {
    let mut rows = fan_out(0xa1, 4, &[10 * MS, 20 * MS]);
    for row in &mut rows {
        if row.name == "dendrite.forward" && row.uid == Some(1) {
            row.error = Some("said \"no\"".to_owned());
            row.code = Some("refused".to_owned());
            row.attributes = Some(r#"{"rpc.system":"grpc","tokens":5,"share":0.5,"cached":true}"#.to_owned());
            row.links = Some(format!("{:032x}-{:016x}", 0xb2, 9));
            row.dropped_attributes = 2;
        }
    }
    let mut later = fan_out(0xb2, 5, &[30 * MS]);
    for row in &mut later {
        row.started_ns += 5 * MS;
    }
    vec![trace(rows), trace(later)]
}

fn exported(format: &str, traces: &[Trace]) -> String {
    let mut exporter = Format::named(format).expect("a known format").exporter();
    let mut out = Vec::new();
    for trace in traces {
        exporter
            .trace(trace, &Neurons::default(), &mut out)
            .expect("memory can be written");
    }
    exporter.finish(&mut out).expect("memory can be written");
    String::from_utf8(out).expect("text")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn otlp_has_one_trace_per_line() {
    let text = exported("otlp-json", &sample());
    let lines: Vec<Value> = text.lines().map(parsed).collect();
    assert_eq!(lines.len(), 2);
    let resources = list(&lines[0]["resourceSpans"]);
    let name = |resource: &Value| {
        let attributes = list(&resource["resource"]["attributes"]);
        let name = attributes
            .iter()
            .find(|attribute| attribute["key"] == "service.name");
        name.expect("a name")["value"]["stringValue"].clone()
    };
    let names: Vec<Value> = resources.iter().map(name).collect();
    assert_eq!(names, ["miner-0", "miner-1", "validator-0"]);
    let spans = list(&resources[2]["scopeSpans"][0]["spans"]);
    let failed = spans
        .iter()
        .find(|span| span["status"]["code"] == 2)
        .expect("a failed span");
    assert_eq!(failed["traceId"], format!("{:032x}", 0xa1));
    assert_eq!(failed["spanId"], id(12));
    assert_eq!(failed["parentSpanId"], id(1));
    assert_eq!(failed["kind"], 3);
    assert_eq!(failed["startTimeUnixNano"], (EPOCH_NS + MS).to_string());
    assert_eq!(failed["endTimeUnixNano"], (EPOCH_NS + 21 * MS).to_string());
    assert_eq!(failed["status"]["message"], "said \"no\"");
    assert_eq!(failed["droppedAttributesCount"], 2);
    assert_eq!(
        failed["links"],
        json!([{ "traceId": format!("{:032x}", 0xb2), "spanId": id(9) }])
    );
    for attribute in [
        json!({ "key": "mirror.uid", "value": { "intValue": "1" } }),
        json!({ "key": "mirror.code", "value": { "stringValue": "refused" } }),
        json!({ "key": "tokens", "value": { "intValue": "5" } }),
        json!({ "key": "share", "value": { "doubleValue": 0.5 } }),
        json!({ "key": "cached", "value": { "boolValue": true } }),
    ] {
        assert!(list(&failed["attributes"]).contains(&attribute), "{attribute}");
    }
    let root = spans.iter().find(|span| span["name"] == "step").expect("a root");
    assert_eq!((&root["parentSpanId"], &root["kind"]), (&json!(""), &json!(1)));
}

#[test]
fn jaeger_refers_to_processes_and_parents() {
    let file = parsed(&exported("jaeger", &sample()));
    let data = list(&file["data"]);
    assert_eq!(data.len(), 2);
    let first = &data[0];
    assert_eq!(first["traceID"], format!("{:032x}", 0xa1));
    for span in list(&first["spans"]) {
        let process = span["processID"].as_str().expect("a process");
        assert!(first["processes"][process]["serviceName"].is_string());
        assert!(span["startTime"].is_u64() && span["duration"].is_u64());
    }
    let spans = list(&first["spans"]);
    let failed = spans
        .iter()
        .find(|span| span["spanID"] == id(12))
        .expect("a failed span");
    assert_eq!(failed["startTime"], (EPOCH_NS + MS) / 1_000);
    assert_eq!(failed["duration"], 20_000);
    assert_eq!(failed["references"][0]["refType"], "CHILD_OF");
    assert_eq!(failed["references"][0]["spanID"], id(1));
    assert!(list(&failed["tags"]).contains(&json!({ "key": "error", "type": "bool", "value": true })));
    assert!(list(&failed["tags"]).contains(&json!({ "key": "mirror.uid", "type": "int64", "value": 1 })));
}

#[test]
fn perfetto_has_no_events_that_cross_on_a_thread() {
    let mut traces = sample();
    // Twenty calls at the same time.
    traces.push(trace(fan_out(0xc3, 6, &[7 * MS; 20])));
    let count: usize = traces.iter().map(|trace| trace.spans().len()).sum();
    let file = parsed(&exported("perfetto", &traces));
    let events = list(&file["traceEvents"]);
    let mut threads: HashMap<(u64, u64), Vec<(i64, i64)>> = HashMap::new();
    let of_phase = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    for event in of_phase("X") {
        let number = |name: &str| event[name].as_u64().expect("a number");
        let (start, duration) = (number("ts") as i64, number("dur") as i64);
        threads
            .entry((number("pid"), number("tid")))
            .or_default()
            .push((start, -(start + duration)));
    }
    assert_eq!(of_phase("X").count(), count);
    // Perfetto merges threads with the same number, also those of different processes, and drops what then overlaps.
    let numbers: HashSet<u64> = threads.keys().map(|(_, thread)| *thread).collect();
    assert_eq!(numbers.len(), threads.len(), "{:?}", threads.keys());
    assert!(!numbers.contains(&0), "thread 0 is an idle processor to Perfetto");
    for spans in threads.values_mut() {
        spans.sort_unstable();
        let mut open: Vec<i64> = Vec::new();
        for (start, end) in spans {
            let end = -*end;
            open.retain(|open_end| open_end > start);
            assert!(open.iter().all(|open_end| *open_end >= end));
            open.push(end);
        }
    }
    let names: Vec<&Value> = of_phase("M")
        .filter(|event| event["name"] == "process_name")
        .map(|event| &event["args"]["name"])
        .collect();
    assert_eq!(names.len(), 21);
    // An arrow from each client to its server.
    let servers = |trace: &Trace| {
        trace
            .spans()
            .iter()
            .filter(|span| span.row.kind == "server")
            .count()
    };
    let calls: usize = traces.iter().map(servers).sum();
    assert_eq!((of_phase("s").count(), of_phase("f").count()), (calls, calls));
}

#[test]
fn files_without_traces_are_valid() {
    assert_eq!(exported("otlp-json", &[]), "");
    assert_eq!(parsed(&exported("jaeger", &[]))["data"], json!([]));
    assert_eq!(parsed(&exported("perfetto", &[]))["traceEvents"], json!([]));
}

#[test]
fn attributes_that_are_no_json_are_left_out() {
    let mut rows: Vec<SpanRow> = fan_out(1, 0, &[MS]);
    rows[0].attributes = Some("{\"a\":".to_owned());
    let file = parsed(&exported("otlp-json", &[trace(rows)]));
    assert!(file["resourceSpans"].is_array());
}
