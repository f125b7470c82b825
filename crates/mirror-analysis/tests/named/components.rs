//! Scatter plots in space, and principal components.

use mirror_test_support::Python;
use serde_json::{Value, json};

use super::{Models, NoModels, embedding, events, not_drawn, numbers, plot, report, run};

const TOLERANCE: f64 = 1e-9;

#[track_caller]
fn near(ours: &[f64], theirs: &[f64], context: &str) {
    assert_eq!(ours.len(), theirs.len(), "{context}");
    for (one, other) in ours.iter().zip(theirs) {
        assert!(
            (one - other).abs() < TOLERANCE,
            "{context}: {one} here and {other} in scikit-learn"
        );
    }
}

/// Compares coordinates up to the sign of the component.
#[track_caller]
fn near_up_to_sign(ours: &[f64], theirs: &[f64], context: &str) {
    let product: f64 = ours.iter().zip(theirs).map(|(one, other)| one * other).sum();
    let theirs: Vec<f64> = theirs.iter().map(|number| number * product.signum()).collect();
    near(ours, &theirs, context);
}

#[test]
fn the_points_in_space_are_those_of_the_scaler_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let script = "
import pandas
from sklearn.preprocessing import MinMaxScaler
events = pandas.DataFrame(data)
mean = lambda values: pandas.Series(values, dtype=float).mean()
table = pandas.DataFrame({
    'call_time': events.call_time, 'words': events.message.str.split().str.len(), 'rewards': events.rewards.map(mean)})
scaled = MinMaxScaler().fit_transform(table)
complete = table.notna().all(axis=1).to_numpy()
result = {'plain': table[complete].T.to_numpy().tolist(), 'scaled': scaled[complete].T.tolist()}
";
    let recorded = run(200);
    let expected = python.run(script, &events(&recorded));
    for (key, scaler) in [("plain", Value::Null), ("scaled", json!("MinMax"))] {
        let analysis = json!({
            "create_features": {"message": ["num_words"]},
            "embedding_plot": {"scaler": scaler, "columns": ["call_time", "num_words", "rewards"]},
        });
        let report = report(&recorded, analysis, &Models);
        let space = &plot(&report, "embedding_plot")["traces"][0];
        assert_eq!(space["titles"], json!(["call time", "num words", "rewards"]));
        for (place, coordinate) in ["x", "y", "z"].into_iter().enumerate() {
            near(
                &numbers(&space[coordinate]),
                &numbers(&expected[key][place]),
                coordinate,
            );
        }
    }
}

const PCA: &str = "
import numpy
from sklearn.decomposition import PCA
fitted = PCA(n_components=data['n_components'], svd_solver='full')
projected = fitted.fit_transform(numpy.array(data['rows']))
result = {'first': projected[:, 0].tolist(), 'second': projected[:, 1].tolist(),
          'ratio': fitted.explained_variance_ratio_.tolist()}
";

#[track_caller]
fn is_that_of_scikit_learn(
    python: &Python,
    report: &Value,
    names: [&str; 2],
    rows: &[Vec<f64>],
    n_components: &Value,
) {
    let expected = python.run(PCA, &json!({"rows": rows, "n_components": n_components}));
    let points = &plot(report, names[0])["traces"][0];
    near_up_to_sign(&numbers(&points["x"]), &numbers(&expected["first"]), names[0]);
    near_up_to_sign(&numbers(&points["y"]), &numbers(&expected["second"]), names[0]);
    let bars = &plot(report, names[1])["traces"][0];
    near(&numbers(&bars["y"]), &numbers(&expected["ratio"]), names[1]);
}

