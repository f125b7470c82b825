//! Runs that are empty, in progress, of an older version, or full of HTML.

use std::collections::BTreeSet;
use std::fs;

use mirror_analysis::plots::PLOTS;
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{IncidentKind, Outcome, Record};
use mirror_runs::tables::Table;
use mirror_runs::{Run, neurons};
use mirror_test_support::Python;
use serde_json::{Value, json};

use crate::made_up::{event, failure, in_progress, incident, recorded, recorded_in, success, with_calls};
use crate::report::{by_name, reasons, report_and_page, report_of};
use crate::run;

/// Returns the records after a change of every call.
fn with_each_call(change: fn(&mut mirror_proto::mirror::v1::AxonCall)) -> Vec<Record> {
    let mut records = run::records(1);
    for record in &mut records {
        if let Some(Kind::Event(event)) = &mut record.kind {
            event.calls.iter_mut().for_each(change);
            event.best = None;
        }
    }
    records
}

/// Checks that every plot is drawn or has a reason, and that the plots `absent` have one.
#[track_caller]
fn assert_not_drawn(records: &[Record], absent: &[(&str, &str)]) {
    let recorded = recorded(records);
    let (report, page) = report_and_page(&recorded.run);
    let (drawn, reasons) = (by_name(&report), reasons(&report));
    for plot in PLOTS {
        assert!(
            drawn.contains_key(plot.name()) != reasons.contains_key(plot.name()),
            "{} is either drawn or has a reason",
            plot.name()
        );
    }
    for (name, reason) in absent {
        assert_eq!(reasons.get(name), Some(reason), "{name}");
    }
    // The data of the plots follows the texts and is packed: a number that is not finite has no JSON form.
    let ours = page
        .split("<script")
        .next()
        .expect("splitting yields a first part");
    assert!(
        ours.contains("</main>") && !ours.contains("NaN"),
        "the page contains no NaN"
    );
}

#[test]
fn a_run_without_an_event_has_no_plot() {
    let recorded = recorded(&[]);
    let report = report_of(&recorded.run);
    assert_eq!(by_name(&report).len(), 0, "{:?}", by_name(&report).keys());
    assert_eq!(reasons(&report).len(), PLOTS.len());
}

#[test]
fn one_event_gives_no_plot_of_one_bar_or_one_moment() {
    assert_not_drawn(
        &[with_calls(event(0, 0), vec![success(3, 0.5, 0.1)])],
        &[
            ("throughput", "all events started in one second"),
            ("call_rates", "fewer than two uids were called"),
            ("reward_histogram", "all uids have the same mean reward"),
            ("reward_against_cost", "only one uid received a reward"),
            ("average_score", "no event has scores of a gating model"),
            ("auc", "no event has scores of a gating model"),
            (
                "gating_loss",
                "no loss was recorded: the gating model was not trained",
            ),
            ("answers_alike", "no two uids answered in the same forward"),
            ("shared_completions", "fewer than two uids have a successful call"),
            ("message_rates", "no completion occurred twice"),
            ("gini_over_time", "the run ended before the chain's first epoch"),
        ],
    );
}

#[test]
fn a_run_in_which_all_calls_failed_has_no_rewards_and_no_completions() {
    let records = with_each_call(|call| *call = failure(call.uid, Outcome::Timeout, 4.0));
    assert_not_drawn(
        &records,
        &[
            ("smoothed_rewards_by_uid", "no call received a reward"),
            ("reward_lines", "no call received a reward"),
            ("reward_histogram", "no call received a reward"),
            ("reward_histogram_by_fifth", "no call received a reward"),
            ("reward_against_cost", "no call received a reward"),
            (
                "correlation",
                "no forward has several rewards of which the rewards and the scores differ",
            ),
            (
                "auc",
                "fewer than two fifths of the run have forwards with different rewards",
            ),
            ("answers_alike", "no two uids answered in the same forward"),
            (
                "first_of_equals",
                "no two uids gave equal completions in the same forward",
            ),
            ("message_rates", "no call succeeded"),
        ],
    );
}

#[test]
fn a_run_in_which_no_reward_is_a_number_has_completions_but_no_rewards() {
    let records = with_each_call(|call| call.reward = call.reward.map(|_| f32::NAN));
    assert_not_drawn(
        &records,
        &[
            ("rewards_by_uid", "no call received a reward"),
            ("smoothed_rewards_by_uid", "no call received a reward"),
            ("reward_lines", "no call received a reward"),
            ("reward_against_cost", "no call received a reward"),
        ],
    );
    let recorded = recorded(&records);
    let report = report_of(&recorded.run);
    for drawn in ["answers_alike", "message_rates", "scores_by_uid", "throughput"] {
        assert!(by_name(&report).contains_key(drawn), "{drawn}");
    }
}

#[test]
fn a_run_in_progress_has_the_plots_of_the_same_run_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let records = run::records(1);
    let ended = run::record(folder.path(), 1);
    let recorder = in_progress(folder.path(), &records, 50_000);
    neurons::save(&run::neurons(), recorder.layout()).unwrap();
    let running = Run::open(recorder.layout().root()).unwrap();
    let events = Table::named("events").expect("a run has events");
    let parts = running.table_files(&events).unwrap().len();
    assert!(parts > 3, "{parts} parts");
    let (running, ended) = (report_of(&running), report_of(&ended));
    assert_eq!(running["state"], "running");
    assert_eq!(running["plots"], ended["plots"]);
}

