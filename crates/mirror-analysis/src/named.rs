//! The plots and predictions that the user names in the `analysis` section of an experiment file.

use std::collections::BTreeSet;

use mirror_spec::{Analysis, Feature};
use serde::Serialize;

use crate::features::TextModels;
use crate::frame::Frame;
use crate::report::Plots;
use crate::run_data::RunData;

mod components;
mod prediction;
mod scatter;
mod space;

/// The scores of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PredictionScores {
    /// Column that is predicted.
    target: String,
    /// Column from which it is predicted.
    x: String,
    /// Name of the estimator in the file.
    estimator: String,
    /// Number of rows for the training.
    train_rows: usize,
    /// Number of rows for the test.
    test_rows: usize,
    /// R² of the rows for the training, at most 1.
    train_score: f64,
    /// R² of the rows for the test, at most 1.
    test_score: f64,
}

/// Draws everything that an analysis names. Returns the scores of its predictions.
pub(crate) fn draw(
    data: &RunData,
    analysis: &Analysis,
    models: &dyn TextModels,
    plots: &mut Plots,
) -> Vec<PredictionScores> {
    let frame = Frame::new(&data.sample, analysis, models, data.manifest.seed);
    for (y, columns) in &analysis.plot {
        let mut drawn = BTreeSet::new();
        for x in columns.iter().filter(|x| drawn.insert(*x)) {
            scatter::draw(&frame, y, x, plots);
        }
    }
    if let Some(plot) = &analysis.embedding_plot {
        space::draw(&frame, plot, plots);
    }
    if let Some(pca) = &analysis.pca {
        components::draw(&frame, &pca.columns, pca.n_components, plots);
    }
    let named = analysis
        .pca
        .as_ref()
        .and_then(|pca| components::embedded(&frame, &pca.columns));
    for column in frame.with_feature(Feature::Embeddings) {
        if named != Some(column) {
            components::draw(&frame, &[components::name_of_embeddings(column)], None, plots);
        }
    }
    let mut scores = Vec::new();
    for (target, prediction) in &analysis.predict {
        let Some(estimator) = analysis.estimators.get(&prediction.estimator) else {
            continue;
        };
        scores.extend(prediction::draw(&frame, target, prediction, estimator, plots));
    }
    scores
}

/// Returns the name of a column in words: `question length`.
fn in_words(column: &str) -> String {
    column.replace('_', " ")
}

/// Returns the text with a capital letter at its beginning.
fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
