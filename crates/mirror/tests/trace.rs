//! Tests of `mirror trace`, and of the traces in `mirror report`, by their program, on runs with made-up spans.

use std::path::Path;
use std::process::{Command, Output};

use mirror_runs::tables::SpanRow;
use mirror_runs::telemetry::{Parts, Summary};
use mirror_runs::{Ended, Layout, NewRun, Recorder, RunDirectory};
use serde_json::Value;

const MS: u64 = 1_000_000;

/// A complete experiment without settings of telemetry.
const QUICKSTART: &str = include_str!("../../../configs/quickstart.yml");

fn span(step: u64, number: u64, parent: Option<u64>, name: &str, start: u64, duration: u64) -> SpanRow {
    SpanRow {
        trace_id: format!("{:032x}", (0xab00_u128 + u128::from(step)) << 112),
        span_id: format!("{number:016x}"),
        parent_id: parent.map(|parent| format!("{parent:016x}")),
        name: name.to_owned(),
        kind: "internal".to_owned(),
        node: "validator-0".to_owned(),
        incarnation: 0,
        started_ns: 1_795_000_000_000_000_000 + step * 1_000 * MS + start,
        duration_ns: duration,
        step: parent.is_none().then_some(step),
        ..SpanRow::default()
    }
}

/// Returns a step of 100 ms with calls to the uids 0 to 19, of which uid 7 is delayed by a rule to 90 ms. The others
/// take 10 ms. The clock of the miner of uid 3 is 5 s ahead.
fn step(step: u64) -> Vec<SpanRow> {
    let mut rows = vec![
        span(step, 1, None, "step", 0, 100 * MS),
        span(step, 2, Some(1), "forward", 0, 100 * MS),
    ];
    for uid in 0..20_u32 {
        let duration = if uid == 7 { 90 * MS } else { 10 * MS };
        let number = 100 + 10 * u64::from(uid);
        let rules = (uid == 7).then(|| "slow/latency".to_owned());
        rows.push(SpanRow {
            kind: "client".to_owned(),
            uid: Some(uid),
            code: Some("success".to_owned()),
            rules: rules.clone(),
            ..span(step, number, Some(2), "dendrite.forward", 0, duration)
        });
        if rules.is_some() {
            rows.push(SpanRow {
                uid: Some(uid),
                rules,
                ..span(step, number + 1, Some(number), "link", 0, 80 * MS)
            });
        }
        let ahead = if uid == 3 { 5_000 * MS } else { 0 };
        rows.push(SpanRow {
            kind: "server".to_owned(),
            node: format!("miner-{uid}"),
            uid: Some(uid),
            ..span(
                step,
                number + 2,
                Some(number),
                "axon.forward",
                duration - 8 * MS + ahead,
                7 * MS,
            )
        });
    }
    rows
}

fn run(runs_dir: &Path, rows: impl IntoIterator<Item = SpanRow>) -> String {
    let rows: Vec<SpanRow> = rows.into_iter().collect();
    let new = NewRun {
        experiment: "Traces".to_owned(),
        seed: 7,
        ..NewRun::default()
    };
    let directory = RunDirectory::create(runs_dir, &new).expect("a new run");
    let id = directory.manifest().id.clone();
    let mut parts = Parts::create(directory.layout(), &id).expect("a folder for spans");
    let recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).expect("a recorder");
    if !rows.is_empty() {
        parts.write(&rows).expect("a file of spans");
    }
    recorder.finish(Ended::Done).expect("a run that ends");
    id
}

fn mirror(runs_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirror"));
    command
        .arg("trace")
        .args(arguments)
        .arg("--runs-dir")
        .arg(runs_dir);
    command.env("COLUMNS", "80").output().expect("the program starts")
}

fn printed(runs_dir: &Path, arguments: &[&str]) -> String {
    let output = mirror(runs_dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the exit status and the message of a command that fails.
fn refused(runs_dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = mirror(runs_dir, arguments);
    let message = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), message)
}

