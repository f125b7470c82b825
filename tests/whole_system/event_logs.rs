//! Tests of analyses that require event logs of a validator. The logs in `fixtures/event-logs` have the form in which a
//! validator of Bittensor's version 4 writes them: loguru's JSON lines, rotated and compressed, the last line torn.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use mirror_runs::tables::EventRow;
use mirror_runs::view::{self, Event};
use mirror_runs::{Run, State};
use mirror_tests::{Output, TestEnv, rows};
use serde_json::Value;

const LOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/event-logs");
const ROTATED: &str = "completions.2026-11-28_01-17-01_069252.log.gz";

/// Returns a test environment with the logs in its working directory.
fn with_logs() -> TestEnv {
    let env = TestEnv::new();
    for entry in fs::read_dir(LOGS).expect("the logs") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::copy(&path, env.path().join(name)).expect("the log is copied");
    }
    env
}

/// Runs a file that must succeed.
#[track_caller]
fn reported(env: &TestEnv, file: &str) -> Output {
    let ended = env.mirror(&["run", file]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    ended
}

/// Opens the only run, which must have a report.
#[track_caller]
fn only_run(env: &TestEnv) -> Run {
    let listed = mirror_runs::runs(env.runs_dir()).expect("the runs are listed");
    let [only] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    let run = Run::open(&only.path).expect("the run opens");
    assert_eq!(run.state(), State::Done);
    assert!(run.layout().report().exists());
    run
}

/// Returns the fields of the events in complete lines of a log, read independently of this project.
fn logged(text: &str) -> Vec<Value> {
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.map(|record| record["record"].clone()).collect()
}

fn uids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("uids")
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).expect("numbers")
}

/// Checks that the tables of a run contain the events of a log.
#[track_caller]
fn contains(run: &Run, log: &[Value]) {
    let events: Vec<Event> = view::events(run)
        .expect("a view")
        .map(|event| event.expect("an event"))
        .collect();
    let starts: Vec<f64> = rows(run).iter().map(|row: &EventRow| row.started_at).collect();
    assert_eq!(events.len(), log.len());
    for (step, ((event, record), start)) in events.iter().zip(log).zip(starts).enumerate() {
        let extra = &record["extra"];
        assert_eq!(event.step, step as u64);
        assert_eq!(event.message, extra["prompt"]);
        assert_eq!(event.completion.as_deref(), extra["completion"].as_str());
        assert_eq!(event.uids, uids(&extra["uids"]));
        let rewards: Vec<f32> = event
            .rewards
            .iter()
            .map(|reward| reward.expect("a reward"))
            .collect();
        assert_eq!(rewards, floats(&extra["rewards"]));
        assert_eq!(event.scores, floats(&extra["scores"]));
        let mut all_uids = event.all_uids.clone();
        all_uids.sort_unstable();
        assert_eq!(all_uids, uids(&extra["all_uids"]));
        let completions: Vec<&str> = event.all_completions[..event.uids.len()]
            .iter()
            .map(String::as_str)
            .collect();
        assert_eq!(serde_json::json!(completions), extra["all_completions"]);
        assert_eq!(event.block, extra["block"]);
        assert_eq!(start, record["time"]["timestamp"]);
    }
}

fn text_of(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).expect("the log opens");
    let read = if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(file).read_to_string(&mut text)
    } else {
        (&file).read_to_string(&mut text)
    };
    read.expect("the log is read");
    text
}

