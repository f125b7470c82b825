//! Regressions are those of scikit-learn.

use mirror_statistics::Matrix;
use mirror_statistics::regression::{
    Estimator, Evaluation, GradientBoosting, LinearRegression, RandomForest, RegressionError, Split,
    fit_and_score, r2_score,
};
use mirror_test_support::Python;
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::data::{generator, numbers, parse};

/// Rows of features with their targets.
struct Data {
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

/// The evaluation of an estimator in scikit-learn, with the same rows for training and test.
#[derive(Deserialize)]
struct Reference {
    train_score: f64,
    test_score: f64,
    predictions: Vec<f64>,
    /// Of gradient boosting.
    train_loss: Option<Vec<f64>>,
    /// Of gradient boosting with a subsample.
    out_of_bag_improvement: Option<Vec<f64>>,
}

/// Returns three or more random features and a target that depends on the first three, with noise.
fn data(seed: u64, rows: usize, columns: usize) -> Data {
    let mut generator = generator(seed);
    // The trees of scikit-learn store features with 32 bits.
    let single = |value: f64| f64::from(value as f32);
    let mut feature = || -> Vec<f64> {
        let values = numbers(&mut generator, rows, 0.5, 2.0);
        values.into_iter().map(single).collect()
    };
    let features: Vec<Vec<f64>> = (0..columns).map(|_| feature()).collect();
    let noise = numbers(&mut generator, rows, 10.0, 0.3);
    let table: Vec<Vec<f64>> = (0..rows)
        .map(|row| features.iter().map(|feature| feature[row]).collect())
        .collect();
    let targets = table
        .iter()
        .zip(noise)
        .map(|(row, noise)| 2.0 * row[0] - row[1] * row[1] / 2.0 + row[2].sin() + noise)
        .collect();
    Data { rows: table, targets }
}

fn evaluate(estimator: &Estimator, data: &Data, seed: u64) -> Evaluation {
    let table = Matrix::from_rows(&data.rows).expect("the table is valid");
    fit_and_score(estimator, &table, &data.targets, seed).expect("the estimator can be fitted")
}

/// Evaluates an estimator in scikit-learn, with the same rows for the test as in `ours`, once for each random state.
fn reference(
    python: &Python,
    estimator: &str,
    arguments: &Value,
    random_states: &[u64],
    data: &Data,
    ours: &Evaluation,
) -> Vec<Reference> {
    let script = "
import inspect, numpy
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
x, y = numpy.array(data['rows']), numpy.array(data['targets'])
is_test = numpy.zeros(len(y), dtype=bool)
is_test[data['test']] = True
kind = {'boosting': GradientBoostingRegressor, 'forest': RandomForestRegressor, 'linear': LinearRegression}
kind = kind[data['estimator']]
def listed(model, name):
    return getattr(model, name).tolist() if hasattr(model, name) else None
def fit(random_state):
    arguments = dict(data['arguments'])
    if 'random_state' in inspect.signature(kind).parameters:
        arguments['random_state'] = random_state
    model = kind(**arguments).fit(x[~is_test], y[~is_test])
    return {'train_score': model.score(x[~is_test], y[~is_test]), 'test_score': model.score(x[is_test], y[is_test]),
            'predictions': model.predict(x[is_test]).tolist(), 'train_loss': listed(model, 'train_score_'),
            'out_of_bag_improvement': listed(model, 'oob_improvement_')}
result = [fit(random_state) for random_state in data['random_states']]
";
    let test: Vec<usize> = ours.predictions.iter().map(|prediction| prediction.row).collect();
    let input = json!({
        "rows": data.rows, "targets": data.targets, "test": test, "estimator": estimator,
        "arguments": arguments, "random_states": random_states,
    });
    parse(&python.run(script, &input))
}

fn assert_near(ours: f64, theirs: f64, tolerance: f64, context: &str) {
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{context}: {ours} here and {theirs} in scikit-learn"
    );
}

