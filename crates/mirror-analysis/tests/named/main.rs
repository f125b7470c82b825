//! Plots and predictions that the user names are those of pandas and scikit-learn.

#[path = "../made_up/mod.rs"]
mod made_up;

mod components;
mod predictions;
mod scatter;

use made_up::{Recorded, event, failure, recorded, success, with_calls};
use mirror_analysis::{Report, RunData, Summary, TextModels};
use mirror_proto::mirror::v1::{Outcome, Record};
use mirror_runs::RunError;
use mirror_runs::view::{self, Event};
use mirror_spec::Analysis;
use serde_json::{Value, json};

/// Texts with unusual characters and white space, some of which Python and Unicode treat differently.
const TEXTS: [&str; 9] = [
    "Which metal is liquid at room temperature?",
    "  two\u{a0}words ",
    "one\u{1c}two\u{1f}three\u{85}four",
    "naïve café 東京 😀",
    "e\u{301}a",
    "zero\u{200b}width joins",
    "\u{2003}em\u{2003}space\tand\ttabs\r\n",
    "",
    " \t\n",
];

/// Models that compute numbers from the bytes of a text.
struct Models;

impl TextModels for Models {
    fn token_counts(&self, texts: &[String]) -> Result<Vec<u32>, String> {
        Ok(texts.iter().map(|text| text.len() as u32).collect())
    }

    fn reward_model_without_tokenizer(&self) -> Option<&str> {
        Some("RandomRewardModel")
    }

    fn embeddings(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        Ok(texts.iter().map(|text| embedding(text)).collect())
    }
}

/// No model is on the machine.
struct NoModels;

impl TextModels for NoModels {
    fn token_counts(&self, _: &[String]) -> Result<Vec<u32>, String> {
        Err("gpt-j-6b is not on this machine".to_owned())
    }

    fn reward_model_without_tokenizer(&self) -> Option<&str> {
        None
    }

    fn embeddings(&self, _: &[String]) -> Result<Vec<Vec<f32>>, String> {
        Err("name a model in `analysis.sentence_model`".to_owned())
    }
}

/// Returns six numbers that differ from text to text.
fn embedding(text: &str) -> Vec<f32> {
    let number = |place: u32| {
        let sum: u32 = text
            .bytes()
            .enumerate()
            .map(|(at, byte)| u32::from(byte) * (at as u32 * place + 1))
            .sum();
        (sum % (101 + place)) as f32 / 10.0
    };
    (0..6).map(number).collect()
}

/// Returns a number between 0 and 1 that looks random.
fn noise(one: u64, other: u64) -> f32 {
    let mixed = (one * 0x9e37_79b9 + other * 0x85eb_ca6b + 1).wrapping_mul(0xc2b2_ae35_27d4_eb4f);
    ((mixed >> 40) as f32) / (1_u64 << 24) as f32
}

/// Returns events of three to five calls with texts of [`TEXTS`]. Some calls fail, and some rewards are NaN.
fn run(steps: u64) -> Recorded {
    let records: Vec<Record> = (0..steps).map(record).collect();
    recorded(&records)
}

fn record(step: u64) -> Record {
    let mut event = event(step, 0);
    event.message = format!(
        "{}{}",
        TEXTS[step as usize % TEXTS.len()],
        " more".repeat((step % 5) as usize)
    );
    event.call_time = f64::from(noise(step, 99));
    event.scores = (0..8).map(|uid| noise(step, 200 + uid)).collect();
    let calls = (0..3 + step % 3).map(|place| {
        let uid = ((step + place * 2) % 8) as u32;
        if noise(step, place) < 0.2 {
            return failure(uid, Outcome::Timeout, 0.1);
        }
        let reward = match noise(step, 50 + place) {
            draw if draw < 0.1 => f32::NAN,
            draw => draw + event.message.len() as f32 / 50.0,
        };
        let mut call = success(uid, reward, 0.01);
        call.completion = format!("{} {step}", TEXTS[(step + place) as usize % TEXTS.len()]);
        call
    });
    let calls = calls.collect();
    with_calls(event, calls)
}

/// Returns events of eight calls, in another order in each event. The reward of a call is twice the score of its uid,
/// plus one.
fn run_by_score(steps: u64) -> Recorded {
    let record = |step: u64| {
        let mut event = event(step, 0);
        event.scores = (0..8).map(|uid| noise(step, 200 + uid)).collect();
        let scores = event.scores.clone();
        let calls = (0..8).map(|place| {
            let uid = (step + 3 * place) % 8;
            success(uid as u32, 2.0 * scores[uid as usize] + 1.0, 0.01)
        });
        let calls = calls.collect();
        with_calls(event, calls)
    };
    let records: Vec<Record> = (0..steps).map(record).collect();
    recorded(&records)
}

/// Returns the report of a run with the plots that an analysis names, as JSON.
fn report(recorded: &Recorded, analysis: Value, models: &dyn TextModels) -> Value {
    let analysis: Analysis = serde_json::from_value(analysis).expect("the analysis is valid");
    let data = RunData::read(&recorded.run).unwrap();
    let mut report = Report::of_run(&data, &Summary::of(&data), recorded.run.layout());
    report.draw_named(&data, &analysis, models);
    serde_json::to_value(&report).unwrap()
}

/// Returns the plot of this name.
#[track_caller]
fn plot<'r>(report: &'r Value, name: &str) -> &'r Value {
    let plots = report["plots"].as_array().expect("a report has plots");
    let found = plots.iter().find(|plot| plot["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not drawn: {}", report["not_drawn"]))
}

/// Returns the reason why a plot is not drawn.
#[track_caller]
fn not_drawn<'r>(report: &'r Value, name: &str) -> &'r str {
    let all = report["not_drawn"].as_array().expect("a report has plots");
    let found = all.iter().find(|plot| plot["name"] == name);
    found
        .and_then(|plot| plot["why"].as_str())
        .unwrap_or_else(|| panic!("{name} is drawn"))
}

/// Returns the columns of the view of the events, in double precision. NaN is null.
fn events(recorded: &Recorded) -> Value {
    let event = |event: Result<Event, RunError>| {
        let event = event.unwrap();
        let wide = |number: f32| f64::from(number);
        json!({
            "completion": event.completion,
            "message": event.message,
            "uids": event.uids,
            "rewards": event.rewards.into_iter().map(|reward| reward.map(wide)).collect::<Vec<_>>(),
            "scores": event.scores.into_iter().map(wide).collect::<Vec<_>>(),
            "all_uids": event.all_uids,
            "all_completions": event.all_completions,
            "call_time": event.call_time,
            "step": event.step,
        })
    };
    view::events(&recorded.run).unwrap().map(event).collect()
}

/// Returns the numbers of a list.
#[track_caller]
fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is not a list"));
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}
