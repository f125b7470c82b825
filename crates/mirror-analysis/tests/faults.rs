//! Tests of the faults in a report: spans, the table, sentences, and the limits of the comparison.

mod made_up;

use made_up::{changed, epoch, event, failure, fault, incident, recorded, success, with_calls};
use mirror_analysis::{Report, RunData, Summary};
use mirror_proto::mirror::v1::{IncidentKind, Outcome, Record};
use mirror_runs::Run;
use serde_json::{Value, json};

fn report_of(run: &Run) -> Report {
    let data = RunData::read(run).unwrap();
    Report::of_run(&data, &Summary::of(&data), run.layout())
}

fn as_json(records: &[Record]) -> Value {
    serde_json::to_value(report_of(&recorded(records).run)).unwrap()
}

/// Returns forty steps of one forward with two calls, and an epoch after every ten blocks. The calls of the steps 10 to
/// 13 to uid 1 are slow, and that of step 12 fails. That of step 13 is also duplicated.
fn run() -> Vec<Record> {
    let mut records = Vec::new();
    for step in 0..40 {
        let mut other = success(1, 0.5, 0.1);
        if (10..14).contains(&step) {
            if step == 12 {
                other = failure(1, Outcome::Timeout, 0.4);
            }
            other.faults = vec!["slow/latency".to_owned(), "slow/drop".to_owned()];
            if step == 13 {
                other.faults.push("backward twice/duplicate".to_owned());
            }
        }
        records.push(with_calls(event(step, 0), vec![success(0, 1.0, 0.1), other]));
        if step % 10 == 9 {
            records.push(epoch(1 + step / 10, &[40_000, 20_000]));
        }
    }
    records
}

fn faults() -> Vec<Record> {
    let mut dead = fault("kill-2c55", 0, "kill", "uid 5", 30, false);
    "not running: miner-5".clone_into(&mut dead.detail);
    let changes = [
        fault("slow", 0, "link", "all nodes to uid 1", 10, false),
        fault("twice", 0, "link", "all nodes to uid 0-1", 13, false),
        fault("slow", 0, "link", "all nodes to uid 1", 14, true),
        fault("twice", 0, "link", "all nodes to uid 0-1", 14, true),
        fault("twice", 1, "link", "all nodes to uid 0-1", 20, false),
        fault("twice", 1, "link", "all nodes to uid 0-1", 21, true),
        dead,
    ];
    changes.into_iter().map(changed).collect()
}

#[test]
fn a_fault_is_a_span_from_its_beginning_to_its_end_on_every_time_axis() {
    let report = as_json(&[run(), faults()].concat());
    let spans = report["fault_spans"].as_array().unwrap();
    let places: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span["fault"].as_str().unwrap(),
                span["from"].clone(),
                span["to"].clone(),
            )
        })
        .collect();
    // Epoch n is at block 10 n, and a step takes a second. The last forward takes half a second.
    let at = |step: u64, epoch: f64, second: f64| json!({"step": step as f64, "forward": step as f64, "epoch": epoch, "second": second});
    assert_eq!(
        places,
        [
            ("slow", at(10, 1.0, 10.0), at(14, 1.4, 14.0)),
            ("twice", at(13, 1.3, 13.0), at(14, 1.4, 14.0)),
            ("twice", at(20, 2.0, 20.0), at(21, 2.1, 21.0)),
            ("kill-2c55", at(30, 3.0, 30.0), at(40, 4.0, 39.5)),
        ]
    );
    assert_eq!(spans[3]["lifted"], false);
    assert_eq!(
        (&spans[2]["occurrence"], &spans[2]["lifted"]),
        (&json!(1), &json!(true))
    );
}

#[test]
fn the_table_counts_the_calls_of_each_fault() {
    let report = as_json(&[run(), faults()].concat());
    let tables = report["tables"].as_array().unwrap();
    let table = tables.iter().find(|table| table["name"] == "faults").unwrap();
    let shown = |cell: &Value| match cell {
        Value::Object(number) => number["text"].as_str().unwrap().to_owned(),
        Value::String(text) => text.clone(),
        _ => "–".to_owned(),
    };
    let rows: Vec<Vec<String>> = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["cells"].as_array().unwrap().iter().map(shown).collect())
        .collect();
    assert_eq!(
        rows,
        [
            [
                "slow",
                "link",
                "all nodes to uid 1",
                "10",
                "14",
                "1",
                "4",
                "1",
                "5.0%",
                "–"
            ],
            [
                "twice",
                "link",
                "all nodes to uid 0-1",
                "13",
                "21",
                "2",
                "1",
                "0",
                "1.2%",
                "–"
            ],
            [
                "kill-2c55",
                "kill",
                "uid 5",
                "30",
                "–",
                "1",
                "0",
                "0",
                "0.0%",
                "not running: miner-5"
            ],
        ]
    );
}