fn assert_same(ours: &Evaluation, theirs: &Reference, tolerance: f64, context: &str) {
    assert_near(ours.train_score, theirs.train_score, tolerance, context);
    assert_near(ours.test_score, theirs.test_score, tolerance, context);
    assert_eq!(ours.predictions.len(), theirs.predictions.len(), "{context}");
    for (prediction, theirs) in ours.predictions.iter().zip(&theirs.predictions) {
        assert_near(prediction.predicted, *theirs, tolerance, context);
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let numbers: Vec<f64> = numbers.collect();
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[test]
fn linear_regression_is_that_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let mut dependent = data(2, 80, 6);
    for row in &mut dependent.rows {
        row[3] = row[0] - 2.0 * row[1];
        row[4] = 0.1;
        row[5] += 1e6;
    }
    for (name, data) in [
        ("tall", data(1, 150, 5)),
        ("wide", data(3, 20, 40)),
        ("dependent", dependent),
    ] {
        for fit_intercept in [true, false] {
            let ours = evaluate(&Estimator::Linear(LinearRegression { fit_intercept }), &data, 5);
            let arguments = json!({ "fit_intercept": fit_intercept });
            let theirs = reference(&python, "linear", &arguments, &[0], &data, &ours);
            assert_same(
                &ours,
                &theirs[0],
                1e-9,
                &format!("{name}, intercept {fit_intercept}"),
            );
        }
    }
}

/// Returns an evaluation by gradient boosting with those by scikit-learn for several random states, which decide
/// between equally good splits. Compares the train losses.
fn boosted(
    python: &Python,
    data: &Data,
    estimator: GradientBoosting,
    arguments: &Value,
) -> (Evaluation, Vec<Reference>) {
    let ours = evaluate(&Estimator::GradientBoosting(estimator), data, 6);
    let theirs = reference(python, "boosting", arguments, &[0, 1, 2], data, &ours);
    let history = ours
        .boosting
        .as_ref()
        .expect("the estimator is gradient boosting");
    let losses = theirs[0]
        .train_loss
        .as_ref()
        .expect("scikit-learn returns the losses");
    assert_eq!(history.train_loss.len(), losses.len(), "{arguments}");
    for (ours, theirs) in history.train_loss.iter().zip(losses) {
        assert_near(*ours, *theirs, 1e-9, &format!("train loss, {arguments}"));
    }
    assert_eq!(history.out_of_bag_improvement, None);
    (ours, theirs)
}

/// The leaves have several rows, so that no two splits are equally good: scikit-learn gives the same result for every
/// random state.
#[test]
fn gradient_boosting_is_that_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let defaults = GradientBoosting::default();
    let cases = [
        (
            json!({ "min_samples_leaf": 10 }),
            GradientBoosting {
                min_samples_leaf: 10,
                ..defaults.clone()
            },
        ),
        (
            json!({ "n_estimators": 30, "learning_rate": 0.3, "max_depth": 2, "min_samples_leaf": 7 }),
            GradientBoosting {
                n_estimators: 30,
                learning_rate: 0.3,
                max_depth: Some(2),
                min_samples_leaf: 7,
                ..defaults.clone()
            },
        ),
        (
            json!({ "n_estimators": 20, "max_depth": null, "min_samples_leaf": 20 }),
            GradientBoosting {
                n_estimators: 20,
                max_depth: None,
                min_samples_leaf: 20,
                ..defaults
            },
        ),
    ];
    for (rows, columns) in [(600, 8), (400, 3)] {
        let data = data(rows as u64, rows, columns);
        for (arguments, estimator) in &cases {
            let (ours, theirs) = boosted(&python, &data, estimator.clone(), arguments);
            for theirs in theirs {
                assert_same(&ours, &theirs, 1e-6, &format!("{rows} rows, {arguments}"));
            }
        }
    }
}

