//! Tests of imports: what files contain is in the tables of the run, and what was left out is counted.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use mirror_event_log::{ImportError, Imported, import};
use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{AxonCall, ForwardEvent, Outcome, Purpose, Record};
use mirror_runs::view::{COLUMNS, Event, events, write_csv, write_json_lines};
use mirror_runs::{Ended, NewRun, Recorder, Run, RunDirectory, State};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Imports files of the given contents, named `0.log`, `1.log` and so on.
fn imported(contents: &[&[u8]]) -> (TempDir, Result<Imported, ImportError>) {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> = (0..contents.len())
        .map(|number| folder.path().join(format!("{number}.log")))
        .collect();
    for (file, content) in files.iter().zip(contents) {
        fs::write(file, content).expect("the file is written");
    }
    let imported = import(&files, &folder.path().join("runs"), "log");
    (folder, imported)
}

/// Returns the events of an import, and its findings as lines.
#[track_caller]
fn read(contents: &[&[u8]]) -> (Vec<Event>, Vec<String>) {
    let (_folder, imported) = imported(contents);
    let imported = imported.expect("an import");
    let run = Run::open(imported.layout.root()).expect("the run opens");
    assert_eq!(run.state(), State::Done);
    let events: Vec<Event> = events(&run)
        .expect("a view")
        .map(|event| event.expect("an event"))
        .collect();
    assert_eq!(events.len() as u64, imported.events);
    (
        events,
        imported.findings.iter().map(ToString::to_string).collect(),
    )
}

/// Returns a record of loguru with the event `extra`.
fn record(extra: &Value) -> String {
    let record = json!({
        "text": "a text",
        "record": {"extra": extra, "level": {"name": "EVENTS"}, "time": {"timestamp": 1_795_828_621.5}},
    });
    format!("{record}\n")
}

fn extra(number: u32) -> Value {
    json!({
        "completion": "a long enough answer",
        "prompt": format!("question {number}"),
        "uids": [7, 3],
        "rewards": [0.5, 0.25],
        "scores": [0.125, 0.5],
        "all_uids": [3, 5, 7],
        "all_completions": ["another long answer", "short", "a long enough answer"],
        "block": 2_800_000 + number,
    })
}

fn log(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| record(&extra(number))).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("the content is compressed");
    encoder.finish().expect("the content is compressed")
}

#[test]
fn the_fields_of_a_record_become_an_event() {
    let (events, findings) = read(&[log(0..2).as_bytes()]);
    assert_eq!(findings, [""; 0]);
    let event = &events[1];
    assert_eq!(event.completion.as_deref(), Some("a long enough answer"));
    assert_eq!(
        (event.message.as_str(), event.block, event.step, event.step_sub),
        ("question 1", 2_800_001, 1, 0)
    );
    // `uids` is not in the order of `all_uids`, so that the successful calls are first.
    assert_eq!(
        (&event.uids, &event.rewards),
        (&vec![7, 3], &vec![Some(0.5), Some(0.25)])
    );
    assert_eq!(event.all_uids, [7, 3, 5]);
    assert_eq!(
        event.all_completions,
        ["a long enough answer", "another long answer", "short"]
    );
    assert_eq!(event.scores, [0.125, 0.5]);
    assert!(event.call_time.is_nan());
}

