//! Predictions of a column from another by a regression.

use mirror_spec::{Estimator as Spec, Prediction};
use mirror_statistics::Matrix;
use mirror_statistics::regression::{
    Estimator, Evaluation, GradientBoosting, LinearRegression, RandomForest, fit_and_score,
};

use super::scatter::{Pair, Row, sampled};
use super::{PredictionScores, in_words, sentence_case};
use crate::chart::{Axis, Color, Data, Figure, Trace, Values};
use crate::frame::{Cell, Column, Frame, chosen};
use crate::numbers::{count, counted, value};
use crate::plots::NothingToDraw;
use crate::report::Plots;

/// Maximum number of rows of a regression.
const ROWS: usize = 10_000;

/// Draws the plot `{target}_predicted_by_{estimator}`, and `{target}_loss_of_{estimator}` for gradient boosting.
/// Returns the scores, or `None` if nothing can be predicted.
pub(super) fn draw(
    frame: &Frame<'_>,
    target: &str,
    prediction: &Prediction,
    spec: &Spec,
    plots: &mut Plots,
) -> Option<PredictionScores> {
    let Prediction { x, estimator } = prediction;
    let words = in_words(target);
    let name = format!("{target}_predicted_by_{estimator}");
    let title = sentence_case(&format!("{words} predicted by {estimator}"));
    let explain = format!(
        "Each point is a test row: its {words}, and the value that `{estimator}` predicts from {}.",
        in_words(x)
    );
    let fitted = match fit(frame, target, prediction, spec) {
        Ok(fitted) => fitted,
        Err(why) => {
            plots.push(&name, &title, &explain, Err(NothingToDraw(why)));
            return None;
        }
    };
    plots.push(&name, &title, &explain, Ok(fitted.predictions(&words)));
    if let Some(loss) = fitted.loss() {
        plots.push(
            &format!("{target}_loss_of_{estimator}"),
            &sentence_case(&format!("{words}: loss of {estimator}")),
            "Mean squared error of the rows to which a tree is fitted, after each tree.",
            Ok(loss),
        );
    }
    let test_rows = fitted.evaluation.predictions.len();
    Some(PredictionScores {
        target: target.to_owned(),
        x: x.clone(),
        estimator: estimator.clone(),
        train_rows: fitted.uids.len() - test_rows,
        test_rows,
        train_score: fitted.evaluation.train_score,
        test_score: fitted.evaluation.test_score,
    })
}

/// A fitted estimator.
struct Fitted {
    evaluation: Evaluation,
    /// The uid of each row. `None` if neither column is a list.
    uids: Vec<Option<u32>>,
    /// Description of the samples.
    note: String,
}

fn fit(frame: &Frame<'_>, target: &str, prediction: &Prediction, spec: &Spec) -> Result<Fitted, String> {
    let (y, x) = (frame.column(target)?, frame.column(&prediction.x)?);
    for column in [&y, &x] {
        if column.values.is_text() {
            return Err(format!("`{}` is not a column of numbers", column.name));
        }
    }
    let pair = Pair { frame, y: &y, x: &x };
    let vectors = if let Column::Vectors(vectors) = &*x.values {
        Some(vectors)
    } else {
        pair.check()?;
        None
    };
    let rows = || {
        pair.all_rows().filter(|row| {
            let has_x = match vectors {
                Some(vectors) => vectors[row.event].is_some(),
                None => row.x != Cell::Missing,
            };
            has_x && row.y != Cell::Missing
        })
    };
    let total = rows().count();
    let kept = sampled(rows(), chosen(total, ROWS, frame.seed));
    let number = |cell: Cell<'_>| match cell {
        Cell::Number(number) => number,
        Cell::Word(_) | Cell::Missing => f64::NAN,
    };
    let features = |row: &Row<'_>| -> Vec<f64> {
        match vectors.and_then(|vectors| vectors[row.event].as_ref()) {
            Some(vector) => vector.clone(),
            None => vec![number(row.x)],
        }
    };
    let targets: Vec<f64> = kept.iter().map(|row| number(row.y)).collect();
    let Some(first) = targets.first() else {
        return Err(format!("no event has both `{target}` and `{}`", prediction.x));
    };
    if targets.iter().all(|other| other == first) {
        return Err(format!(
            "all values of `{target}` are equal, so there is nothing to predict"
        ));
    }
    let table: Vec<Vec<f64>> = kept.iter().map(features).collect();
    let table = Matrix::from_rows(&table).map_err(|error| error.to_string())?;
    let evaluation = fit_and_score(&estimator(spec, frame.seed), &table, &targets, frame.seed)
        .map_err(|error| error.to_string())?;
    let mut note = frame.notes(&[&y, &x]);
    if kept.len() < total {
        note.extend([format!(
            "From a random sample of {} of {}. ",
            count(kept.len() as u64),
            counted(total as u64, "row", "rows")
        )]);
    }
    Ok(Fitted {
        evaluation,
        uids: kept.iter().map(|row| row.uid).collect(),
        note,
    })
}