/// Removes a column from a table, as in a run of a version that did not record it.
fn remove_column(python: &Python, run: &Run, table: &str, column: &str) {
    let script = "
import pyarrow.parquet
table = pyarrow.parquet.read_table(data['file'])
pyarrow.parquet.write_table(table.drop_columns([data['column']]), data['file'])
result = None
";
    let file = run.layout().root().join(format!("{table}.parquet"));
    python.run(script, &json!({"file": file, "column": column}));
}

/// Removes a table, as in a run of a version that did not record it.
fn remove_table(run: &Run, table: &str) {
    fs::remove_file(run.layout().root().join(format!("{table}.parquet"))).unwrap();
    let manifest = run.layout().manifest();
    let mut content: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let rows = content["counts"]["rows"].as_object_mut();
    rows.expect("the manifest has counts")
        .remove(table)
        .expect("the table has a count");
    fs::write(&manifest, content.to_string()).unwrap();
}

/// Checks that exactly the plots `absent` are no longer drawn, and that those in `changed` alone are different.
#[track_caller]
fn assert_only_lacks(older: &Value, full: &Value, absent: &[&str], changed: &[&str]) {
    let (older, full) = (by_name(older), by_name(full));
    let lacks: BTreeSet<&str> = full
        .keys()
        .copied()
        .filter(|name| !older.contains_key(name))
        .collect();
    assert_eq!(lacks, absent.iter().copied().collect());
    for (name, plot) in older {
        if !changed.contains(&name) {
            assert_eq!(plot, full[name], "{name}");
        }
    }
}

#[test]
fn a_run_without_a_column_lacks_only_the_plots_of_that_column() {
    let Some(python) = Python::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let full = report_of(&run::record(folder.path(), 1));
    let check = |table: &str, column: &str, absent: &[&str], changed: &[&str]| {
        let run = run::record(folder.path(), 1);
        remove_column(&python, &run, table, column);
        let older = report_of(&Run::open(run.layout().root()).unwrap());
        assert_only_lacks(&older, &full, absent, changed);
    };
    let seconds = ["throughput", "call_rates", "message_rates"];
    check("events", "started_at", &seconds, &[]);
    // The duration of the run is then shorter by that of its last forward.
    check("events", "call_time", &["call_time"], &seconds);
    let scores = [
        "correlation",
        "auc",
        "scores_by_label",
        "scores_by_uid",
        "smoothed_scores_by_uid",
        "average_score",
        "score_histogram",
        "score_histogram_by_fifth",
    ];
    check("events", "scores", &scores, &[]);
    check("responses", "size", &["reward_against_cost"], &[]);
    check("responses", "latency", &["first_of_equals"], &[]);
    let trust = ["validator_trust_by_label", "validator_trust_by_validator"];
    check("epochs", "validator_trust", &trust, &["trust_by_uid"]);
}

#[test]
fn a_run_without_a_table_lacks_only_the_plots_of_that_table() {
    let folder = tempfile::tempdir().unwrap();
    let full = report_of(&run::record_with_spans(folder.path(), 1));
    let check = |table: &str, absent: &[&str]| {
        let run = run::record_with_spans(folder.path(), 1);
        remove_table(&run, table);
        let older = report_of(&Run::open(run.layout().root()).unwrap());
        assert_only_lacks(&older, &full, absent, &[]);
    };
    check("spans", &["critical_path_by_phase", "critical_path_by_uid"]);
    check("losses", &["gating_loss"]);
    check("parameters", &["gradient_norms"]);
    check("weights", &["weights_by_uid"]);
    let of_epochs = [
        "pay_by_label",
        "dividends_by_label",
        "validator_trust_by_label",
        "incentive_by_label",
        "incentive_by_uid",
        "consensus_by_uid",
        "gini_over_time",
        "trust_by_uid",
        "dividends_by_validator",
        "validator_trust_by_validator",
        "pay_against_calls",
    ];
    check("epochs", &of_epochs);
}

const BREAKING: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- \u{2028} {{ title }}";

#[test]
fn html_in_every_text_of_a_run_is_not_executed() {
    let folder = tempfile::tempdir().unwrap();
    let mut hostile = run::records(1);
    for record in &mut hostile {
        if let Some(Kind::Event(event)) = &mut record.kind {
            event.validator = format!("{BREAKING}{}", event.validator);
            event.message = format!("{BREAKING}{}", event.message);
            for call in &mut event.calls {
                call.completion.insert_str(0, BREAKING);
                call.return_message = BREAKING.to_owned();
            }
            for parameter in &mut event.parameters {
                parameter.name.insert_str(0, BREAKING);
            }
        }
        if let Some(Kind::Weights(weights)) = &mut record.kind {
            weights.validator.insert_str(0, BREAKING);
        }
    }
    hostile.push(incident(BREAKING, IncidentKind::Exited, BREAKING, 0, BREAKING));
    let hostile = recorded_in(folder.path(), &hostile);
    let mut labels = run::neurons();
    for neuron in &mut labels {
        neuron.label.insert_str(0, BREAKING);
        neuron.role = BREAKING.to_owned();
    }
    neurons::save(&labels, hostile.layout()).unwrap();
    let benign = run::record(folder.path(), 1);

    let ((report, hostile), (expected, benign)) = (report_and_page(&hostile), report_and_page(&benign));
    let names = |report: &Value| -> Vec<String> { by_name(report).into_keys().map(str::to_owned).collect() };
    assert_eq!(names(&report), names(&expected));
    assert!(!hostile.contains("<script>alert"));
    assert!(!hostile.contains("<img"));
    for tag in ["<script", "</script", "<!--"] {
        assert_eq!(hostile.matches(tag).count(), benign.matches(tag).count(), "{tag}");
    }
}