#[test]
fn a_sentence_states_the_faults_and_the_affected_calls() {
    let sentence = |records: &[Record]| {
        let recorded = recorded(records);
        let report = report_of(&recorded.run);
        let found = report
            .sentences()
            .iter()
            .find(|sentence| sentence.text.contains("fault"));
        found.map(|sentence| sentence.text.clone())
    };
    assert_eq!(
        sentence(&[run(), faults()].concat()).as_deref(),
        Some(
            "3 faults were applied 4 times in total: 1 `kill`, 2 `link`; 4 calls were affected by rules of links, 1 of them failed."
        )
    );
    let one = [changed(fault("kill-2c55", 0, "kill", "uid 5", 0, false))];
    assert_eq!(
        sentence(&[&one[..], &[with_calls(event(0, 0), vec![success(0, 1.0, 0.1)])]].concat()).as_deref(),
        Some("1 fault was applied: 1 `kill`.")
    );
    let mut none = fault("kill-2c55", 0, "kill", "uid 5", 3, false);
    none.detail = "not put into effect: 1024 faults, the maximum, are in effect".to_owned();
    let report = as_json(&[run(), vec![changed(none)]].concat());
    assert_eq!(report["fault_spans"], json!([]));
    assert_eq!(sentence(&run()), None);
}

#[test]
fn incidents_that_a_fault_caused_are_not_drawn_twice() {
    let incidents = [
        incident("miner-5", IncidentKind::Killed, "by a fault", 0, ""),
        incident("miner-5", IncidentKind::Restarted, "after a fault", 1, ""),
        incident("miner-6", IncidentKind::Exited, "status 1", 0, ""),
    ];
    let marks = |records: &[Record]| -> Vec<String> {
        let html = report_of(&recorded(records).run).to_html().unwrap();
        let figures = made_up::embedded_figures(&html);
        let over_time = figures
            .iter()
            .find(|figure| figure["name"] == "call_time")
            .unwrap();
        let marks = over_time["chart"]["marks"].as_array().unwrap();
        let labels = marks
            .iter()
            .map(|mark| mark["label"].as_str().unwrap().to_owned());
        labels.collect()
    };
    let with_spans = [run(), faults(), incidents.to_vec()].concat();
    assert_eq!(marks(&with_spans), ["miner-6 exited"]);
    // A run of a version without the table of faults.
    let without = [run(), incidents.to_vec()].concat();
    assert_eq!(
        marks(&without),
        ["miner-5 killed", "miner-5 restarted", "miner-6 exited"]
    );
    let recorded = recorded(&with_spans);
    let report = report_of(&recorded.run);
    let mut texts = report.sentences().iter().map(|sentence| sentence.text.as_str());
    assert!(texts.any(
        |text| text == "3 incidents of nodes: 1 exited, 1 killed, 1 restarted; faults caused 2 of them."
    ));
}

#[test]
fn spans_are_in_the_page_and_those_beyond_the_hundredth_are_counted() {
    let many = (0..120).map(|occurrence| changed(fault("often", occurrence, "link", "a <b> c", 5, false)));
    let recorded = recorded(&[run(), many.collect()].concat());
    let report = report_of(&recorded.run);
    let figures = made_up::embedded_figures(&report.to_html().unwrap());
    let over_time = figures.iter().filter(|figure| figure["chart"]["time"] == true);
    let mut plots = 0;
    for figure in over_time {
        let spans = figure["chart"]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 100, "{}", figure["name"]);
        assert_eq!(spans[0]["label"], "often: link a &lt;b> c");
        plots += 1;
    }
    assert!(plots > 3);
    let report = serde_json::to_value(&report).unwrap();
    for plot in report["plots"].as_array().unwrap() {
        let note = plot["note"].as_str().unwrap();
        let is_over_time =
            ["forward", "step", "epoch", "second"].contains(&plot["x"]["scale"].as_str().unwrap());
        let states = note.ends_with("Of 120 occurrences of faults, the first 100 are shaded.");
        assert_eq!(states, is_over_time, "{}: {note}", plot["name"]);
    }
}

#[test]
fn the_limits_name_uids_with_an_injected_behaviour() {
    let injections = [
        fault("echoes", 0, "inject", "uid 12-13", 20, false),
        fault("echoes", 0, "inject", "uid 12-13", 30, true),
        fault("lazy", 0, "inject_validators", "validator 0", 35, false),
    ];
    let report = as_json(&[run(), injections.into_iter().map(changed).collect()].concat());
    let limits = report["not_tested"].as_array().unwrap();
    for expected in [
        "A separate group for uid 12-13: `echoes` replaced their behaviour from step 20 to 29, and they keep the label \
         of the experiment file in every comparison.",
        "A separate group for validator 0: `lazy` replaced their behaviour from step 35 on, and they keep the label of \
         the experiment file in every comparison.",
    ] {
        assert!(limits.iter().any(|limit| limit == expected), "{limits:#?}");
    }
    let has_faults = |limit: &Value| limit.as_str().unwrap().contains("no fault took effect");
    assert!(!limits.iter().any(has_faults));
}

#[test]
fn a_run_of_a_version_without_faults_has_a_report() {
    let recorded = recorded(&run());
    let root = recorded.run.layout().root();
    std::fs::remove_file(root.join("faults.parquet")).unwrap();
    let run = Run::open(root).unwrap();
    let report = serde_json::to_value(report_of(&run)).unwrap();
    assert_eq!(report["fault_spans"], json!([]));
    let tables = report["tables"].as_array().unwrap();
    assert!(tables.iter().all(|table| table["name"] != "faults"));
}