/// With leaves of one row, several columns often divide a small node into the same two parts. The choice among them
/// changes nothing for the training, but the predictions for other rows.
#[test]
fn gradient_boosting_with_equally_good_splits_learns_as_in_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let data = data(600, 600, 8);
    let (ours, theirs) = boosted(&python, &data, GradientBoosting::default(), &json!({}));
    assert_near(ours.train_score, theirs[0].train_score, 1e-9, "train score");
    let test_score = mean(theirs.iter().map(|reference| reference.test_score));
    assert_near(ours.test_score, test_score, 1e-3, "test score");
}

/// Equal values, equal columns and constant columns: several splits are equally good.
#[test]
fn gradient_boosting_with_ties_scores_as_in_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let mut data = data(7, 500, 5);
    for row in &mut data.rows {
        for value in row.iter_mut() {
            *value = (*value * 2.0).round() / 2.0;
        }
        row.extend([row[0], -row[1], 0.1]);
    }
    let ours = evaluate(
        &Estimator::GradientBoosting(GradientBoosting::default()),
        &data,
        8,
    );
    let theirs = &reference(&python, "boosting", &json!({}), &[0], &data, &ours)[0];
    assert_near(ours.train_score, theirs.train_score, 1e-3, "train score");
    assert_near(ours.test_score, theirs.test_score, 1e-3, "test score");
}

/// Both libraries draw the subsample, so only means over random states can agree.
#[test]
fn gradient_boosting_with_a_subsample_scores_as_in_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let data = data(9, 400, 6);
    let states: Vec<u64> = (0..10).collect();
    let ours: Vec<Evaluation> = states
        .iter()
        .map(|state| {
            let boosting = GradientBoosting {
                subsample: 0.5,
                random_state: *state,
                ..GradientBoosting::default()
            };
            evaluate(&Estimator::GradientBoosting(boosting), &data, 10)
        })
        .collect();
    let theirs = reference(
        &python,
        "boosting",
        &json!({ "subsample": 0.5 }),
        &states,
        &data,
        &ours[0],
    );
    let our_score = mean(ours.iter().map(|evaluation| evaluation.test_score));
    assert_near(
        our_score,
        mean(theirs.iter().map(|reference| reference.test_score)),
        0.02,
        "test score",
    );
    let our_improvement = |evaluation: &Evaluation| -> f64 {
        let history = evaluation
            .boosting
            .as_ref()
            .expect("the estimator is gradient boosting");
        let improvement = history
            .out_of_bag_improvement
            .as_ref()
            .expect("the subsample is below 1");
        assert_eq!(improvement.len(), history.train_loss.len());
        improvement.iter().sum()
    };
    let their_improvement = |reference: &Reference| -> f64 {
        let improvement = reference
            .out_of_bag_improvement
            .as_ref()
            .expect("the subsample is below 1");
        improvement.iter().sum()
    };
    let theirs = mean(theirs.iter().map(their_improvement));
    assert_near(
        mean(ours.iter().map(our_improvement)),
        theirs,
        0.1 * theirs,
        "out-of-bag improvement",
    );
}

/// The rows of the validation are drawn, so only the mean number of trees can agree.
#[test]
fn gradient_boosting_stops_early_as_in_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let data = data(11, 400, 4);
    let states: Vec<u64> = (0..30).collect();
    let arguments = json!({ "n_estimators": 500, "learning_rate": 0.3, "n_iter_no_change": 3, "validation_fraction": 0.2 });
    let ours: Vec<Evaluation> = states
        .iter()
        .map(|state| {
            let boosting = GradientBoosting {
                n_estimators: 500,
                learning_rate: 0.3,
                n_iter_no_change: Some(3),
                validation_fraction: 0.2,
                random_state: *state,
                ..GradientBoosting::default()
            };
            evaluate(&Estimator::GradientBoosting(boosting), &data, 12)
        })
        .collect();
    let theirs = reference(&python, "boosting", &arguments, &states, &data, &ours[0]);
    let our_trees = mean(ours.iter().map(|evaluation| {
        let history = evaluation
            .boosting
            .as_ref()
            .expect("the estimator is gradient boosting");
        history.train_loss.len() as f64
    }));
    let their_trees = mean(
        theirs
            .iter()
            .map(|reference| reference.train_loss.as_ref().map_or(0, Vec::len) as f64),
    );
    assert!(our_trees < 500.0);
    assert_near(our_trees, their_trees, 0.25 * their_trees, "trees");
}