/// Returns the estimator that a file describes. Its random seed is that of the run, unless the file states one.
fn estimator(spec: &Spec, seed: u64) -> Estimator {
    let optional = |number: Option<u32>| number.map(|number| number as usize);
    match spec {
        Spec::GradientBoostingRegressor(args) => Estimator::GradientBoosting(GradientBoosting {
            n_estimators: args.n_estimators as usize,
            learning_rate: args.learning_rate,
            max_depth: Some(args.max_depth as usize),
            min_samples_leaf: args.min_samples_leaf as usize,
            subsample: args.subsample,
            validation_fraction: args.validation_fraction,
            n_iter_no_change: optional(args.n_iter_no_change),
            random_state: args.random_state.unwrap_or(seed),
        }),
        Spec::RandomForestRegressor(args) => Estimator::RandomForest(RandomForest {
            n_estimators: args.n_estimators as usize,
            max_depth: optional(args.max_depth),
            min_samples_leaf: args.min_samples_leaf as usize,
            max_features: args.max_features,
            bootstrap: args.bootstrap,
            random_state: args.random_state.unwrap_or(seed),
        }),
        Spec::LinearRegression(args) => Estimator::Linear(LinearRegression {
            fit_intercept: args.fit_intercept,
        }),
    }
}

impl Fitted {
    fn predictions(&self, target: &str) -> Figure {
        let predictions = &self.evaluation.predictions;
        let actual: Vec<f64> = predictions.iter().map(|prediction| prediction.actual).collect();
        let least = actual.iter().copied().fold(f64::INFINITY, f64::min);
        let most = actual.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let points = Data::Points {
            x: Values::Numbers(actual),
            y: Values::Numbers(
                predictions
                    .iter()
                    .map(|prediction| prediction.predicted)
                    .collect(),
            ),
            uids: predictions
                .iter()
                .filter_map(|prediction| self.uids[prediction.row])
                .collect(),
            shade: Vec::new(),
            text: Vec::new(),
        };
        let exact = [(least, least), (most, most)];
        let tested = predictions.len();
        Figure {
            x: Axis::linear(format!("actual {target}")),
            y: Axis::linear(format!("predicted {target}")),
            traces: vec![
                Trace::line("exact prediction", Color::Behind, exact.into_iter()),
                Trace::new("test rows", Color::Main, points),
            ],
            alternative: format!(
                "Scatter plot of predicted by actual {target} of {}.",
                counted(tested as u64, "row", "rows")
            ),
            note: format!(
                "{}R² is {} for the {} and {} for the {}.",
                self.note,
                value(self.evaluation.train_score),
                counted((self.uids.len() - tested) as u64, "training row", "training rows"),
                value(self.evaluation.test_score),
                counted(tested as u64, "test row", "test rows")
            ),
            ..Figure::default()
        }
    }

    /// Draws the loss by tree. `None` if the estimator is not gradient boosting.
    fn loss(&self) -> Option<Figure> {
        let losses = &self.evaluation.boosting.as_ref()?.train_loss;
        let points = losses
            .iter()
            .enumerate()
            .map(|(tree, loss)| ((tree + 1) as f64, *loss));
        Some(Figure {
            x: Axis::linear("tree"),
            y: Axis::linear("mean squared error"),
            traces: vec![Trace::line("training rows", Color::Main, points)],
            alternative: format!(
                "Line chart of the mean squared error after each of {}.",
                counted(losses.len() as u64, "tree", "trees")
            ),
            note: self.note.trim_end().to_owned(),
            ..Figure::default()
        })
    }
}
