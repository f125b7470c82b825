//! Features and scatter plots.

use mirror_test_support::Python;
use serde_json::{Value, json};

use super::{Models, NoModels, events, not_drawn, numbers, plot, report, run, run_by_score};

/// Every feature of a text that needs no model.
const FEATURES: [&str; 6] = [
    "question_length",
    "sentence_length",
    "num_words",
    "avg_word_length",
    "median_word_length",
    "first_word",
];

/// Computes the features with pandas, and the points of the plots of rewards, of scores and of one value per event.
const SCRIPT: &str = "
import numpy, pandas
events = pandas.DataFrame(data['events'])
def features(texts):
    table = pandas.DataFrame({'question_length': texts.str.len()})
    table['sentence_length'] = table.question_length
    words = texts.str.split()
    table['num_words'] = words.str.len()
    table['avg_word_length'] = (table.question_length / table.num_words).where(table.num_words > 0)
    table['median_word_length'] = words.map(lambda words: numpy.median([len(word) for word in words]) if words else None)
    table['first_word'] = words.str[0]
    return table
message = features(events.message)
best = events[events.completion.notna()]
completion = features(best.completion).reindex(events.index)
# A number is written as text, which keeps all digits.
def lists(table):
    exact = lambda value: value if isinstance(value, str) else repr(float(value))
    return {name + ('s' if name == 'uid' else ''): table[name].map(exact).tolist() for name in table}
def points(x, y, uids=None):
    table = pandas.DataFrame({'x': x, 'y': y})
    if uids is None:
        table = table.explode('y')
    else:
        table['uid'] = uids
        table = table.explode(['y', 'uid'])
    table = table.dropna()
    return lists(table)
index = events.scores.map(lambda scores: list(range(len(scores))))
result = {}
for name in data['features']:
    result['rewards_by_' + name] = points(message[name], events.rewards, events.uids)
    result['scores_by_' + name] = points(message[name], events.scores, index)
    result['call_time_by_' + name] = points(message[name], events.call_time)
    result['rewards_by_completion_' + name] = points(completion[name], events.rewards, events.uids)
every = events[['step', 'all_completions', 'all_uids']].explode(['all_completions', 'all_uids'])
every = every.reset_index(drop=True)
for name in data['features']:
    x = features(every.all_completions.astype(str))[name]
    table = pandas.DataFrame({'x': x, 'y': every.step, 'uid': every.all_uids}).dropna()
    result['step_by_all_completions_' + name] = lists(table)
zipped = events[['rewards', 'uids']].explode(['rewards', 'uids']).dropna()
result['rewards_by_uids'] = lists(pandas.DataFrame({'x': zipped.uids, 'y': zipped.rewards, 'uid': zipped.uids}))
";

#[test]
fn the_points_of_every_feature_are_those_of_pandas() {
    let Some(python) = Python::find() else { return };
    let recorded = run(200);
    let of_columns = |column: &str| -> Vec<String> {
        FEATURES
            .iter()
            .map(|feature| format!("{column}{feature}"))
            .collect()
    };
    let mut of_rewards = of_columns("completion_");
    of_rewards.push("uids".to_owned());
    let analysis = json!({
        "create_features": {"message": FEATURES},
        "plot": {"rewards": of_columns(""), "scores": of_columns(""), "call_time": of_columns("")},
    });
    let report_of_message = report(&recorded, analysis, &NoModels);
    let analysis = json!({
        "create_features": {"completion": FEATURES, "all_completions": FEATURES},
        "plot": {
            "rewards": of_rewards,
            "step": of_columns("all_completions_"),
        },
    });
    let report_of_completions = report(&recorded, analysis, &NoModels);
    let expected = python.run(
        SCRIPT,
        &json!({"events": events(&recorded), "features": FEATURES}),
    );
    let expected = expected.as_object().expect("a map");
    assert_eq!(expected.len(), 5 * FEATURES.len() + 1);
    for (name, points) in expected {
        let is_of_message = !name.contains("completion") && name != "rewards_by_uids";
        let report = if is_of_message {
            &report_of_message
        } else {
            &report_of_completions
        };
        let trace = &plot(report, name)["traces"][0];
        assert!(
            points["x"].as_array().is_some_and(|x| x.len() > 100),
            "{name}: {points}"
        );
        for (coordinate, values) in points.as_object().expect("a map") {
            same_values(&trace[coordinate], values, &format!("{name}, {coordinate}"));
        }
    }
}

