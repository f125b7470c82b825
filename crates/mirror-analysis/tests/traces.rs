//! Tests of the traces in a report: the slowest steps, critical paths, links to traces, and counts of spans.

mod made_up;

use made_up::spans::{
    MS, call, recorded_with_spans, recorded_with_spans_in, slowed_step, step, trace_id, trace_id_text,
};
use made_up::{Recorded, embedded_figures, event, recorded, success, training, with_calls};
use mirror_analysis::{GroupData, Report, RunData, Summary};
use mirror_proto::mirror::v1::Record;
use mirror_runs::tables::SpanRow;
use mirror_runs::telemetry::Summary as Counts;
use mirror_runs::{Group, Layout, Run};
use serde_json::{Value, json};

/// The step in which the link to [`SLOWED_UID`] is slow.
const SLOWED_STEP: u64 = 17;
const SLOWED_UID: u32 = 3;

/// A complete experiment without settings of telemetry.
const QUICKSTART: &str = include_str!("../../../configs/quickstart.yml");

fn report_of(run: &Run) -> Report {
    let data = RunData::read(run).unwrap();
    Report::of_run(&data, &Summary::of(&data), run.layout())
}

fn as_json(run: &Run) -> Value {
    serde_json::to_value(report_of(run)).unwrap()
}

fn sentences(report: &Value) -> String {
    let sentences = report["traces"]["sentences"].as_array().unwrap().iter();
    let sentences: Vec<&str> = sentences
        .map(|sentence| sentence["text"].as_str().unwrap())
        .collect();
    sentences.join("\n")
}

fn events(steps: u64) -> Vec<Record> {
    let event_of = |step| {
        let mut event = event(step, 0);
        event.trace_id = trace_id(step).to_vec();
        with_calls(event, vec![success(0, 0.5, 0.1)])
    };
    (0..steps).map(event_of).collect()
}

/// Returns a step of `13 + number` ms that calls the uids 0 to 4. In one step, a link delays one of them by 300 ms.
fn step_of(number: u64) -> Vec<SpanRow> {
    let mut times = [10 + number; 5];
    if number == SLOWED_STEP {
        times[SLOWED_UID as usize] += 300;
        return slowed_step(number, &times, SLOWED_UID);
    }
    times[0] -= 1;
    step(number, &times)
}

/// Returns thirty steps, and an event after them without spans.
fn thirty_steps() -> Recorded {
    let spans: Vec<SpanRow> = (0..30).flat_map(step_of).collect();
    recorded_with_spans(&events(31), &spans, &Counts::default())
}

#[test]
fn the_step_with_a_slow_link_is_first_and_names_the_uid_and_the_rule() {
    let report = as_json(&thirty_steps().run);
    let slowest = report["traces"]["slowest"].as_array().unwrap();
    let steps: Vec<u64> = slowest
        .iter()
        .map(|slow| slow["step"].as_u64().unwrap())
        .collect();
    // The others are longer the later they are.
    let expected: Vec<u64> = [SLOWED_STEP]
        .into_iter()
        .chain((0..30).rev().filter(|step| *step != SLOWED_STEP))
        .take(20)
        .collect();
    assert_eq!(steps, expected);
    let first = &slowest[0];
    assert_eq!(first["seconds"], 0.330);
    assert_eq!(
        (&first["validator"], &first["uid"]),
        (&json!("validator-0"), &json!(16))
    );
    assert_eq!(first["rules"], json!(["slow/latency"]));
    assert_eq!(first["failures"], json!({}));
    let path = &first["critical_path"];
    assert_eq!(path["phases"][0]["phase"], "link");
    assert_eq!(path["phases"][0]["seconds"], 0.3);
    assert_eq!(path["uids"][0]["uid"], SLOWED_UID);
    let bars = first["bars"].as_array().unwrap();
    let marked: Vec<&Value> = bars.iter().filter(|bar| !bar["remark"].is_null()).collect();
    let names: Vec<&str> = marked.iter().map(|bar| bar["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dendrite.forward 3", "link 3"]);
    assert!(
        marked.iter().all(|bar| bar["remark"] == "rules: slow/latency"),
        "{marked:?}"
    );
    assert_eq!(marked[1]["waited"], 0.3);
    assert_eq!(
        (&marked[1]["start"], &marked[1]["seconds"]),
        (&json!(0.001), &json!(0.3))
    );

    let words = sentences(&report);
    assert!(
        words.contains("The slowest of 30 traced steps took 330.0 ms, step 17 of `validator-0`"),
        "{words}"
    );
    assert!(words.contains("in the phase `link`"), "{words}");
    assert!(words.contains("calls to uid 3"), "{words}");
    assert!(words.contains("`slow/latency`"), "{words}");
}