#[test]
fn a_log_with_a_torn_line_is_reported_on() {
    let env = with_logs();
    let checked = env.mirror(&["check", "x.yml"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    assert_eq!(checked.out, "x.yml is valid: 1 event log\n");
    let ended = reported(&env, "x.yml");
    assert!(
        ended.err.contains("imported 5 events of completions.log: "),
        "{ended:?}"
    );
    let torn = "completions.log: 1 last line left out: incomplete, at completions.log:6\n";
    let rotated = "completions.log: 2 rotated files of completions.log are in the same folder and are not read: \
                   `completions.*log*` reads all of them\n";
    for line in [torn, rotated] {
        assert!(ended.err.contains(line), "{ended:?}");
    }
    let log = logged(&text_of(&env.path().join("completions.log")));
    assert_eq!(log.len(), 5);
    contains(&only_run(&env), &log);

    let again = reported(&env, "x.yml");
    assert!(
        again
            .err
            .contains("imported before 5 events of completions.log: "),
        "{again:?}"
    );
    only_run(&env);
}

#[test]
fn a_compressed_log_is_reported_on() {
    let env = with_logs();
    reported(&env, "gz.yml");
    contains(&only_run(&env), &logged(&text_of(&env.path().join(ROTATED))));
}

#[test]
fn a_pattern_relative_to_the_experiment_file_reads_all_logs_in_order() {
    let env = with_logs();
    let file = env.file(
        "folder/all.yml",
        "analysis: {requires: ['../completions.*log*']}\n",
    );
    reported(&env, file);
    let names = [
        ROTATED,
        "completions.2026-11-28_01-17-01_126121.log.gz",
        "completions.log",
    ];
    let log: Vec<Value> = names
        .iter()
        .flat_map(|name| logged(&text_of(&env.path().join(name))))
        .collect();
    assert!(log.len() > 30, "{}", log.len());
    contains(&only_run(&env), &log);
}

#[test]
fn a_missing_log_is_an_error_at_its_place() {
    let env = with_logs();
    let file = env.file("missing.yml", "analysis: {requires: [completion.log]}\n");
    for command in ["check", "run"] {
        let ended = env.mirror(&[command, file]);
        assert_eq!(ended.status, Some(2), "{ended:?}");
        for expected in [
            "missing.yml:1:23: error: `completion.log` in `analysis.requires`: no file completion.log",
            "help: did you mean `completions.log`?",
        ] {
            assert!(ended.err.contains(expected), "{ended:?}");
        }
    }
    env.file("completion.log", "{\"level\": \"INFO\"}\n");
    let empty = env.mirror(&["run", file]);
    assert_eq!(empty.status, Some(2), "{empty:?}");
    assert!(empty.err.contains("no event in completion.log"), "{empty:?}");
    assert!(!env.runs_dir().exists());
}

/// Several entries of `requires` are one analysis: its report has the events of all logs, one after the other.
#[test]
fn several_logs_are_one_analysis() {
    let env = with_logs();
    let file = env.file(
        "two.yml",
        format!(
            "analysis:\n  id: two\n  requires: [completions.log, {ROTATED}]\n  create_features: {{completion: \
             [num_words]}}\n  plot: {{rewards: [num_words, path]}}\n"
        ),
    );
    let ended = env.mirror(&["run", file, "--json"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(env.runs_dir().join("two-analysis/report.html").exists());
    let report: Value = serde_json::from_str(&ended.out).expect("the report is JSON");
    let plot = |name: &str| {
        let plots = report["plots"].as_array().expect("the report has plots");
        plots
            .iter()
            .find(|plot| plot["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let rewards = |values: &Value| -> Vec<f32> {
        let values = values.as_array().expect("a list").iter();
        values
            .map(|value| value.as_f64().expect("a number") as f32)
            .collect()
    };
    let mut expected: Vec<f32> = Vec::new();
    let mut events = 0;
    for log in ["completions.log", ROTATED] {
        for record in logged(&text_of(&env.path().join(log))) {
            expected.extend(floats(&record["extra"]["rewards"]));
            events += 1;
        }
    }
    let mut found = rewards(&plot("rewards_by_num_words")["traces"][0]["y"]);
    found.sort_by(f32::total_cmp);
    expected.sort_by(f32::total_cmp);
    assert_eq!(found, expected);
    let paths = &plot("rewards_by_path")["traces"][0]["x"];
    let paths: std::collections::BTreeSet<&str> = paths
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(paths.len(), 2, "the column path has the runs: {paths:?}");
    let totals = report["totals"].as_array().expect("the report has totals");
    let of_events = totals
        .iter()
        .find(|total| total["name"] == "events")
        .expect("events");
    assert_eq!(of_events["number"], events.to_string());
}