#[test]
fn outcomes_times_and_unknown_values_are_in_the_tables() {
    use mirror_runs::tables::{EventRow, ResponseRow};
    let mut event = extra(0);
    event["all_uids"] = json!([7, 3, 5, 6, 8]);
    event["all_completions"] = json!([
        "a long enough answer",
        "another long answer",
        "short",
        "",
        "longer than ten"
    ]);
    event["rewards"] = json!([f64::NAN, 0.25]);
    let with_nan = record(&event).replace("[null,0.25]", "[NaN,0.25]");
    let (_folder, imported) = imported(&[with_nan.as_bytes()]);
    let run = Run::open(imported.expect("an import").layout.root()).expect("the run opens");
    let calls: Vec<ResponseRow> = run.rows().expect("rows").map(|row| row.expect("a row")).collect();
    let outcomes: Vec<&str> = calls.iter().map(|call| call.outcome.as_str()).collect();
    assert_eq!(
        outcomes,
        ["success", "success", "too short", "empty", "unspecified"]
    );
    assert!(calls.iter().all(|call| call.latency.is_nan()));
    assert!(calls[0].reward.expect("a reward").is_nan());
    let events: Vec<EventRow> = run.rows().expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(events[0].started_at, 1_795_828_621.5);
    assert_eq!((events[0].best_uid, events[0].unjudged), (Some(7), 1));
}

#[test]
fn completions_belong_to_the_list_of_their_length() {
    let mut of_uids = extra(0);
    of_uids["all_completions"] = json!(["a long enough answer", "another long answer"]);
    let mut of_none = extra(1);
    of_none["all_completions"] = json!(["a long enough answer"]);
    let (events, findings) = read(&[(record(&of_uids) + &record(&of_none)).as_bytes()]);
    assert_eq!(
        events[0].all_completions,
        ["a long enough answer", "another long answer", ""]
    );
    assert_eq!(events[0].completion.as_deref(), Some("a long enough answer"));
    assert_eq!(events[1].all_completions, ["", "", ""]);
    assert_eq!(events[1].completion, None);
    assert!(
        findings[0].starts_with("1 event read without completions"),
        "{findings:?}"
    );
    assert!(findings[0].ends_with("at 0.log:2"), "{findings:?}");
    assert!(
        findings[1].starts_with("1 event read without a best completion"),
        "{findings:?}"
    );
}

/// The code of version 4 writes the completions in the order of `all_uids`, and some logs have that of `uids`.
#[test]
fn completions_that_could_belong_to_either_list_are_left_out() {
    let mut of_both = extra(0);
    of_both["all_uids"] = json!([3, 7]);
    of_both["all_completions"] = json!(["another long answer", "a long enough answer"]);
    let mut of_one_order = of_both.clone();
    of_one_order["uids"] = json!([3, 7]);
    let (events, findings) = read(&[(record(&of_both) + &record(&of_one_order)).as_bytes()]);
    assert_eq!(events[0].all_uids, [7, 3]);
    assert_eq!(events[0].rewards, [Some(0.5), Some(0.25)]);
    assert_eq!(events[0].all_completions, ["", ""]);
    assert_eq!(
        events[1].all_completions,
        ["another long answer", "a long enough answer"]
    );
    let expected = "1 event read without completions: `uids` and `all_uids` have the same length but different \
                    orders, so that `all_completions` could belong to either, at 0.log:1";
    assert_eq!(findings[0], expected);
}