/// Compares values exactly. `theirs` contains numbers as texts.
#[track_caller]
fn same_values(ours: &Value, theirs: &Value, context: &str) {
    let (ours, theirs) = (ours.as_array().expect(context), theirs.as_array().expect(context));
    assert_eq!(ours.len(), theirs.len(), "{context}");
    for (place, (one, other)) in ours.iter().zip(theirs).enumerate() {
        let other = other.as_str().expect("a text");
        let is_same = match one.as_f64() {
            Some(number) => other.parse() == Ok(number),
            None => one == other,
        };
        assert!(is_same, "{context}, {place}: {one} here and {other} in pandas");
    }
}

#[test]
fn lists_by_call_and_by_uid_are_paired_by_uid() {
    let analysis = json!({"plot": {"rewards": ["scores"], "scores": ["rewards", "all_uids"]}});
    let equal = report(&run_by_score(30), analysis.clone(), &NoModels);
    let points = &plot(&equal, "rewards_by_scores")["traces"][0];
    let (x, y) = (numbers(&points["x"]), numbers(&points["y"]));
    assert_eq!(x.len(), 240);
    for (score, reward) in x.iter().zip(&y) {
        assert!((2.0 * score + 1.0 - reward).abs() < 1e-6, "{score} {reward}");
    }
    let swapped = &plot(&equal, "scores_by_rewards")["traces"][0];
    assert_eq!((numbers(&swapped["x"]), numbers(&swapped["y"])), (y, x));

    // The lists may have different lengths, and scores may be missing.
    let recorded = run(40);
    let different = report(&recorded, analysis, &NoModels);
    let trace = &plot(&different, "rewards_by_scores")["traces"][0];
    let mut expected: Vec<[f64; 3]> = Vec::new();
    for event in events(&recorded).as_array().expect("events") {
        let uids = event["uids"].as_array().expect("uids");
        for (uid, reward) in uids.iter().zip(event["rewards"].as_array().expect("rewards")) {
            if let Some(reward) = reward.as_f64() {
                let uid = uid.as_u64().expect("a uid");
                let score = event["scores"][uid as usize].as_f64().expect("a score");
                expected.push([score, reward, uid as f64]);
            }
        }
    }
    let columns = ["x", "y", "uids"].map(|key| numbers(&trace[key]));
    let drawn: Vec<[f64; 3]> = (0..columns[0].len())
        .map(|point| columns.each_ref().map(|column| column[point]))
        .collect();
    assert_eq!(drawn, expected);
    plot(&different, "scores_by_all_uids");
}

#[test]
fn a_column_that_is_named_twice_is_drawn_once() {
    let analysis = json!({"plot": {"rewards": ["step", "step"]}});
    let report = report(&run(20), analysis, &NoModels);
    let plots = report["plots"].as_array().expect("plots");
    let count = plots
        .iter()
        .filter(|plot| plot["name"] == "rewards_by_step")
        .count();
    assert_eq!(count, 1);
}

