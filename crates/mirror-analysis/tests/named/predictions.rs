//! Predictions.

use mirror_statistics::regression::Split;
use mirror_test_support::Python;
use serde_json::{Value, json};

use super::{Models, NoModels, embedding, events, not_drawn, numbers, plot, report, run, run_by_score};

/// The random seed of the recorded runs.
const SEED: u64 = 7;

/// Fits an estimator of scikit-learn to the rows of the training.
const SCRIPT: &str = "
import numpy
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
x, y = numpy.array(data['x']), numpy.array(data['y'])
is_test = numpy.zeros(len(y), dtype=bool)
is_test[data['test']] = True
kinds = {kind.__name__: kind for kind in [GradientBoostingRegressor, RandomForestRegressor, LinearRegression]}
model = kinds[data['name']](**data['args']).fit(x[~is_test], y[~is_test])
result = {'train': model.score(x[~is_test], y[~is_test]), 'test': model.score(x[is_test], y[is_test]),
          'predicted': model.predict(x[is_test]).tolist()}
";

fn rows(events: &Value, x: impl Fn(&Value) -> Vec<f64>) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut rows = (Vec::new(), Vec::new());
    for event in events.as_array().expect("events") {
        for reward in event["rewards"].as_array().expect("rewards") {
            // The reward of a call may be NaN, which is null.
            if let Some(reward) = reward.as_f64() {
                rows.0.push(x(event));
                rows.1.push(reward);
            }
        }
    }
    rows
}

#[track_caller]
fn scores(report: &Value, target: &str) -> (f64, f64) {
    let all = report["predictions"].as_array().expect("predictions");
    let found = all.iter().find(|prediction| prediction["target"] == target);
    let found = found.unwrap_or_else(|| panic!("no prediction of {target}: {}", report["not_drawn"]));
    let score = |key: &str| found[key].as_f64().expect("a score");
    (score("train_score"), score("test_score"))
}

#[test]
fn scores_and_predictions_are_those_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let recorded = run(300);
    let events = events(&recorded);
    let length = |event: &Value| vec![event["message"].as_str().expect("a message").chars().count() as f64];
    let vector = |event: &Value| -> Vec<f64> {
        let numbers = embedding(event["message"].as_str().expect("a message"));
        numbers.into_iter().map(f64::from).collect()
    };
    let boosting = json!({"n_estimators": 40, "min_samples_leaf": 5, "max_depth": 2});
    // Without random draws, a forest of one tree is the same everywhere.
    let tree = json!({"n_estimators": 1, "bootstrap": false, "min_samples_leaf": 5});
    let cases = [
        (
            "LinearRegression",
            json!({}),
            "question_length",
            rows(&events, length),
            1e-9,
        ),
        (
            "LinearRegression",
            json!({}),
            "embeddings",
            rows(&events, vector),
            1e-9,
        ),
        (
            "GradientBoostingRegressor",
            boosting,
            "question_length",
            rows(&events, length),
            1e-3,
        ),
        (
            "RandomForestRegressor",
            tree,
            "question_length",
            rows(&events, length),
            1e-3,
        ),
    ];
    for (name, args, x, (table, targets), tolerance) in cases {
        let mut ours = json!({"name": name, "args": args});
        fill_in_defaults(&mut ours);
        let analysis = json!({
            "create_features": {"message": ["question_length", "embeddings"]},
            "estimators": {"fit": ours},
            "predict": {"rewards": {"x": x, "estimator": "fit"}},
        });
        let report = report(&recorded, analysis, &Models);
        let test = Split::new(targets.len(), 0.2, SEED).test;
        let input = json!({"x": table, "y": targets, "test": test, "name": name, "args": args});
        let theirs = python.run(SCRIPT, &input);
        let (train, tested) = scores(&report, "rewards");
        for (ours, key) in [(train, "train"), (tested, "test")] {
            let theirs = theirs[key].as_f64().expect("a score");
            assert!(
                (ours - theirs).abs() < tolerance,
                "{name}, {x}, {key}: {ours} and {theirs}"
            );
        }
        let points = &plot(&report, "rewards_predicted_by_fit")["traces"][1];
        let actual: Vec<f64> = test.iter().map(|row| targets[*row]).collect();
        assert_eq!(numbers(&points["x"]), actual, "{name}");
        for (ours, theirs) in numbers(&points["y"]).iter().zip(numbers(&theirs["predicted"])) {
            assert!(
                (ours - theirs).abs() < tolerance,
                "{name}, {x}: {ours} and {theirs}"
            );
        }
        let has_loss = report["plots"]
            .as_array()
            .is_some_and(|plots| plots.iter().any(|plot| plot["name"] == "rewards_loss_of_fit"));
        assert_eq!(has_loss, name == "GradientBoostingRegressor");
    }
}

#[test]
fn a_prediction_pairs_lists_by_uid() {
    let analysis = json!({
        "estimators": {"fit": {"name": "LinearRegression", "args": {"fit_intercept": true}}},
        "predict": {"rewards": {"x": "scores", "estimator": "fit"}},
    });
    let report = report(&run_by_score(30), analysis, &NoModels);
    let (train, test) = scores(&report, "rewards");
    assert!(train > 0.999_999 && test > 0.999_999, "{train} {test}");
}

/// Adds the defaults of the arguments, which the loading of a file does.
fn fill_in_defaults(estimator: &mut Value) {
    let family = mirror_spec::Estimator::FAMILY;
    let variant = family
        .variant(estimator["name"].as_str().expect("a name"))
        .expect("an estimator");
    for key in variant.args.iter() {
        if let mirror_spec::key::Need::Default(default) = key.need
            && estimator["args"][key.name].is_null()
        {
            estimator["args"][key.name] = default();
        }
    }
}

#[test]
fn an_impossible_prediction_is_not_drawn_and_the_reason_is_given() {
    let recorded = run(200);
    let analysis = json!({
        "create_features": {"message": ["first_word"]},
        "estimators": {"fit": {"name": "LinearRegression", "args": {"fit_intercept": true}}},
        "predict": {
            "purpose": {"x": "step", "estimator": "fit"},
            "is_question": {"x": "step", "estimator": "fit"},
            "step": {"x": "first_word", "estimator": "fit"},
            "call_time": {"x": "is_question", "estimator": "fit"},
        },
    });
    let long = report(&recorded, analysis, &Models);
    for (target, why) in [
        ("purpose", "`purpose` is not a column of numbers"),
        (
            "is_question",
            "all values of `is_question` are equal, so there is nothing to predict",
        ),
        ("step", "`first_word` is not a column of numbers"),
    ] {
        assert_eq!(not_drawn(&long, &format!("{target}_predicted_by_fit")), why);
    }
    let equal = not_drawn(&long, "call_time_predicted_by_fit");
    assert!(equal.contains("all rows for the training are equal"), "{equal}");
    let analysis = json!({
        "estimators": {"fit": {"name": "LinearRegression", "args": {"fit_intercept": true}}},
        "predict": {"call_time": {"x": "step", "estimator": "fit"}},
    });
    let short = report(&run(5), analysis, &Models);
    let few = not_drawn(&short, "call_time_predicted_by_fit");
    assert!(few.contains("there are 5 rows"), "{few}");
}