/// A forest without draws is one tree.
#[test]
fn a_forest_without_draws_is_the_tree_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let data = data(13, 500, 5);
    let ours = evaluate(
        &Estimator::RandomForest(RandomForest {
            n_estimators: 3,
            min_samples_leaf: 10,
            bootstrap: false,
            ..RandomForest::default()
        }),
        &data,
        14,
    );
    let arguments = json!({ "n_estimators": 3, "min_samples_leaf": 10, "bootstrap": false });
    let theirs = reference(&python, "forest", &arguments, &[0], &data, &ours);
    assert_same(&ours, &theirs[0], 1e-9, "forest");
}

/// The draws of both libraries differ, so the score is compared with the mean over random states.
#[test]
fn a_random_forest_scores_as_in_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let data = data(15, 300, 6);
    let defaults = RandomForest::default();
    let cases = [
        (json!({}), defaults.clone()),
        (
            json!({ "max_features": 0.4, "max_depth": 6 }),
            RandomForest {
                max_features: 0.4,
                max_depth: Some(6),
                ..defaults.clone()
            },
        ),
        (
            json!({ "max_features": 0.2, "min_samples_leaf": 5, "bootstrap": false }),
            RandomForest {
                max_features: 0.2,
                min_samples_leaf: 5,
                bootstrap: false,
                ..defaults
            },
        ),
    ];
    for (arguments, estimator) in cases {
        let ours = evaluate(&Estimator::RandomForest(estimator), &data, 16);
        let theirs = reference(&python, "forest", &arguments, &[0, 1, 2], &data, &ours);
        let test_score = mean(theirs.iter().map(|reference| reference.test_score));
        let train_score = mean(theirs.iter().map(|reference| reference.train_score));
        assert_near(
            ours.test_score,
            test_score,
            0.05,
            &format!("test score, {arguments}"),
        );
        assert_near(
            ours.train_score,
            train_score,
            0.05,
            &format!("train score, {arguments}"),
        );
    }
}

#[test]
fn the_score_is_that_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let mut generator = generator(17);
    let actual = numbers(&mut generator, 50, 2.0, 1.0);
    let predicted: Vec<f64> = actual
        .iter()
        .map(|actual| actual + generator.random_range(-1.0..1.0))
        .collect();
    let cases = [
        (actual.clone(), predicted.clone()),
        (actual.clone(), actual),
        (vec![1.0; 50], predicted),
        (vec![1.0; 50], vec![1.0; 50]),
    ];
    let script = "
from sklearn.metrics import r2_score
result = [r2_score(actual, predicted) for actual, predicted in data]
";
    let theirs: Vec<f64> = parse(&python.run(script, &json!(cases)));
    for ((actual, predicted), theirs) in cases.iter().zip(theirs) {
        assert_near(r2_score(actual, predicted), theirs, 1e-12, "score");
    }
}

fn estimators() -> [Estimator; 4] {
    [
        Estimator::Linear(LinearRegression::default()),
        Estimator::GradientBoosting(GradientBoosting {
            subsample: 0.5,
            n_iter_no_change: Some(2),
            ..GradientBoosting::default()
        }),
        Estimator::GradientBoosting(GradientBoosting::default()),
        Estimator::RandomForest(RandomForest {
            max_features: 0.5,
            ..RandomForest::default()
        }),
    ]
}

#[test]
fn equal_seeds_give_equal_evaluations() {
    let data = data(18, 60, 4);
    for estimator in estimators() {
        let first = evaluate(&estimator, &data, 3);
        assert_eq!(first, evaluate(&estimator, &data, 3));
        assert_ne!(first.predictions, evaluate(&estimator, &data, 4).predictions);
    }
}