#[test]
fn components_of_embeddings_are_those_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let recorded = run(150);
    let events = events(&recorded);
    let rows: Vec<Vec<f64>> = events
        .as_array()
        .expect("events")
        .iter()
        .map(|event| {
            let numbers = embedding(event["message"].as_str().expect("a message"));
            numbers.into_iter().map(f64::from).collect()
        })
        .collect();
    let names = ["embeddings", "explained_variance"];
    let created = json!({"message": ["embeddings"]});
    let without = report(&recorded, json!({"create_features": created}), &Models);
    is_that_of_scikit_learn(&python, &without, names, &rows, &json!(6));
    for count in [json!(3), json!(0.8)] {
        let pca = json!({"columns": ["embeddings"], "n_components": count});
        let with = report(
            &recorded,
            json!({"create_features": created, "pca": pca}),
            &Models,
        );
        is_that_of_scikit_learn(&python, &with, names, &rows, &count);
    }
    let shade = plot(&without, "embeddings")["traces"][0]["shade"].as_array();
    assert_eq!(
        shade.map(Vec::len),
        Some(150),
        "each event is coloured by its mean reward"
    );
}

#[test]
fn components_of_columns_are_those_of_scikit_learn() {
    let Some(python) = Python::find() else { return };
    let recorded = run(150);
    let events = events(&recorded);
    let row = |event: &Value| {
        let length = event["message"].as_str().expect("a message").chars().count() as f64;
        let number = |key: &str| event[key].as_f64().expect("a number");
        vec![length, number("call_time"), number("step")]
    };
    let rows: Vec<Vec<f64>> = events.as_array().expect("events").iter().map(row).collect();
    let analysis = json!({
        "create_features": {"message": ["question_length", "embeddings"]},
        "pca": {"columns": ["question_length", "call_time", "step"], "n_components": 2},
    });
    let report = report(&recorded, analysis, &Models);
    is_that_of_scikit_learn(
        &python,
        &report,
        ["pca", "pca_explained_variance"],
        &rows,
        &json!(2),
    );
    plot(&report, "embeddings");
}

#[test]
fn the_embeddings_of_each_column_are_drawn_once() {
    let names = |features: Value, columns: &[&str]| -> Vec<String> {
        let analysis = json!({"create_features": features, "pca": {"columns": columns}});
        let recorded = run(30);
        let drawn = report(&recorded, analysis.clone(), &Models);
        let not_drawn = report(&recorded, analysis, &NoModels);
        let named = |plots: &Value| -> Vec<String> {
            let plots = plots.as_array().expect("plots").iter();
            let names = plots.map(|plot| plot["name"].as_str().expect("a name").to_owned());
            names.filter(|name| name.ends_with("embeddings")).collect()
        };
        let drawn = named(&drawn["plots"]);
        assert_eq!(drawn, named(&not_drawn["not_drawn"]));
        drawn
    };
    let both = || json!({"message": ["embeddings"], "completion": ["embeddings"]});
    let one = || json!({"completion": ["embeddings"]});
    assert_eq!(
        names(both(), &["completion_embeddings"]),
        ["completion_embeddings", "embeddings"]
    );
    assert_eq!(
        names(both(), &["embeddings"]),
        ["embeddings", "completion_embeddings"]
    );
    assert_eq!(
        names(both(), &["prompt_embeddings"]),
        ["prompt_embeddings", "completion_embeddings"]
    );
    assert_eq!(
        names(one(), &["completion_embeddings"]),
        ["completion_embeddings"]
    );
    assert_eq!(names(one(), &["embeddings"]), ["embeddings"]);
    assert_eq!(
        names(both(), &["embeddings", "step"]),
        ["completion_embeddings", "embeddings"]
    );
}

#[test]
fn impossible_components_are_not_drawn_and_the_reason_is_given() {
    let analysis = json!({
        "create_features": {"message": ["embeddings"]},
        "pca": {"columns": ["message", "step"]},
        "embedding_plot": {"columns": ["step", "message", "block"]},
    });
    let of_texts = report(&run(30), analysis, &Models);
    assert_eq!(
        not_drawn(&of_texts, "pca"),
        "`message` is not a column of numbers"
    );
    assert_eq!(
        not_drawn(&of_texts, "embedding_plot"),
        "`message` is not a column of numbers"
    );
    let analysis = json!({"create_features": {"message": ["embeddings"]}});
    let of_one = report(&run(1), analysis, &Models);
    let why = not_drawn(&of_one, "explained_variance");
    assert!(why.contains("at least two"), "{why}");
}