#[test]
fn the_slow_link_of_a_step_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path();
    let id = run(runs, (0..30).flat_map(step));

    let list = printed(runs, &["list", &id]);
    assert!(
        list.contains("ab0000000000") && list.contains("and 10 more"),
        "{list}"
    );
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    let slow = printed(
        runs,
        &[
            "list",
            &id,
            "--name",
            "dendrite.forward",
            "--min-duration",
            "50ms",
            "--step",
            "4..6",
            "--json",
        ],
    );
    let slow: Vec<Value> = slow
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(slow.len(), 3);
    assert!(
        slow.iter()
            .all(|span| span["uid"] == 7 && span["rules"] == "slow/latency")
    );
    for filter in [
        ["--uid", "7"],
        ["--rule", "slow"],
        ["--code", "success"],
        ["--sort", "duration"],
    ] {
        let arguments = [&["list", &id, "--json", "--limit", "100"][..], &filter].concat();
        assert_eq!(printed(runs, &arguments).lines().count(), 30, "{filter:?}");
    }
    assert!(printed(runs, &["list", &id, "--errors"]).contains("no span of the run matches"));

    let shown = printed(runs, &["show", &id, "step:4"]);
    assert!(shown.contains("rules: slow/latency"), "{shown}");
    assert!(shown.contains("more, 10.0 ms to 10.0 ms"), "{shown}");
    assert!(
        shown.contains("the clock of miner-3 is 5.00 s ahead; its spans are shown corrected"),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let all = printed(runs, &["show", &id, "ab04", "--all"]);
    assert_eq!(all.matches("axon.forward").count(), 20, "{all}");

    for trace in ["step:4", "--all"] {
        let path = printed(runs, &["critical-path", &id, trace, "--json"]);
        let path: Value = serde_json::from_str(&path).expect("JSON");
        assert_eq!(path["phases"][0]["phase"], "link");
        assert_eq!(path["phases"][0]["share"], 0.8);
        assert_eq!(path["rules"][0]["rules"], "slow/latency");
        assert_eq!(path["uids"][0]["uid"], 7);
        assert_eq!(path["uids"][0]["saved_share"], 0.8);
    }
    let path = printed(runs, &["critical-path", &id, "step:4"]);
    let segments: Vec<Vec<&str>> = path
        .lines()
        .skip_while(|line| !line.starts_with('─'))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        segments,
        [
            vec![
                "0",
                "ns",
                "80.0",
                "ms",
                "link",
                "7",
                "validator-0",
                "slow/latency"
            ],
            vec![
                "80.0",
                "ms",
                "2.00",
                "ms",
                "dendrite.forward",
                "7",
                "validator-0",
                "slow/latency"
            ],
            vec!["82.0", "ms", "7.00", "ms", "axon.forward", "7", "miner-7"],
            vec![
                "89.0",
                "ms",
                "1.00",
                "ms",
                "dendrite.forward",
                "7",
                "validator-0",
                "slow/latency"
            ],
            vec!["90.0", "ms", "10.0", "ms", "forward", "-", "validator-0"],
        ],
        "{path}"
    );
    assert!(path.lines().all(|line| line.chars().count() <= 80), "{path}");
    let path = printed(runs, &["critical-path", &id, "step:4", "--json"]);
    let path: Value = serde_json::from_str(&path).expect("JSON");
    let mut end = 0;
    for segment in path["segments"].as_array().expect("a list") {
        assert_eq!(segment["start_ns"], end, "{path}");
        end += segment["duration_ns"].as_u64().expect("a number");
    }
    assert_eq!(end, 100 * MS);
    let all = printed(runs, &["critical-path", &id, "--all", "--json"]);
    assert!(!all.contains("segments"), "{all}");

    let path = printed(runs, &["critical-path", &id, "--all"]);
    assert!(
        path.contains("links delayed by slow/latency: 2.40 s (80.0%)"),
        "{path}"
    );
}

/// Other programs read the JSON, and they do not notice that lines are left out.
#[test]
fn json_is_complete_unless_a_limit_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path();
    let id = run(runs, (0..60).flat_map(step));
    let counts = Summary {
        refused: 3,
        lost_metrics: 4,
        ..Summary::default()
    };
    counts
        .write(&Layout::new(runs.join(&id)))
        .expect("a file of counts");

    let starts = |arguments: &[&str]| -> Vec<i64> {
        let lines = printed(runs, &[&["list", &id, "--json"][..], arguments].concat());
        let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        lines
            .lines()
            .map(|text| line(text)["start_ns"].as_i64().expect("a number"))
            .collect()
    };
    let all = starts(&[]);
    assert_eq!(all.len(), 60);
    assert!(all.is_sorted());
    assert_eq!(starts(&["--limit", "7"]), all[..7]);
    assert_eq!(starts(&["--name", "dendrite.forward"]).len(), 60 * 20);
    // Every line of the output is a span, so the missing ones are stated beside it.
    let output = mirror(runs, &["list", &id, "--json"]);
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.contains("3 spans are missing"), "{message}");
    let list = printed(runs, &["list", &id]);
    assert_eq!(list.matches("validator-0").count(), 20, "{list}");
    assert!(list.contains("3 spans are missing"), "{list}");
    assert!(list.contains("4 measurements of metrics are missing"), "{list}");

    let named = |numbers: std::ops::Range<u64>| {
        let rows = numbers.map(|number| span(number, 1, None, &format!("work-{number}"), 0, MS));
        run(runs, rows)
    };
    let (first, second) = (named(0..70), named(0..70));
    let differences = |arguments: &[&str]| {
        let text = printed(
            runs,
            &[&["compare", &first, &second, "--json"][..], arguments].concat(),
        );
        let compared: Value = serde_json::from_str(&text).expect("JSON");
        compared["differences"].as_array().expect("a list").len()
    };
    assert_eq!(differences(&[]), 70);
    assert_eq!(differences(&["--limit", "5"]), 5);
    let text = printed(runs, &["compare", &first, &second]);
    assert!(text.contains("20 further names are not shown"), "{text}");
}