#[test]
fn ten_rows_and_constant_targets_are_enough() {
    for estimator in estimators() {
        let evaluation = evaluate(&estimator, &data(19, 10, 3), 0);
        assert_eq!(evaluation.predictions.len(), 2);
        let mut constant = data(20, 30, 3);
        constant.targets.fill(0.1);
        for prediction in evaluate(&estimator, &constant, 0).predictions {
            assert_near(prediction.predicted, 0.1, 1e-12, "a constant target");
        }
    }
}

#[test]
fn a_row_is_either_for_the_training_or_for_the_test() {
    for (rows, tested) in [(10, 2), (11, 3), (1000, 200)] {
        let Split { train, test } = Split::new(rows, 0.2, 7);
        assert_eq!(test.len(), tested);
        let mut all = [train, test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..rows).collect::<Vec<_>>());
    }
}

#[test]
fn data_that_cannot_be_learned_are_an_error() {
    let fit = |rows: &[Vec<f64>], targets: &[f64], estimator: &Estimator| {
        let table = Matrix::from_rows(rows).expect("the table is valid");
        fit_and_score(estimator, &table, targets, 0)
    };
    let data = data(21, 12, 3);
    for estimator in &estimators() {
        assert_eq!(
            fit(&data.rows[..9], &data.targets[..9], estimator),
            Err(RegressionError::TooFewRows { rows: 9 })
        );
        assert_eq!(
            fit(&data.rows, &data.targets[..9], estimator),
            Err(RegressionError::TargetCount { rows: 12, targets: 9 })
        );
        assert_eq!(
            fit(&vec![vec![1.0]; 12], &data.targets, estimator),
            Err(RegressionError::EqualRows)
        );
        let mut targets = data.targets.clone();
        targets[3] = f64::NEG_INFINITY;
        assert_eq!(
            fit(&data.rows, &targets, estimator),
            Err(RegressionError::TargetNotFinite {
                row: 3,
                value: f64::NEG_INFINITY
            })
        );
        let huge: Vec<f64> = (0..12)
            .map(|row| if row % 2 == 0 { f64::MAX } else { f64::MIN })
            .collect();
        assert_eq!(fit(&data.rows, &huge, estimator), Err(RegressionError::Overflow));
    }
}

#[test]
fn arguments_out_of_range_are_an_error_that_names_them() {
    let boosting = |change: fn(&mut GradientBoosting)| {
        let mut arguments = GradientBoosting::default();
        change(&mut arguments);
        Estimator::GradientBoosting(arguments)
    };
    let forest = |change: fn(&mut RandomForest)| {
        let mut arguments = RandomForest::default();
        change(&mut arguments);
        Estimator::RandomForest(arguments)
    };
    let cases = [
        ("n_estimators", boosting(|arguments| arguments.n_estimators = 0)),
        ("max_depth", boosting(|arguments| arguments.max_depth = Some(0))),
        (
            "min_samples_leaf",
            boosting(|arguments| arguments.min_samples_leaf = 0),
        ),
        (
            "n_iter_no_change",
            boosting(|arguments| arguments.n_iter_no_change = Some(0)),
        ),
        (
            "learning_rate",
            boosting(|arguments| arguments.learning_rate = f64::NAN),
        ),
        ("subsample", boosting(|arguments| arguments.subsample = 0.0)),
        (
            "validation_fraction",
            boosting(|arguments| arguments.validation_fraction = 1.0),
        ),
        ("n_estimators", forest(|arguments| arguments.n_estimators = 0)),
        ("max_depth", forest(|arguments| arguments.max_depth = Some(0))),
        (
            "min_samples_leaf",
            forest(|arguments| arguments.min_samples_leaf = 0),
        ),
        ("max_features", forest(|arguments| arguments.max_features = 1.5)),
    ];
    let data = data(22, 12, 3);
    let table = Matrix::from_rows(&data.rows).expect("the table is valid");
    for (name, estimator) in cases {
        let error = fit_and_score(&estimator, &table, &data.targets, 0)
            .expect_err(name)
            .to_string();
        assert!(error.starts_with(name) && error.contains("must be"), "{error}");
    }
}