#[test]
fn a_step_or_forward_index_that_is_too_large_is_left_out() {
    let with = |step: u64, step_sub: u64| {
        let mut event = extra(0);
        event["step"] = json!(step);
        event["step_sub"] = json!(step_sub);
        record(&event)
    };
    let lines = [
        with(1, 65_536),
        with(1 << 53, 0),
        with((1 << 53) - 1, 65_535),
        // The next forward index and the next step would be too large.
        with((1 << 53) - 1, 0).replace(",\"step_sub\":0", ""),
        record(&extra(0)),
        with(0, 0),
    ];
    let (events, findings) = read(&[lines.concat().as_bytes()]);
    let places: Vec<(u64, u32)> = events.iter().map(|event| (event.step, event.step_sub)).collect();
    assert_eq!(places, [((1 << 53) - 1, 65_535)]);
    let expected = [
        "1 event left out: `step` cannot be read with certainty, at 0.log:2",
        "1 event left out: `step_sub` cannot be read with certainty, at 0.log:1",
        "3 events left out: the step is too large, at 0.log:4, 0.log:5, 0.log:6",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn the_last_row_of_csv_needs_no_end_if_it_has_all_cells() {
    let header = "message,uids,rewards,validator\n";
    let first = "message 0,[1],[0.5],\"a\nb\"\n";
    let messages = |last: &str| {
        let (events, findings) = read(&[format!("{header}{first}{last}").as_bytes()]);
        let messages: Vec<String> = events.into_iter().map(|event| event.message).collect();
        (messages, findings)
    };
    let none: [&str; 0] = [];
    for whole in ["message 1,[1],[0.5],", "message 1,[1],[0.5],\"a\nb\""] {
        let (messages, findings) = messages(whole);
        assert_eq!(messages, ["message 0", "message 1"]);
        assert_eq!(findings, none, "{whole}");
    }
    for torn in ["message 1,[1],[0.5]", "message 1,[1],[0.5],\"a"] {
        let (messages, findings) = messages(torn);
        assert_eq!(messages, ["message 0"]);
        assert_eq!(
            findings,
            ["1 last line left out: incomplete, at 0.log:4"],
            "{torn}"
        );
    }
    let (messages, findings) = messages("message 1,[1],[0.5],a,b");
    assert_eq!(messages, ["message 0"]);
    assert!(
        findings[0].starts_with("1 line left out: not the start of a row"),
        "{findings:?}"
    );
}

#[test]
fn what_is_left_out_is_counted_by_reason_with_its_place() {
    let with = |field: &str, value: Value| {
        let mut event = extra(0);
        event[field] = value;
        record(&event)
    };
    let lines = [
        record(&extra(0)),
        "garbage\n".to_owned(),
        record(&json!({})),
        with("rewards", json!([1])),
        with("uids", json!([7, 7])),
        with("uids", json!([7, 9])),
        with("uids", json!([7, 65_536])),
        with("uids", json!([7, -3])),
        with("scores", json!(["0.5", 1])),
        with("prompt", json!(["a"])),
        format!("{{\"a\":{}}}\n", "[".repeat(1_000)),
        record(&extra(1)),
    ];
    let mut content: Vec<u8> = lines.concat().into();
    content.extend_from_slice(b"{\"a\": \"\xff\"}\n");
    content.extend_from_slice(&record(&extra(2)).as_bytes()[..100]);
    let (events, findings) = read(&[&content]);
    let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["question 0", "question 1"]);
    let expected = [
        "1 line left out: not UTF-8, at 0.log:13",
        "1 line left out: not a JSON object, at 0.log:2",
        "1 last line left out: incomplete, at 0.log:14",
        "1 line left out: lists of more than 65,536 values, or nested too deeply, at 0.log:11",
        "1 line left out: no event (it has `uids` or `all_uids`, and `prompt` or `message`), at 0.log:3",
        "1 event left out: `prompt` cannot be read with certainty, at 0.log:10",
        "1 event left out: `scores` cannot be read with certainty, at 0.log:9",
        "2 events left out: `uids` cannot be read with certainty, at 0.log:7, 0.log:8",
        "1 event left out: `rewards` and `uids` have different lengths, at 0.log:4",
        "1 event left out: a uid occurs twice in a list, at 0.log:5",
        "1 event left out: a uid of `uids` is not in `all_uids`, at 0.log:6",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn files_without_an_event_are_an_error_and_leave_no_run() {
    for (content, expected) in [
        ("", "found no line at all"),
        ("hello\n", "neither a JSON object nor the header of a CSV file"),
        ("{\"level\": \"INFO\"}\n", "found 1 line left out: no event"),
        ("message,uids\n", "found no line at all"),
    ] {
        let (folder, imported) = imported(&[content.as_bytes()]);
        let error = imported.expect_err("no event").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!folder.path().join("runs").exists());
    }
}

#[test]
fn a_gzip_file_that_is_cut_off_is_read_up_to_the_last_complete_line() {
    let compressed = gzip(log(0..2_000).as_bytes());
    let (events, findings) = read(&[&compressed[..compressed.len() / 2]]);
    assert!((900..1_100).contains(&events.len()), "{}", events.len());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.message, format!("question {number}"));
    }
    let line = events.len() + 1;
    let expected = "1 compressed file is cut off or damaged: only the complete lines were read, at 0.log";
    assert_eq!(findings, [format!("{expected}:{line}")]);
}