#[test]
fn a_feature_of_several_columns_has_a_trace_for_each() {
    let analysis = json!({
        "create_features": {"completion": ["num_words"], "message": ["num_words"]},
        "plot": {"call_time": ["num_words", "completion_num_words", "message_num_words", "prompt_num_words"]},
    });
    let report = report(&run(40), analysis, &NoModels);
    let names = |plot: &Value| -> Vec<String> {
        let traces = plot["traces"].as_array().expect("traces");
        traces
            .iter()
            .map(|trace| trace["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let both = plot(&report, "call_time_by_num_words");
    assert_eq!(names(both), ["completion", "message"]);
    let of_completion = plot(&report, "call_time_by_completion_num_words");
    assert_eq!(of_completion["traces"][0]["x"], both["traces"][0]["x"]);
    for name in ["call_time_by_message_num_words", "call_time_by_prompt_num_words"] {
        assert_eq!(plot(&report, name)["traces"][0]["x"], both["traces"][1]["x"]);
    }
}

#[test]
fn named_plots_follow_the_first_plot_and_have_titles_in_words() {
    let analysis = json!({
        "create_features": {"message": ["question_length"]},
        "plot": {"rewards": ["question_length"], "scores": ["question_length"]},
    });
    let report = report(&run(20), analysis, &NoModels);
    let plots = report["plots"].as_array().expect("plots");
    let named = plots
        .iter()
        .position(|plot| plot["name"] == "rewards_by_question_length");
    // The first plot is of the pay, which a run without an epoch does not have.
    assert_eq!(named, Some(0));
    assert_eq!(plots[0]["title"], "Rewards by question length");
    assert_eq!(plots[1]["name"], "scores_by_question_length");
}

#[test]
fn more_points_than_the_maximum_are_a_stated_sample_that_is_the_same_each_time() {
    let analysis = json!({"plot": {"scores": ["step"]}});
    let recorded = run(3_000);
    let first = report(&recorded, analysis.clone(), &NoModels);
    let drawn = plot(&first, "scores_by_step");
    assert_eq!(drawn["traces"][0]["x"].as_array().map(Vec::len), Some(20_000));
    assert_eq!(drawn["note"], "A random sample of 20,000 of 24,000 points.");
    assert_eq!(
        plot(&report(&recorded, analysis, &NoModels), "scores_by_step"),
        drawn
    );
}

#[test]
fn features_of_models_are_those_of_the_model_for_a_stated_sample() {
    let analysis = json!({
        "create_features": {"message": ["reward_num_tokens"], "all_completions": ["reward_num_tokens"]},
        "plot": {"step": ["message_reward_num_tokens", "all_completions_reward_num_tokens"]},
    });
    let recorded = run(2_500);
    let report = report(&recorded, analysis, &Models);
    let events = events(&recorded);
    let bytes = |step: &Value| {
        let step = step.as_f64().expect("a step") as usize;
        events[step]["message"].as_str().map(str::len)
    };
    let trace = &plot(&report, "step_by_message_reward_num_tokens")["traces"][0];
    let (x, steps) = (
        trace["x"].as_array().expect("x"),
        trace["y"].as_array().expect("y"),
    );
    assert_eq!(x.len(), 2_500);
    for (tokens, step) in x.iter().zip(steps) {
        assert_eq!(tokens.as_f64().map(|tokens| tokens as usize), bytes(step));
    }
    let of_lists = plot(&report, "step_by_all_completions_reward_num_tokens");
    let note = of_lists["note"].as_str().expect("a note");
    assert!(
        note.contains("was computed for a random sample of 2,000 events"),
        "{note}"
    );
    let tokenizer =
        "Tokens are those of the builtin tokenizer, because the reward model `RandomRewardModel` has none.";
    assert_eq!(note.matches(tokenizer).count(), 1, "{note}");
    let of_list = &of_lists["traces"][0];
    let mut steps: Vec<u64> = of_list["y"]
        .as_array()
        .expect("y")
        .iter()
        .map(|step| step.as_f64().expect("a step") as u64)
        .collect();
    steps.dedup();
    assert_eq!(steps.len(), 2_000);
}

#[test]
fn a_plot_without_its_data_is_not_drawn_and_the_reason_is_given() {
    let analysis = json!({
        "create_features": {"message": ["reward_num_tokens", "embeddings"]},
        "plot": {
            "rewards": ["reward_num_tokens", "embeddings", "all_uids", "no_such_column"],
        },
    });
    let recorded = run(20);
    let without = report(&recorded, analysis.clone(), &NoModels);
    for (name, why) in [
        (
            "rewards_by_reward_num_tokens",
            "`reward_num_tokens`: gpt-j-6b is not on this machine",
        ),
        (
            "rewards_by_embeddings",
            "`embeddings`: name a model in `analysis.sentence_model`",
        ),
        (
            "embeddings",
            "`embeddings`: name a model in `analysis.sentence_model`",
        ),
        ("rewards_by_no_such_column", "there is no column `no_such_column`"),
    ] {
        assert_eq!(not_drawn(&without, name), why);
    }
    let lengths = not_drawn(&without, "rewards_by_all_uids");
    assert!(
        lengths.contains("the lists have different lengths: in step "),
        "{lengths}"
    );
    let with = report(&recorded, analysis, &Models);
    let several = not_drawn(&with, "rewards_by_embeddings");
    assert!(
        several.contains("`embeddings` has several numbers per event"),
        "{several}"
    );
}