#[test]
fn an_export_of_a_trace_that_does_not_exist_leaves_the_file_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path();
    let id = run(runs, step(0));
    let file = runs.join("kept.json");
    std::fs::write(&file, "earlier").expect("a file");
    let path = file.display().to_string();
    let arguments = [
        "export", &id, "--format", "jaeger", "--output", &path, "--trace", "step:9",
    ];
    let (status, message) = refused(runs, &arguments);
    assert_eq!(status, Some(2), "{message}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "earlier");
}

#[test]
fn runs_are_compared_and_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path();
    let first = run(runs, (0..10).flat_map(step));
    let slower = (0..10).flat_map(step).map(|mut row| {
        if row.name == "link" {
            row.duration_ns += 5 * MS;
        }
        row
    });
    let second = run(runs, slower);
    let text = printed(runs, &["compare", &first, &second]);
    assert!(
        text.contains("10 traces that both runs have are compared in pairs"),
        "{text}"
    );
    let line = text
        .lines()
        .find(|line| line.starts_with("link"))
        .expect("a line of links");
    assert!(line.ends_with("slower"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");

    for format in ["otlp-json", "jaeger", "perfetto"] {
        let file = runs.join(format);
        let path = file.display().to_string();
        let on_stdout = printed(runs, &["export", &first, "--format", format]);
        assert_eq!(
            printed(runs, &["export", &first, "--format", format, "--output", &path]),
            ""
        );
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), on_stdout);
        let one = printed(runs, &["export", &first, "--format", format, "--trace", "step:3"]);
        assert!(one.contains("ab03") && !one.contains("ab04"), "{format}");
    }
}

#[test]
fn traces_and_runs_that_do_not_exist_are_misuse() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path();
    let without = run(runs, Vec::new());
    let id = run(runs, (0..3).flat_map(step));

    let settings = Layout::new(runs.join(&without)).resolved();
    for (text, why) in [
        ("telemetry: {traces: off}", "its traces were off"),
        (
            "telemetry: {trace_share: 0}",
            "it recorded no share of the traces",
        ),
        (
            "telemetry: {trace_share: 0.5}",
            "none of its traces was among the share that it recorded (`telemetry: {trace_share: 0.5}`)",
        ),
        ("telemetry: [", "its settings cannot be read"),
    ] {
        std::fs::write(&settings, format!("{QUICKSTART}\n{text}\n")).expect("a file");
        let (status, message) = refused(runs, &["list", &without]);
        assert_eq!(status, Some(2));
        assert!(
            message.contains("has no spans: ") && message.contains(why),
            "{message}"
        );
    }
    let (status, message) = refused(runs, &["show", &id, "ffff"]);
    assert_eq!(status, Some(2));
    assert!(message.contains("the run has no trace `ffff`"), "{message}");
    let (status, message) = refused(runs, &["show", &id, "ab"]);
    assert_eq!(status, Some(2));
    assert!(message.contains("at least the first 4 digits"), "{message}");
    let (status, message) = refused(runs, &["show", &id, "step:9"]);
    assert_eq!(
        (status, message.contains("no trace `step:9`")),
        (Some(2), true),
        "{message}"
    );
}

#[test]
fn the_report_shows_the_slowest_steps() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path();
    let id = run(runs, (0..30).flat_map(step));
    let output = Command::new(env!("CARGO_BIN_EXE_mirror"))
        .args(["report", &id, "--json", "--runs-dir"])
        .arg(runs)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let traces = &report["traces"];
    assert_eq!(traces["slowest"].as_array().map(Vec::len), Some(20));
    let slow = &traces["slowest"][0];
    assert_eq!(slow["rules"], serde_json::json!(["slow/latency"]));
    assert_eq!(slow["critical_path"]["uids"][0]["uid"], 7);
    // `mirror trace critical-path` has the same figures.
    let path = printed(runs, &["critical-path", &id, "--all", "--json"]);
    let path: Value = serde_json::from_str(&path).expect("JSON");
    assert_eq!(traces["critical_path"], path);
}
