//! Tests of the report: its content, the escaping of text, and its size.

mod made_up;

use made_up::{
    embedded_figures, event, failure, incident, recorded, recorded_in, success, training, with_calls,
};
use mirror_analysis::{Report, RunData, Summary, plots};
use mirror_proto::mirror::v1::{IncidentKind, Outcome, Record};
use mirror_runs::Run;

/// The page of a run, with the part before the scripts.
struct Page {
    html: String,
    text: String,
    summary: Summary,
}

fn page(records: &[Record]) -> Page {
    let recorded = recorded(records);
    let (report, summary) = report_of(&recorded.run);
    let html = report.to_html().unwrap();
    let text = html
        .split("<script")
        .next()
        .expect("splitting yields a first part")
        .to_owned();
    Page { html, text, summary }
}

fn report_of(run: &Run) -> (Report, Summary) {
    let data = RunData::read(run).unwrap();
    let summary = Summary::of(&data);
    (Report::of_run(&data, &summary, run.layout()), summary)
}

const BREAKING: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- \u{2028} {{ title }}";

#[test]
fn the_page_shows_every_number_of_the_table() {
    let page = page(&training(40, 16));
    for word in page
        .summary
        .table(usize::MAX)
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_numeric))
    {
        assert!(page.text.contains(word), "{word} is not on the page");
    }
    assert_eq!(
        page.text.matches("<tr data-uid=").count(),
        17,
        "one row per uid, including the validator"
    );
}

#[test]
fn the_page_has_a_place_and_a_chart_for_every_plot() {
    let page = page(&training(40, 16));
    let figures = embedded_figures(&page.html);
    let not_drawn = page
        .text
        .split("Plots that would show nothing")
        .nth(1)
        .unwrap_or_default();
    for plot in plots::PLOTS {
        if not_drawn.contains(&format!("<dt>{}</dt>", plot.title())) {
            continue;
        }
        assert!(
            page.text
                .contains(&format!("id=\"plot-{}\" role=\"img\" aria-label=", plot.name()))
        );
        let figure = figures.iter().find(|figure| figure["name"] == plot.name());
        let traces = figure.and_then(|figure| figure["chart"]["data"].as_array());
        assert!(
            traces.is_some_and(|traces| !traces.is_empty()),
            "{} is not drawn",
            plot.name()
        );
    }
}

#[test]
fn a_cell_of_the_heat_map_is_blank_if_a_uid_was_not_called() {
    let page = page(&[
        with_calls(event(0, 0), vec![success(0, 1.0, 0.1)]),
        with_calls(event(0, 1), vec![success(3, 0.5, 0.1)]),
    ]);
    let figures = embedded_figures(&page.html);
    let heat = figures
        .iter()
        .find(|figure| figure["name"] == "rewards_by_uid")
        .map(|figure| &figure["chart"]["data"][0])
        .expect("the rewards are drawn");
    assert_eq!(heat["type"], "heatmap");
    assert_eq!(heat["y"], serde_json::json!(["0", "3"]));
    assert_eq!(heat["z"], serde_json::json!([[1, null], [null, 0.5]]));
}

#[test]
fn texts_of_a_run_are_shown_but_not_executed() {
    let mut hostile = success(0, 1.0, 0.1);
    hostile.completion = BREAKING.to_owned();
    let mut question = event(0, 0);
    question.message = BREAKING.to_owned();
    question.validator = BREAKING.to_owned();
    let records = [
        with_calls(question, vec![hostile]),
        incident(BREAKING, IncidentKind::Exited, BREAKING, 0, BREAKING),
    ];
    let recorded = recorded(&records);
    std::fs::write(recorded.run.layout().experiment(), BREAKING).unwrap();
    let benign = page(&training(2, 4)).html;
    let html = report_of(&recorded.run).0.to_html().unwrap();

    assert!(!html.contains("alert(1)</script>"));
    assert!(!html.contains("<img"));
    for tag in ["<script", "</script", "<!--"] {
        assert_eq!(html.matches(tag).count(), benign.matches(tag).count(), "{tag}");
    }
    let shown = html.matches("&#60;/script&#62;&#60;script&#62;alert(1)").count();
    // The prompt and the completion, each also in its leaderboard and in the table of events; the validator's name
    // three times; three texts of the incident, whose kind is not a text; and the experiment.
    assert_eq!(shown, 13);
}