#[test]
fn several_files_are_numbered_onwards() {
    let (events, findings) = read(&[log(0..2).as_bytes(), &gzip(log(2..4).as_bytes())]);
    let steps: Vec<(u64, &str)> = events
        .iter()
        .map(|event| (event.step, event.message.as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            (0, "question 0"),
            (1, "question 1"),
            (2, "question 2"),
            (3, "question 3")
        ]
    );
    assert_eq!(findings, [""; 0]);
    let of_step = |step: u64, step_sub: u32| {
        let mut event = extra(0);
        event["step"] = json!(step);
        event["step_sub"] = json!(step_sub);
        record(&event)
    };
    let file = of_step(0, 0) + &of_step(0, 1) + &of_step(1, 0);
    let (events, findings) = read(&[file.as_bytes(), file.as_bytes()]);
    let places: Vec<(u64, u32)> = events.iter().map(|event| (event.step, event.step_sub)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0)]);
    let expected =
        "1 time, the steps do not ascend: the steps from there on were numbered onwards, at 1.log:1";
    assert_eq!(findings, [expected]);
}

/// CSV as pandas writes it: an index, lists as Python prints them, `True`, and integers as floats.
#[test]
fn csv_of_pandas_is_read() {
    let csv = "\u{feff},completion,message,uids,rewards,scores,all_uids,all_completions,block,is_question,call_time,step\r\n\
        0,it's \"\"long\"\" enough,What?,\"[2, 1]\",\"[0.5, nan]\",\"tensor([0.1000, 0.2000])\",\"[2, 1, 3]\",\
        \"['it\\'s long\\nenough', \"\"it's long enough\"\", None]\",7.0,True,1.5,0\r\n\
        1,,\"two\nlines\",[],[],[0.1 0.2],\"[2, 1, 3]\",\"['', '', '']\",8.0,False,,1\r\n\
        2,,x,[],[],[0.1 ... 0.2],\"[2, 1, 3]\",\"['', '', '']\",9.0,False,,2\r\n\
        3,,x,[],[],\r\n\
        4,,y,[],[],[1],[2],[''],10.0,False,,3\r\n\
        5,,z,[],[],[1],[2],[''],10.0";
    let (events, findings) = read(&[csv
        .replace("it's \"\"long\"\" enough", "it's long enough")
        .as_bytes()]);
    assert_eq!(events[0].completion.as_deref(), Some("it's long enough"));
    assert_eq!(events[0].uids, [2, 1]);
    assert_eq!(events[0].rewards[0], Some(0.5));
    assert!(events[0].rewards[1].expect("a reward").is_nan());
    assert_eq!(events[0].scores, [0.1, 0.2]);
    assert_eq!(
        events[0].all_completions,
        ["it's long\nenough", "it's long enough", ""]
    );
    assert_eq!(
        (events[0].block, events[0].is_question, events[0].call_time),
        (7, true, 1.5)
    );
    assert_eq!(events[1].message, "two\nlines");
    assert_eq!(
        (events[1].block, events[2].step, events[2].message.as_str()),
        (8, 3, "y")
    );
    let expected = [
        "1 last line left out: incomplete, at 0.log:8",
        "1 line left out: not the start of a row with the columns of the header, at 0.log:6",
        "1 event left out: `scores` cannot be read with certainty, at 0.log:5",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn a_stray_quotation_mark_costs_one_line() {
    let row = |number: u32| format!("message {number},[1],[0.5],\"a\nb\"\n");
    let csv = format!(
        "message,uids,rewards,completion\n{}a \" b\n{}{}",
        row(0),
        row(1),
        row(2)
    );
    let (events, findings) = read(&[csv.as_bytes()]);
    let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["message 0", "message 1", "message 2"]);
    assert!(
        findings[0].starts_with("1 line left out: not the start of a row"),
        "{findings:?}"
    );
    assert!(findings[0].ends_with("at 0.log:4"), "{findings:?}");
}

#[test]
fn hostile_lines_are_left_out() {
    let mut content = log(0..1).into_bytes();
    content.extend(std::iter::repeat_n(b'x', 100 << 20));
    content.push(b'\n');
    content.extend(format!("{{\"a\":{}1]}}\n", "[1,".repeat(1_000_000)).into_bytes());
    content.extend(format!("{{\"uids\":[{}1],\"prompt\":\"\"}}\n", "1,".repeat(8_000_000)).into_bytes());
    content.extend(format!("{{\"uids\":[{}1],\"prompt\":\"\"}}\n", "1,".repeat(10_000_000)).into_bytes());
    content.extend(log(1..2).into_bytes());
    let (events, findings) = read(&[&content]);
    assert_eq!(events.len(), 2);
    let expected = [
        "2 lines left out: longer than 16 MiB, at 0.log:2, 0.log:5",
        "2 lines left out: lists of more than 65,536 values, or nested too deeply, at 0.log:3, 0.log:4",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn the_same_files_are_imported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, runs) = (folder.path().join("a.log"), folder.path().join("runs"));
    fs::write(&file, log(0..2) + "garbage\n").expect("the file is written");
    let import = || import(std::slice::from_ref(&file), &runs, "a.log").expect("an import");
    let (first, second) = (import(), import());
    assert!(first.is_new && !second.is_new);
    assert_eq!(first.layout, second.layout);
    assert_eq!((first.events, &first.findings), (second.events, &second.findings));
    fs::write(&file, log(0..3)).expect("the file is written");
    let third = import();
    assert!(third.is_new);
    assert_eq!(third.events, 3);
    let manifest = Run::open(third.layout.root())
        .expect("the run opens")
        .manifest()
        .clone();
    assert_eq!(
        (manifest.job_type.as_str(), manifest.tags),
        ("import", vec!["imported".to_owned()])
    );
    assert!(manifest.notes.expect("notes").contains("a.log"));
}

/// Records a run with `events`.
fn recorded(runs: &Path, events: Vec<ForwardEvent>) -> Run {
    let directory = RunDirectory::create(runs, &NewRun::default()).expect("a directory");
    let path = directory.layout().root().to_owned();
    let mut recorder = Recorder::start(directory, Recorder::SEGMENT_BYTES).expect("a recorder");
    let records = events.into_iter().map(|event| Record {
        kind: Some(Kind::Event(event)),
    });
    let records: Vec<Record> = records.collect();
    recorder.append(&records).expect("the events are recorded");
    recorder.finish(Ended::Done).expect("the run ends");
    Run::open(path).expect("the run opens")
}

fn call(uid: u32) -> impl Strategy<Value = AxonCall> {
    let reward = prop_oneof![any::<f32>(), Just(f32::NAN), Just(f32::INFINITY)];
    let success = ("\\PC{11,20}[\n\",'\\\\]{0,2}", reward)
        .prop_map(|(text, reward)| (Outcome::Success, text, Some(reward)));
    let failure = "[ -~\n]{0,10}".prop_map(|text| {
        let outcome = if text.is_empty() {
            Outcome::Empty
        } else {
            Outcome::TooShort
        };
        (outcome, text, None)
    });
    prop_oneof![success, failure].prop_map(move |(outcome, completion, reward)| AxonCall {
        uid,
        outcome: outcome.into(),
        size: completion.len() as u64,
        completion,
        reward,
        latency: 0.25,
        ..AxonCall::default()
    })
}

/// Returns an event whose best call has the highest reward.
fn event(step: u64, forward_index: u32) -> impl Strategy<Value = ForwardEvent> {
    let calls = prop::sample::subsequence((0..20_u32).collect::<Vec<_>>(), 0..8)
        .prop_shuffle()
        .prop_flat_map(|uids| uids.into_iter().map(call).collect::<Vec<_>>());
    let message = "[\\PC\n\r\"',\\\\]{0,30}";
    let scores = prop::collection::vec(any::<f32>(), 0..6);
    let numbers = (
        any::<u64>(),
        any::<bool>(),
        any::<f64>(),
        any::<bool>(),
        any::<bool>(),
    );
    (calls, message, scores, numbers).prop_map(move |(calls, message, scores, numbers)| {
        let (block, is_question, call_time, is_first, is_manual) = numbers;
        let is_success = |call: &&AxonCall| call.outcome == i32::from(Outcome::Success);
        let order = |call: &AxonCall| {
            call.reward
                .filter(|reward| !reward.is_nan())
                .unwrap_or(f32::NEG_INFINITY)
        };
        let best = calls
            .iter()
            .filter(is_success)
            .max_by(|one, other| order(one).total_cmp(&order(other)));
        let best = best.and_then(|best| calls.iter().position(|call| call.uid == best.uid));
        let purpose = if is_manual {
            Purpose::Manual
        } else {
            Purpose::Query
        };
        ForwardEvent {
            validator: format!("validator-{}", u8::from(is_first)),
            purpose: purpose.into(),
            step,
            forward_index,
            block,
            is_question,
            message,
            scores,
            best: best.map(|best| best as u32),
            calls,
            call_time,
            ..ForwardEvent::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The exports of an import are those of the run, as CSV and as JSON lines. Numbers that are not finite are missing
    /// in an export.
    #[test]
    fn an_export_can_be_imported_and_exported_again(
        events in (0..4_u64, 0..3_u32).prop_flat_map(|(steps, indices)| {
            let places = (0..=steps).flat_map(|step| (0..=indices).map(move |index| event(step, index)));
            places.collect::<Vec<_>>()
        })
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let run = recorded(&folder.path().join("first"), events);
        let exported = |run: &Run| {
            let (mut csv, mut json) = (Vec::new(), Vec::new());
            write_csv(run, &COLUMNS, &mut csv).expect("an export");
            write_json_lines(run, &COLUMNS, &mut json).expect("an export");
            [String::from_utf8(csv).expect("UTF-8"), String::from_utf8(json).expect("UTF-8")]
        };
        let exports = exported(&run);
        for (name, content) in ["events.csv", "events.jsonl"].into_iter().zip(&exports) {
            let file = folder.path().join(name);
            fs::write(&file, content).expect("the file is written");
            let imported = import(&[file], &folder.path().join(name.replace('.', "-")), name).expect("an import");
            prop_assert_eq!(&imported.findings, &vec![]);
            let again = Run::open(imported.layout.root()).expect("the run opens");
            prop_assert_eq!(&exported(&again), &exports);
        }
    }

    /// Garbage between the lines of a log, a torn last line and a cut anywhere leave all complete lines as they are.
    #[test]
    fn garbage_and_cuts_leave_the_other_lines(
        garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut content = Vec::new();
        let mut ends = Vec::new();
        for (number, garbage) in (0..5).zip(garbage) {
            content.extend(record(&extra(number)).into_bytes());
            ends.push(content.len());
            content.extend(garbage.into_iter().filter(|byte| !b"\n{".contains(byte)));
            content.push(b'\n');
        }
        let cut = ends[0] + cut.index(content.len() - ends[0]);
        // A line without its end is complete if it is a JSON object.
        let complete = ends.iter().filter(|end| **end - 1 <= cut).count();
        let (events, _) = read(&[&content[..cut]]);
        let messages: Vec<String> = events.iter().map(|event| event.message.clone()).collect();
        let expected: Vec<String> = (0..complete).map(|number| format!("question {number}")).collect();
        prop_assert_eq!(messages, expected);
    }
}