#[test]
fn the_charts_and_the_json_have_the_critical_paths_of_all_steps() {
    let recorded = thirty_steps();
    let report = as_json(&recorded.run);
    // 30 steps of 13 ms, plus 0 + 1 + … + 29 ms, and 300 ms of the link.
    let total = 30.0 * 0.013 + 0.435 + 0.3;
    let path = &report["traces"]["critical_path"];
    assert_eq!(path["traces"], 30);
    assert!((path["seconds"].as_f64().unwrap() - total).abs() < 1e-9);
    let plot = |name: &str| -> Value {
        let mut plots = report["plots"].as_array().unwrap().iter();
        let plot = plots
            .find(|plot| plot["name"] == name)
            .expect("the plot is drawn");
        plot.clone()
    };
    let phases = plot("critical_path_by_phase");
    let names: Vec<&str> = phases["traces"][0]["x"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let shares: Vec<f64> = phases["traces"][0]["y"]
        .as_array()
        .unwrap()
        .iter()
        .map(|share| share.as_f64().unwrap())
        .collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let share = |phase: &str| shares[names.iter().position(|name| *name == phase).unwrap()];
    assert!((share("link") - 0.3 / total).abs() < 1e-9);
    assert!((share("reward") - 30.0 * 0.002 / total).abs() < 1e-9);
    assert!(phases["note"].as_str().unwrap().contains("30 traced steps"));

    // Uids 1 to 4 end together in all steps but one.
    let uids = plot("critical_path_by_uid");
    let (waited, saved) = (&uids["traces"][0], &uids["traces"][1]);
    let place = waited["x"]
        .as_array()
        .unwrap()
        .iter()
        .position(|uid| uid == "3")
        .unwrap();
    assert!((saved["y"][place].as_f64().unwrap() - 0.3 / total).abs() < 1e-9);
    let of_json = path["uids"]
        .as_array()
        .unwrap()
        .iter()
        .find(|uid| uid["uid"] == 3);
    assert_eq!(of_json.unwrap()["share"], waited["y"][place]);

    let html = report_of(&recorded.run).to_html().unwrap();
    let drawn = embedded_figures(&html);
    for name in ["critical_path_by_phase", "critical_path_by_uid"] {
        assert!(drawn.iter().any(|figure| figure["name"] == name), "{name}");
    }
}

#[test]
fn an_event_links_to_its_waterfall_or_names_the_command_that_shows_it() {
    let recorded = thirty_steps();
    let report = report_of(&recorded.run);
    let html = report.to_html().unwrap();
    let json = serde_json::to_value(report).unwrap();
    let tables = json["tables"].as_array().unwrap();
    let events = tables.iter().find(|table| table["name"] == "events").unwrap();
    let trace_of = |step: u64| {
        events["rows"][step as usize]["cells"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
    };
    let id = &recorded.run.manifest().id;

    let shown = trace_id_text(SLOWED_STEP);
    assert_eq!(
        trace_of(SLOWED_STEP),
        &json!({"trace": shown, "anchor": format!("trace-{shown}")})
    );
    assert_eq!(html.matches(&format!("id=\"trace-{shown}\"")).count(), 1);
    assert!(html.contains(&format!("<a href=\"#trace-{shown}\">{shown}</a>")));

    // Step 2 is among the ten fastest.
    let fast = trace_id_text(2);
    let command = format!("mirror trace show {id} {fast}");
    assert_eq!(trace_of(2), &json!({"trace": fast, "command": command}));
    assert!(html.contains(&command));
    assert!(!html.contains(&format!("id=\"trace-{fast}\"")));

    assert_eq!(trace_of(30), &json!({"trace": trace_id_text(30)}));

    // The best completion is that of step 0: of equal rewards, the earlier one.
    let best = trace_id_text(0);
    assert_eq!(json["completions"][0]["trace"], json!({"run": id, "id": best}));
    assert!(html.contains(&format!("trace <code>mirror trace show {id} {best}</code>")));
}

#[test]
fn a_run_without_spans_says_so_in_one_sentence() {
    let recorded = recorded(&training(3, 4));
    let settings = recorded.run.layout().resolved();
    for (text, why) in [
        (
            "telemetry: {traces: off}",
            "its traces were off (`telemetry: {traces: off}`)",
        ),
        (
            "telemetry: {trace_share: 0}",
            "it recorded no share of the traces (`telemetry: {trace_share: 0}`)",
        ),
        (
            "",
            "it ended before the first spans were written, they were lost, or an earlier version made it",
        ),
    ] {
        std::fs::write(&settings, format!("{QUICKSTART}\n{text}\n")).unwrap();
        let report = as_json(&recorded.run);
        assert_eq!(sentences(&report), format!("The run has no spans: {why}."));
    }
    let report = as_json(&recorded.run);
    assert_eq!(report["traces"]["slowest"], json!([]));
    let not_drawn = report["not_drawn"].as_array().unwrap();
    let why = not_drawn
        .iter()
        .find(|plot| plot["name"] == "critical_path_by_phase");
    assert_eq!(why.unwrap()["why"], "the run has no traces of steps");
    let tables = report["tables"].as_array().unwrap();
    let events = tables.iter().find(|table| table["name"] == "events").unwrap();
    let mut titles = events["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["title"]);
    assert!(titles.all(|title| title != "trace"));
}

#[test]
fn missing_spans_are_counted_by_reason() {
    let spans = || step(0, &[10]);
    let words = |counts: &Counts| sentences(&as_json(&recorded_with_spans(&events(1), &spans(), counts).run));
    let complete = words(&Counts::default());
    assert!(
        complete.contains("6 spans were recorded; none was dropped, refused or lost."),
        "{complete}"
    );
    let incomplete = words(&Counts {
        dropped_by_nodes: 3,
        refused: 1,
        not_kept: 40,
        ..Counts::default()
    });
    assert!(
        incomplete.contains(
            "and 4 spans are missing: 3 dropped by nodes that could not send them in time, 1 refused"
        ),
        "{incomplete}"
    );
    for other in ["queue was full", "file could not", "table of metrics"] {
        assert!(!incomplete.contains(other), "{incomplete}");
    }
    let without_metrics = words(&Counts {
        refused_metrics: 2,
        lost_metrics: 5,
        dropped_metrics: 1,
        ..Counts::default()
    });
    assert!(
        without_metrics.contains("6 spans were recorded; none was dropped, refused or lost."),
        "{without_metrics}"
    );
    assert!(
        without_metrics
            .contains("The table of metrics lacks 7 measurements that were refused as invalid, or lost"),
        "{without_metrics}"
    );
    assert!(
        without_metrics.contains("and 1 message of metrics that the coordinator dropped"),
        "{without_metrics}"
    );
    assert!(incomplete.contains("40 spans were not kept"), "{incomplete}");

    let without = recorded_with_spans(&events(1), &spans(), &Counts::default());
    std::fs::remove_file(without.run.layout().telemetry_summary()).unwrap();
    let unknown = sentences(&as_json(&without.run));
    assert!(
        unknown.contains("the number of missing spans is unknown"),
        "{unknown}"
    );
}

#[test]
fn clocks_that_disagree_and_traces_without_a_root_are_stated() {
    let mut ahead = step(0, &[10, 10]);
    for row in ahead.iter_mut().filter(|row| row.node == "miner-1") {
        row.started_ns += 5_000 * MS;
    }
    let mut rootless = step(1, &[10]);
    rootless.retain(|row| row.name != "step");
    let recorded = recorded_with_spans(&events(2), &[ahead, rootless].concat(), &Counts::default());
    let words = sentences(&as_json(&recorded.run));
    assert!(
        words.contains("In 1 trace the clocks of nodes disagreed. The greatest difference: the clock of miner-1 is 5.00 s ahead"),
        "{words}"
    );
    assert!(words.contains("1 trace has no root"), "{words}");
    assert!(words.contains("The slowest of 1 traced step took"), "{words}");
}

#[test]
fn a_wide_step_has_a_bounded_waterfall_with_the_slowest_and_the_failed_calls() {
    let times: Vec<u64> = (0..256).map(|uid| 10 + uid).collect();
    let mut spans = step(0, &times);
    let failed = call(&mut spans, 7);
    failed.error = Some("the axon is unreachable".to_owned());
    failed.code = Some("unreachable".to_owned());
    let all = spans.len();
    let report = as_json(&recorded_with_spans(&events(1), &spans, &Counts::default()).run);
    let slow = &report["traces"]["slowest"][0];
    assert_eq!(slow["spans"], all);
    assert_eq!(slow["failures"], json!({"unreachable": 1}));
    let bars = slow["bars"].as_array().unwrap();
    assert!(bars.len() <= 60, "{} lines", bars.len());
    let names: Vec<&str> = bars.iter().map(|bar| bar["name"].as_str().unwrap()).collect();
    for expected in [
        "step 0",
        "dendrite.forward 255",
        "axon.forward 255",
        "dendrite.forward 7",
    ] {
        assert!(names.contains(&expected), "{expected}: {names:?}");
    }
    let failed = bars
        .iter()
        .find(|bar| bar["name"] == "dendrite.forward 7")
        .unwrap();
    assert_eq!(failed["remark"], "error: the axon is unreachable (unreachable)");
    let folded = bars
        .iter()
        .find(|bar| bar["node"].is_null())
        .expect("a line of many calls");
    assert_eq!(folded["spans"], 250);
}

/// Every call times out. The step waits for the one that ends last, which is the shortest.
#[test]
fn a_step_of_timeouts_shows_the_call_that_it_waited_for() {
    let mut spans = step(0, &[100; 64]);
    for uid in 0..64 {
        let call = call(&mut spans, uid);
        call.error = Some("timeout".to_owned());
        call.code = Some("timeout".to_owned());
        // All end after 100 ms except uid 40, which starts last and ends 1 ms later.
        let delay = if uid == 40 {
            50 * MS
        } else {
            u64::from(uid) * MS / 100
        };
        call.started_ns += delay;
        call.duration_ns = if uid == 40 { 50 * MS } else { 99 * MS - delay };
    }
    spans.retain(|row| row.name != "axon.forward");
    let report = as_json(&recorded_with_spans(&events(1), &spans, &Counts::default()).run);
    let bars = report["traces"]["slowest"][0]["bars"].as_array().unwrap();
    let waited_for = bars.iter().find(|bar| bar["name"] == "dendrite.forward 40");
    let waited_for = waited_for.expect("the call on the critical path has a line");
    assert_eq!(
        (&waited_for["seconds"], &waited_for["waited"]),
        (&json!(0.05), &json!(0.05))
    );
    let waits: f64 = bars.iter().map(|bar| bar["waited"].as_f64().unwrap()).sum();
    let step = &bars[0];
    assert_eq!(step["name"], "step 0");
    assert!(
        (waits - step["seconds"].as_f64().unwrap()).abs() < 1e-9,
        "{bars:?}"
    );
}

#[test]
fn texts_of_spans_are_shown_but_not_executed() {
    const BREAKING: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'";
    let benign = report_of(&recorded_with_spans(&events(1), &step(0, &[10]), &Counts::default()).run);
    let benign = benign.to_html().unwrap();
    let mut spans = step(0, &[10]);
    for row in &mut spans {
        row.rules = Some(BREAKING.to_owned());
        row.error = Some(BREAKING.to_owned());
        row.code = Some(BREAKING.to_owned());
        row.node = BREAKING.to_owned();
        if row.name != "step" {
            row.name = BREAKING.to_owned();
        }
        row.trace_id = BREAKING.to_owned();
    }
    let html = report_of(&recorded_with_spans(&events(1), &spans, &Counts::default()).run);
    let html = html.to_html().unwrap();
    assert!(!html.contains("alert(1)</script>"));
    assert!(!html.contains("<img"));
    for tag in ["<script", "</script", "<details class=\"step\""] {
        assert_eq!(html.matches(tag).count(), benign.matches(tag).count(), "{tag}");
    }
    // A text that is no id is neither an anchor nor part of a command.
    assert!(html.contains("id=\"trace-0\""));
    assert!(!html.contains("mirror trace show"));
}

#[test]
fn runs_with_equal_ids_that_are_read_as_one_have_their_own_waterfalls() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, times: &[u64]| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        recorded_with_spans_in(&folder, &events(1), &step(0, times), &Counts::default())
    };
    let runs = [run("first", &[10]), run("second", &[500])];
    let data = RunData::read_as_one(&runs).unwrap();
    let layout = Layout::new(folder.path());
    let report = Report::of_runs(&data, &Summary::of(&data), &layout, "both", &runs);
    let html = report.to_html().unwrap();
    let report = serde_json::to_value(report).unwrap();
    let slowest = report["traces"]["slowest"].as_array().unwrap();
    let of = |run: &Run| json!(run.manifest().id);
    let names: Vec<(&Value, &Value)> = slowest.iter().map(|slow| (&slow["run"], &slow["id"])).collect();
    let id = json!(trace_id_text(0));
    assert_eq!(names, [(&of(&runs[1]), &id), (&of(&runs[0]), &id)]);
    let tables = report["tables"].as_array().unwrap();
    let events = tables.iter().find(|table| table["name"] == "events").unwrap();
    let anchors: Vec<&Value> = (0..2)
        .map(|row| &events["rows"][row]["cells"].as_array().unwrap().last().unwrap()["anchor"])
        .collect();
    assert_eq!(anchors, [&slowest[1]["anchor"], &slowest[0]["anchor"]]);
    assert_ne!(anchors[0], anchors[1]);
    for run in &runs {
        assert!(html.contains(&format!("validator-0 (uid 16) of {}", run.manifest().id)));
    }
}

#[test]
fn the_report_of_a_group_refers_to_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let counts = Counts {
        lost: 2,
        ..Counts::default()
    };
    let run = recorded_with_spans_in(folder.path(), &events(1), &step(0, &[10]), &counts);
    let group = Group {
        id: "quick".to_owned(),
        experiment: "quick start".to_owned(),
        replicates: 1,
        first_seed: 7,
        created: String::new(),
    };
    let data = GroupData::read(group, &Layout::new(folder.path()), &[run]).unwrap();
    let report = serde_json::to_value(Report::of_group(&data)).unwrap();
    let words = sentences(&report);
    assert!(words.contains("The runs of the group have 6 spans."), "{words}");
    assert!(words.contains("Over all runs 2 spans are missing."), "{words}");
    assert_eq!(report["traces"]["slowest"], json!([]));
}