#[test]
fn the_page_loads_nothing_from_the_network() {
    let page = page(&training(40, 16));
    assert!(
        page.html.contains("default-src 'none'"),
        "the page forbids the browser to load anything"
    );
    // The page without the text of the library.
    let (ours, _) = page
        .html
        .split_once("id=\"library\"")
        .expect("the library is at the end");
    for remote in ["http://", "https://", "src=", "<link", "@import", "url("] {
        assert!(!ours.contains(remote), "{remote} on the page");
    }
}

#[test]
fn the_text_precedes_the_scripts_and_the_library_occurs_once() {
    let page = page(&training(1_000, 256));
    // A browser paints a megabyte of text in much less than a second.
    assert!(
        page.text.len() < 1_000_000,
        "{} bytes before the first script",
        page.text.len()
    );
    assert!(page.text.contains("</main>"));
    assert_eq!(page.html.matches("id=\"library\"").count(), 1);
    assert!(page.html.len() < 6 << 20, "{} bytes", page.html.len());
}

#[test]
fn a_run_four_times_as_long_has_a_page_of_the_same_size() {
    let size = |steps| page(&training(steps, 64)).html.len();
    let short = size(5_000);
    let long = size(20_000);
    assert!(
        long < short + short / 20,
        "20,000 events: {short} bytes, 80,000 events: {long} bytes"
    );
    assert!(long < 6 << 20, "{long} bytes");
}

#[test]
fn the_page_of_a_run_without_data_states_what_is_missing() {
    let failed = vec![
        failure(0, Outcome::Timeout, 4.0),
        failure(1, Outcome::Unreachable, 0.1),
    ];
    let mut unusable = success(0, f32::NAN, 0.1);
    unusable.completion = "It is mercury, says uid 0.".to_owned();
    let unusable = vec![unusable];
    let check = |records: &[Record], sentences: &[&str]| {
        let page = page(records);
        for sentence in sentences {
            assert!(page.text.contains(sentence), "{sentence:?} is not on the page");
        }
        assert!(page.html.ends_with("</html>") || page.html.ends_with("</html>\n"));
        assert!(!page.text.contains("NaN"), "the page shows no NaN");
    };
    check(
        &[],
        &[
            "No event was recorded",
            "<dt>Rewards by uid over time</dt><dd>no call received a reward</dd>",
            "<dt>Call time by step</dt><dd>the duration of no forward is known</dd>",
        ],
    );
    check(
        &[with_calls(event(0, 0), failed)],
        &[
            "None of 2 calls succeeded: 1 timeout, 1 unreachable.",
            "In 1 event no call succeeded.",
            "<dt>Rewards by uid over time</dt><dd>no call received a reward</dd>",
        ],
    );
    check(
        &[with_calls(event(0, 0), Vec::new())],
        &["1 validator made 1 event in 1 step", "1 event called no uid."],
    );
    check(
        &[with_calls(event(0, 0), unusable)],
        &[
            "1 reward of the reward model is not finite",
            "1 call made, all successful.",
        ],
    );
    check(
        &[with_calls(event(0, 0), vec![success(7, 0.25, 0.1)])],
        &[
            "The only paid miner was uid 7 (miners) with 0.250 as its mean reward.",
            "no validator set weights",
        ],
    );
}

#[test]
fn an_interrupted_run_is_shown_as_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let run = recorded_in(folder.path(), &training(3, 4));
    let manifest = run.layout().manifest();
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"done\"", "\"interrupted\"")).unwrap();
    let run = mirror_runs::Run::open(run.layout().root()).unwrap();
    let html = report_of(&run).0.to_html().unwrap();
    assert!(html.contains("This run was interrupted"));
}

#[test]
fn the_report_is_written_next_to_the_tables_with_the_experiment() {
    let recorded = recorded(&training(3, 4));
    let layout = recorded.run.layout();
    let (report, _) = report_of(&recorded.run);
    report.write(layout).unwrap();
    let html = std::fs::read_to_string(layout.report()).unwrap();
    assert!(html.contains("<pre>seed: 7\nmodel:"));
    let leftovers = std::fs::read_dir(layout.root()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tmp")
    });
    assert_eq!(leftovers.count(), 0);

    std::fs::remove_dir_all(layout.root()).unwrap();
    let error = report.write(layout).unwrap_err();
    assert!(error.to_string().contains("report.html"), "{error}");
}
